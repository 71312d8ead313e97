"""Starts the processes of a training order on a Ray cluster, with Ray Train's TorchTrainer.

Ray finds the machines and tells the processes of each other; what each does is `worker.work`, as with any launcher. The
run's folder must be seen by all machines under the same path.
"""

import os
import sys
from pathlib import Path
from typing import Any

from selfreward.errors import StageFailed
from selfreward.training.order import read_order
from selfreward.training.processes import config_file


def main(folder: Path) -> None:
    """Has the order in a folder carried out; raises what Ray raises when a process fails."""
    os.environ.setdefault(
        "RAY_USAGE_STATS_ENABLED", "0"
    )  # Ray tells its makers of each cluster unless it is told not to
    import torch
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    order, _ = read_order(folder)
    training = order.recipe.training
    if address := order.recipe.engine.ray.address:
        os.environ["RAY_ADDRESS"] = address  # the cluster that samples trains too
    TorchTrainer(
        _work,
        train_loop_config={"folder": str(folder), "environment": accelerate_environment(config_file(training))},
        scaling_config=ScalingConfig(num_workers=training.processes, use_gpu=torch.cuda.is_available()),
        run_config=RunConfig(storage_path=str(folder / "ray")),
    ).fit()


def _work(config: dict[str, Any]) -> None:
    """What each of Ray's processes does."""
    from selfreward.training.worker import work

    os.environ.update(config["environment"])
    if work(Path(config["folder"])):
        raise StageFailed("a process could not go on", "training")


def accelerate_environment(config: Path) -> dict[str, str]:
    """The variables that `accelerate launch` would set for its processes."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    words = ["--config_file", str(config), "--num_processes", "2", "--main_process_port", "0", "unused.py"]
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    return {
        name: value
        for name, value in prepare_multi_gpu_env(arguments).items()
        if name.startswith(("ACCELERATE_", "FSDP_"))
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
