"""What all trainings share: loading a model, TRL's settings, our order of rows, checkpoints and reports.

Everything here imports torch and TRL; `train.py` imports this module when there is something to train.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from transformers import (
    AutoConfig,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer import utils

from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import Training
from selfreward.training.data import LikeLengths, filler, row_length
from selfreward.training.order import Settings
from selfreward.weights import load_weights

CHECKPOINT_EVERY_S = 600.0  # what a killed training owes at most; the micro default is done long before
LOGGED = ("loss", "learning_rate", "grad_norm", "epoch",
          "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected",
          "accuracy", "margin",  # of a reward model
          "reward", "reward_std", "kl", "unscored", "completions/mean_length", "completions/clipped_ratio")  # fmt: skip
# Where it has others too: OPT's `dropout` is 0.1 unless it is set, whatever a recipe says.
DROPOUT_FIELDS = ("attention_dropout", "attn_pdrop", "resid_pdrop", "embd_pdrop", "residual_dropout",
                  "hidden_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "resid_dropout",
                  "embed_dropout", "emb_pdrop", "embedding_dropout", "mlp_dropout")  # fmt: skip


def load_model(
    folder: str,
    dropout: float = 0.0,
    trust_remote_code: bool = False,
    dtype: torch.dtype = torch.float32,
    quantization: Any | None = None,
    device_map: str | None = None,
) -> Any:
    """The causal language model of a folder, with `dropout` wherever its architecture has any.

    Weights that are trained want float32: autocast computes in less on a GPU, but a step of 1e-6 would be rounded away.
    `dtype` and `quantization` are for weights that stay as they are. Llama, Mistral and Qwen have `attention_dropout`
    only; GPT-2 has residual, embedding and attention dropout. Raises StageFailed when a dropout is asked of an
    architecture that has none, BadInput as `load_weights`.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    fields = dropout_fields(config)
    if dropout and not fields:
        what = f"a {config.model_type} model has no dropout that could be {dropout}"
        raise StageFailed(what, folder, "set dropout: 0 in the recipe")
    for name in fields:
        setattr(config, name, dropout)
    return load_weights(
        folder,
        config=config,
        dtype=dtype,
        quantization_config=quantization,
        device_map=device_map,
        trust_remote_code=trust_remote_code,
    )


def arithmetic(training: Training) -> torch.dtype:
    """The type that `training.dtype` stands for on this machine. BadInput for float16 without a GPU."""
    cuda = torch.cuda.is_available()
    if training.dtype == "float16" and not cuda:
        raise BadInput("float16 training needs a GPU", "training.dtype", "choose bfloat16 or float32")
    if training.dtype == "auto":
        return torch.bfloat16 if cuda else torch.float32
    found: torch.dtype = getattr(torch, training.dtype)
    return found


def context(folder: str, trust_remote_code: bool) -> int | None:
    """Tokens that a model can read; None where its configuration sets no limit."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def part_of_batch(settings: Settings, training: Training) -> int:
    """Rows of a batch that each process takes."""
    return settings.batch // training.processes


def fitting(batch: int, most: int) -> int:
    """The largest part of a batch that is no larger than `most` and divides it evenly."""
    return max(rows for rows in range(1, min(batch, most) + 1) if batch % rows == 0)


def dropout_fields(config: Any) -> dict[str, float]:
    """The dropout probabilities of a model's configuration, by field name."""
    return {name: getattr(config, name) for name in DROPOUT_FIELDS if hasattr(config, name)}


def arguments(settings: Settings, training: Training | None, output_dir: Path, seed: int) -> dict[str, Any]:
    """The keyword arguments that the configurations of all of TRL's trainers share; `settings` is the method's section.

    A batch is the recipe's, however few of its rows are on the device at once: gradients add up over the parts.
    Section 3.1.3: cosine from `lr` to `final_lr`; the paper names no warm-up and no weight decay.
    """
    training = training or Training()
    cuda, dtype = torch.cuda.is_available(), arithmetic(training)
    part = part_of_batch(settings, training)
    device_batch = fitting(part, training.device_batch or part)
    return {
        "output_dir": str(output_dir),
        "seed": seed,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": device_batch,
        "gradient_accumulation_steps": part // device_batch,
        "learning_rate": settings.lr,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr": settings.final_lr},
        "use_cpu": not cuda,
        "bf16": dtype == torch.bfloat16,
        "fp16": dtype == torch.float16,
        "gradient_checkpointing": cuda,  # memory is short on a GPU, time on a CPU
        "ddp_find_unused_parameters": False,  # the loss reaches every weight that is trained
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": cuda,
        "logging_steps": 0.05,  # of all steps: 20 lines, however long the training
        "logging_nan_inf_filter": False,  # the default hides a loss that is not finite
        "save_strategy": "no",  # by the clock instead, in Report
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "push_to_hub": False,
    }


def on_one_device(config: TrainingArguments) -> None:
    """With several GPUs in sight the trainer would wrap the model in DataParallel, which TRL refuses."""
    config._n_gpu = min(config.n_gpu, 1)


def num_steps(num_rows: int, settings: Settings) -> int:
    """Optimiser steps of a whole training."""
    return math.ceil(settings.epochs * math.ceil(num_rows / settings.batch))


def join_processes(settings: Settings, training: Training, output_dir: Path, seed: int) -> TrainingArguments:
    """Meets the other processes; StageFailed unless there are as many as `training.processes`.

    To be kept until the trainer is built: while it lives, a model that is loaded is split over the processes as it is read
    where DeepSpeed is to split it.
    """
    joined = TrainingArguments(**arguments(settings, training, output_dir, seed))
    if joined.world_size != training.processes:
        what = f"it was to run in {training.processes} processes, and this is one of {joined.world_size}"
        raise StageFailed(what, "training", "look at how the processes were started")
    return joined


def check_distributed(accelerator: Any, processes: int, distributed_type: str) -> None:
    """StageFailed unless so many processes train together in the way that was asked for.

    Accelerate says nothing where it falls back: its FSDP is DDP without a GPU, and processes that a launcher started with
    other settings each train alone.
    """
    found = accelerator.num_processes, accelerator.distributed_type.value
    if found != (processes, distributed_type):
        what = f"it was to run in {processes} processes as {distributed_type}, and would in {found[0]} as {found[1]}"
        todo = "FSDP and DeepSpeed need a GPU for each process; otherwise look at how the processes were started"
        raise StageFailed(what, "training", todo)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; one that was cut off while being written has no trainer_state.json yet."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """Steps that were done when a checkpoint was written."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


@contextmanager
def scoring_labels_only() -> Iterator[None]:
    """Keeps TRL's language-model head to the response tokens on a CPU too, as on a GPU; the losses are the same.

    Elsewhere TRL scores every position, for compilers that want fixed shapes: 1.4 times our time for an epoch. The name
    we replace decides this alone, in this module; the kernels ask their own. Were it gone, we would only be slow.
    """
    before = vars(utils).get("_use_triton")
    vars(utils).update(_use_triton=lambda device: True)
    try:
        yield
    finally:
        vars(utils).update(_use_triton=before)


class Ours:
    """Mixed into TRL's trainers: rows in batches of like length, whole checkpoints, and nothing sent to anyone."""

    order: Any  # the sampler, which `OrderOfEpoch` tells the epoch

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows = self.train_dataset if train_dataset is None else train_dataset  # type: ignore[attr-defined]
        args = self.args  # type: ignore[attr-defined]
        device_batch, processes = args.train_batch_size, args.world_size
        lengths = [row_length(row) for row in rows]
        if processes > 1:
            lengths.pop()  # the filler, which `in_processes` added
        batch = device_batch * args.gradient_accumulation_steps * processes
        self.order = LikeLengths(lengths, batch, args.seed, processes, device_batch)
        return self.order

    def _save_rng_state(self, output_dir: str) -> None:
        """Waits for all processes: trainer_state.json, written next, then says that every part of a checkpoint is there."""
        super()._save_rng_state(output_dir)  # type: ignore[misc]
        self.accelerator.wait_for_everyone()  # type: ignore[attr-defined]

    def _send_telemetry(self) -> None:
        """TRL reports each trainer to its makers; the environment variable against it is read too early to be set."""


class OfPairs(Ours):
    """Mixed into trainers on pairs, whose loss is the mean over the pairs of the whole batch, not of its parts' means."""

    def is_pair(self, inputs: Any) -> torch.Tensor:
        """(rows,): whether a row of a batch is a pair and no filler."""
        raise NotImplementedError

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        """Pairs of the whole batch, over all processes."""
        num_pairs = sum(int(self.is_pair(inputs).sum()) for inputs in batch_samples)
        total: torch.Tensor = self.accelerator.gather(torch.tensor([num_pairs], device=device)).sum()  # type: ignore[attr-defined]
        return total


def in_processes(rows: list[dict[str, list[int]]], training: Training | None) -> list[dict[str, list[int]]]:
    """The rows of a trainer: with several processes, and the filler after them."""
    return [*rows, filler(rows)] if training is not None and training.processes > 1 else rows


class Report(TrainerCallback):
    """Passes steps to the progress, scalars to the log, and asks for a checkpoint every `CHECKPOINT_EVERY_S`.

    Runs in every process; `advance` and `log` are heard of the first alone.
    """

    def __init__(self, advance: Callable[[int], object], log: Callable[..., None]) -> None:
        self.advance, self.log, self.saved_at = advance, log, time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        late = time.monotonic() - self.saved_at >= CHECKPOINT_EVERY_S
        if args.world_size > 1:  # clocks differ, and a checkpoint is written by all or by none
            (late,) = broadcast_object_list([late])
        if late and state.global_step < state.max_steps:
            control.should_save = True
            self.saved_at = time.monotonic()
        self.advance(1)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
        logs: dict[str, float] | None = None, **_: Any,
    ) -> None:  # fmt: skip
        if not logs or "loss" not in logs:  # the summary at the end
            return
        if not math.isfinite(logs["loss"]):
            what = f"the loss is {logs['loss']} at step {state.global_step}"
            raise StageFailed(what, "training", "lower the learning rate")
        self.log(step=state.global_step, **{name: logs[name] for name in LOGGED if name in logs})


class Snapshots(TrainerCallback):
    """Has the model kept every so many steps, that at the end of the training aside; `keep` takes the step.

    Runs in every process, as weights that are split over them are gathered from all.
    """

    def __init__(self, every: int, keep: Callable[[int], object]) -> None:
        self.every, self.keep = every, keep

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step % self.every == 0 and state.global_step < state.max_steps:
            self.keep(state.global_step)


class OrderOfEpoch(TrainerCallback):
    """Tells the order of rows which epoch it is: in a resumed epoch of several processes, accelerate forgets to."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.order.set_epoch(int(state.epoch or 0))


def attach(trainer: Any, *callbacks: TrainerCallback) -> None:
    """Our callbacks in the place of the one that prints to standard output."""
    trainer.remove_callback(PrinterCallback)
    for callback in (OrderOfEpoch(trainer), *callbacks):
        trainer.add_callback(callback)


def whole_weights(trainer: Any) -> dict[str, torch.Tensor] | None:
    """Name -> float32 weights of a model that is split over processes, in the first of them, on the processor.

    None where every process has the whole model. All processes must call it.
    """
    accelerator = trainer.accelerator
    kind = accelerator.distributed_type.value
    if kind == "FSDP":
        weights: dict[str, torch.Tensor] = accelerator.get_state_dict(trainer.model)
        return weights
    if kind == "DEEPSPEED":
        return _zero_weights(trainer, accelerator.is_main_process)
    return None


def _zero_weights(trainer: Any, keep: bool) -> dict[str, torch.Tensor]:
    """The optimiser's float32 weights, one gathered after the other: the model's own are in the type of the arithmetic."""
    from deepspeed.utils import safe_get_full_fp32_param

    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    weights = {}
    for name, parameter in model.named_parameters():
        whole = safe_get_full_fp32_param(parameter)
        if keep:
            weights[name] = whole.detach().float().cpu()
    return weights
