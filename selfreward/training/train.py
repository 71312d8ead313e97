"""A lesson in, a trained model folder out: the one door to training (arXiv 2401.10020, section 2.4).

A lesson becomes rows of token ids and an order; the order is carried out in this process or in several (`teach.py`). A
finished model is never trained again.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfreward.chat import load_tokenizer
from selfreward.errors import StageFailed
from selfreward.guards import sound, training_alarms
from selfreward.memory import free_memory, with_less
from selfreward.progress import Progress
from selfreward.recipe import Recipe, Rl
from selfreward.records import Lesson, digest
from selfreward.stamp import weight_hashes
from selfreward.store import COUNTS_FILE, MODEL_FOLDER
from selfreward.training.launch import launch
from selfreward.training.order import Order, Rows, settings_of
from selfreward.training.processes import check_processes, distributed_type
from selfreward.training.teach import CHECKPOINTS_FOLDER, quiet_libraries, teach

ORDER_FOLDER = "order"


def train(
    lesson: Lesson,
    models: Callable[[int], str],
    folder: Path,
    recipe: Recipe,
    progress: Progress,
    log: Callable[..., None],
    logs: Path | None = None,
) -> Path:
    """Teaches `lesson` to M_k, k = lesson.start; returns `folder / "model"`, safetensors in float32 and the tokenizer.

    `models(k)` is the folder of M_k. Settings come from the recipe's section for the method; rows longer than its max_tokens,
    or than the model can read, are left out and logged as `num_dropped`; `num_tokens` are those read in all epochs. Where a
    batch does not fit into memory, fewer of its rows are on a device at once. Same lesson, settings and seed: same weights
    to the bit on one machine.
    Processes that `recipe.training` asks for write to `logs`, or to the model's folder. Raises StageFailed when there is
    nothing to train on, when DPO's first loss is not ln 2 although `start` is `reference`, when the loss or the weights
    are not finite, when a guard of the recipe's stops it, and when a process ends; BadInput where this process is itself
    one of several, which would each train alone.

    With `training.early_stopping` a DPO lesson leaves `folder / "snapshots"` and no model: one of them is still to become it.
    """
    finished = folder / MODEL_FOLDER
    if not finished.exists():
        _make(lesson, models, folder, recipe, progress, log, logs or folder)
        free_memory()
    for rest in (CHECKPOINTS_FOLDER, ORDER_FOLDER):  # also what a kill left between the model and this line
        shutil.rmtree(folder / rest, ignore_errors=True)
    return finished


def _make(
    lesson: Lesson, models: Callable[[int], str], folder: Path, recipe: Recipe, progress: Progress,
    log: Callable[..., None], logs: Path,
) -> None:  # fmt: skip
    """Makes the model folder, or the last of the snapshots."""
    from selfreward.training import trainer as shared  # torch and TRL

    check_processes(recipe)

    first_loss: float | None = None
    sounded: set[str] = set()

    def log_training(**scalars: Any) -> None:
        nonlocal first_loss
        log(model=folder.name, method=lesson.method, **scalars)
        if "loss" in scalars:
            first_loss = scalars["loss"] if first_loss is None else first_loss
            alarms = training_alarms(scalars, first_loss, recipe.dpo.beta, recipe.guards)
            sound([a for a in alarms if a.guard not in sounded], recipe.guards, folder.name, log)
            sounded.update(alarm.guard for alarm in alarms)

    with quiet_libraries():
        rows = _rows(lesson, models, folder, recipe, log_training)
    order = _order(lesson, models, folder, recipe)
    if not order.finished(shared.num_steps(len(rows), order.settings)).exists():
        _carry_out(order, rows, logs, progress, log_training)


def _rows(lesson: Lesson, models: Callable[[int], str], folder: Path, recipe: Recipe, log: Callable[..., None]) -> Rows:
    """The lesson as token ids; what is too long is counted. StageFailed where nothing is left."""
    from selfreward.training import data, trainer as shared  # torch and TRL  # isort: skip

    start, trusted = models(lesson.start), recipe.engine.trust_remote_code
    settings = settings_of(lesson.method, recipe)
    tokenizer = load_tokenizer(start, trusted)
    room = shared.context(start, trusted)
    if isinstance(settings, Rl):
        limit, todo = (room or sys.maxsize) - recipe.responses.max_tokens, "lower responses.max_tokens"
    else:
        limit, todo = min(settings.max_tokens, room or settings.max_tokens), "raise max_tokens"
    if lesson.method == "sft":
        rows = data.sft_rows(tokenizer, lesson.examples, limit)
    elif lesson.method == "reward":
        rows = data.reward_rows(tokenizer, lesson.pairs, limit)
    elif lesson.method == "rl":
        rows = data.rl_rows(tokenizer, lesson.prompts, limit)
    else:
        rows = data.dpo_rows(tokenizer, lesson.pairs, limit, lesson.loss)
    num_records = len(lesson.examples) + len(lesson.pairs) + len(lesson.prompts)
    if not rows:
        what = f"none of {num_records} {lesson.method} rows has at most {limit} tokens"
        todo = f"see {COUNTS_FILE} beside it for what was dropped" if num_records == 0 else todo
        raise StageFailed(what if num_records else "the lesson is empty", f"training {folder.name}", todo)
    log(
        num_rows=len(rows),
        num_dropped=num_records - len(rows),
        num_steps=shared.num_steps(len(rows), settings),
        num_tokens=settings.epochs * sum(map(data.row_tokens, rows)),
    )
    return rows


def _order(lesson: Lesson, models: Callable[[int], str], folder: Path, recipe: Recipe) -> Order:
    """What is to be done, with paths that hold on any machine that sees the run. StageFailed for DPO and RL without reference."""
    reference, weights = None, ""
    if lesson.method in ("dpo", "rl"):
        if lesson.reference is None:
            raise StageFailed(f"the {lesson.method.upper()} lesson names no reference model", f"training {folder.name}")
        reference = Path(models(lesson.reference)).absolute()
        weights = digest(*weight_hashes(str(reference)).values())
    if lesson.method == "rl" and lesson.reward_model is None:
        raise StageFailed("the RL lesson names no reward model", f"training {folder.name}")
    rewarding = (folder.parent / lesson.reward_model / MODEL_FOLDER).absolute() if lesson.reward_model else None
    return Order(
        method=lesson.method,
        lesson=digest(lesson.model_dump_json()),
        start=Path(models(lesson.start)).absolute(),
        reference=reference,
        loss=lesson.loss,
        reference_weights=weights,
        reward_model=rewarding,
        folder=folder.absolute(),
        recipe=recipe,
        distributed_type=distributed_type(recipe.training),
    )


def _carry_out(order: Order, rows: Rows, logs: Path, progress: Progress, log: Callable[..., None]) -> None:
    """Has the order carried out, with fewer rows on a device each time memory runs out."""
    from selfreward.training import trainer as shared  # torch and TRL  # isort: skip

    training = order.recipe.training

    def attempt(device_batch: int) -> None:
        ours = order.on_device(device_batch)
        if training.launcher == "in_process":
            teach(ours, rows, progress, log)
        else:
            launch(ours, rows, order.folder / ORDER_FOLDER, logs, progress, log)

    part = shared.part_of_batch(order.settings, training)
    first = shared.fitting(part, training.device_batch or part)
    _, device_batch = with_less(
        attempt, first, lambda size: shared.fitting(part, size // 2), f"training {order.folder.name}"
    )
    if device_batch < first:
        log(device_batch=device_batch)
