"""How a lesson is spread over processes: accelerate's configuration files, and what can be told before anything runs.

A batch of the recipe is the batch over all processes. What accelerate really made of a configuration is checked once
more in every process (`trainer.check_distributed`): it falls back to less without a word.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from selfreward.engines.ray import check_address
from selfreward.errors import BadInput, nearest
from selfreward.recipe import Recipe, Training

CONFIGS = Path(__file__).parent / "configs"
WHERE = "training.config"
SPLIT = ("FSDP", "DEEPSPEED")  # each process holds a part of the model
KNOWN = ("MULTI_GPU", *SPLIT)  # accelerate starts a single process for MULTI_CPU; MULTI_GPU will do without GPUs


def config_file(training: Training) -> Path:
    """The accelerate configuration that `training.config` names; BadInput where there is none."""
    shipped = {file.stem: file for file in CONFIGS.glob("*.yaml")}
    path = shipped.get(training.config, Path(os.path.expanduser(training.config)))
    if not path.is_file():
        raise BadInput(
            f"no such configuration: {training.config}", WHERE, f"{nearest(training.config, shipped)} Or name a file"
        )
    return path.absolute()


def read_config(training: Training) -> dict[str, Any]:
    """What the configuration says; BadInput where it is of a kind that is not trained with here."""
    path = config_file(training)
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"cannot be read: {' '.join(str(error).split())}", path, "mend the file") from None
    kind = config.get("distributed_type") if isinstance(config, dict) else None
    if kind not in KNOWN:
        raise BadInput(f"its distributed_type is {kind}", path, f"choose from: {', '.join(KNOWN)}")
    if kind == "FSDP" and (config.get("fsdp_config") or {}).get("fsdp_version") != 2:
        raise BadInput("only version 2 of FSDP is trained with", path, "set fsdp_config.fsdp_version: 2")
    return dict(config)


def splits_weights(training: Training) -> bool:
    """Whether each process holds a part of the weights, their gradients and the optimiser, rather than all of them."""
    return read_config(training)["distributed_type"] in SPLIT


def num_machines(training: Training) -> int:
    """Machines over which the processes are spread."""
    return int(read_config(training).get("num_machines") or 1)


def distributed_type(training: Training) -> str:
    """What accelerate must call its way of training here: NO, MULTI_GPU, MULTI_CPU, FSDP or DEEPSPEED."""
    if training.launcher == "in_process":
        return "NO"
    kind = str(read_config(training)["distributed_type"])
    return "MULTI_CPU" if kind == "MULTI_GPU" and not _num_gpus() else kind


def check_processes(recipe: Recipe) -> None:
    """BadInput for what `training` asks and cannot be had, or cannot be had together with other settings.

    And where this process is itself one of several: each would train alone.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        todo = "start without torchrun or accelerate launch: training.launcher does that"
        raise BadInput("a run is one process", "WORLD_SIZE", todo)
    training = recipe.training
    if training.launcher == "in_process":
        return
    kind, machines = read_config(training)["distributed_type"], num_machines(training)
    for name, batch in (("sft.batch", recipe.sft.batch), ("dpo.batch", recipe.dpo.batch)):
        if batch % training.processes:
            what = f"a batch of {batch} does not divide evenly among {training.processes} processes"
            raise BadInput(what, name, "change one of the two")
    if training.processes % machines:
        what = f"{training.processes} do not divide evenly among {machines} machines"
        raise BadInput(what, "training.processes", f"or change num_machines in {config_file(training)}")
    if machines > 1 and training.launcher == "accelerate" and "SLURM_JOB_ID" not in os.environ:
        what = f"{machines} machines are started through Slurm, and this is no Slurm job"
        raise BadInput(what, config_file(training), "start it with sbatch, or choose training.launcher: ray_train")
    if recipe.adapter.kind != "none" and splits_weights(training):
        what = f"{recipe.adapter.kind} is not trained with {training.config}, which splits the weights over processes"
        raise BadInput(what, "adapter.kind", "set training.config: ddp, or adapter.kind: none")
    if kind == "DEEPSPEED" and training.launcher == "ray_train":
        raise BadInput(
            "DeepSpeed is started by accelerate alone", WHERE, "choose fsdp2, or training.launcher: accelerate"
        )
    for package, wanted in (("deepspeed", kind == "DEEPSPEED"), ("ray", training.launcher == "ray_train")):
        if wanted and find_spec(package) is None:
            where = "training.launcher" if package == "ray" else WHERE
            raise BadInput(f"needs {package}, which is not installed", where, f"pip install 'selfreward[{package}]'")
    if training.launcher == "ray_train":
        check_address(recipe.engine.ray.address)
    gpus, here = _num_gpus(), training.processes // machines
    if training.launcher == "accelerate" and 0 < gpus < here:
        raise BadInput(f"{here} on a machine want {here} GPUs, it has {gpus}", "training.processes", "ask for fewer")


def _num_gpus() -> int:
    """GPUs of this machine."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
