"""A lesson in, a trained model folder out: the one door to training (arXiv 2401.10020, section 2.4).

Interrupted training goes on from its last checkpoint, bit for bit; a finished model is never trained again.
"""

import gc
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfreward.chat import load_tokenizer
from selfreward.errors import BadInput, StageFailed
from selfreward.progress import Progress
from selfreward.recipe import Dpo, Recipe, Sft
from selfreward.records import Lesson, digest, seed_of
from selfreward.store import saving


def train(
    lesson: Lesson,
    models: Callable[[int], str],
    folder: Path,
    recipe: Recipe,
    progress: Progress,
    log: Callable[..., None],
) -> Path:
    """Teaches `lesson` to M_k, k = lesson.start; returns `folder / "model"`, safetensors in float32 and the tokenizer.

    `models(k)` is the folder of M_k. Settings come from `recipe.sft` or `recipe.dpo`; rows longer than their max_tokens
    are left out and logged as `num_dropped`. Same lesson, settings and seed: same weights to the bit on one machine.
    Raises StageFailed when there is nothing to train on, when DPO's first loss is not ln 2 although `start` is
    `reference`, and when the loss or the weights are not finite; BadInput under a launcher of several processes, which
    would each train alone.
    """
    finished = folder / "model"
    if finished.exists():
        return finished
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput("training runs in one process", "WORLD_SIZE", "start without torchrun or accelerate launch")
    settings: Sft | Dpo = recipe.sft if lesson.method == "sft" else recipe.dpo
    # A checkpoint belongs to one lesson, one start and one set of settings; anything else starts afresh.
    stamp = digest(lesson.model_dump_json(), sorted(vars(settings).items()), recipe.seed)
    checkpoints = folder / "checkpoints" / stamp

    def log_training(**scalars: object) -> None:
        log(model=folder.name, method=lesson.method, **scalars)

    seed = seed_of(recipe.seed, "train") % 2**32  # what numpy takes
    with _quiet_libraries():
        model, tokenizer = _fit(lesson, models, checkpoints, settings, seed, folder.name, progress, log_training)
        _save(model, tokenizer, models(lesson.start), finished)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    del model
    _free_memory()
    return finished


def _fit(
    lesson: Lesson, models: Callable[[int], str], checkpoints: Path, settings: Any, seed: int, name: str,
    progress: Progress, log: Callable[..., None],
) -> tuple[Any, Any]:  # fmt: skip
    """The trained model in memory, and its tokenizer."""
    from selfreward.training import data, dpo, sft, trainer as shared  # torch and TRL  # isort: skip

    tokenizer = load_tokenizer(models(lesson.start))
    if lesson.method == "sft":
        rows = data.sft_rows(tokenizer, lesson.examples, settings.max_tokens)
    else:
        rows = data.dpo_rows(tokenizer, lesson.pairs, settings.max_tokens)
    num_records = len(lesson.examples) + len(lesson.pairs)
    if not rows:
        what = f"none of {num_records} {lesson.method} rows has at most {settings.max_tokens} tokens"
        raise StageFailed(what if num_records else "the lesson is empty", f"training {name}")
    steps = shared.num_steps(len(rows), settings)
    log(num_rows=len(rows), num_dropped=num_records - len(rows), num_steps=steps)

    checkpoint = shared.last_checkpoint(checkpoints)
    done = shared.step_of(checkpoint) if checkpoint else 0
    with shared.scoring_labels_only(), progress.stage(f"train {name}", steps, done) as advance:
        model = shared.load_model(models(lesson.start), settings.dropout)
        if lesson.method == "sft":
            trainer: Any = sft.sft_trainer(model, tokenizer, rows, settings, checkpoints, seed)
        else:
            if lesson.reference is None:
                raise StageFailed("the DPO lesson names no reference model", f"training {name}")
            reference = shared.load_model(models(lesson.reference))
            trainer = dpo.dpo_trainer(model, reference, tokenizer, rows, settings, checkpoints, seed)
            del reference
            loss = dpo.first_loss(trainer)
            log(first_loss=loss)
            if lesson.start == lesson.reference:
                dpo.check_first_loss(loss)
        shared.attach(trainer, shared.Report(advance, log))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return model, tokenizer


def _save(model: Any, tokenizer: Any, start: str, finished: Path) -> None:
    """Writes the model folder, with the configuration of its start: that of training has dropout and no cache."""
    import torch
    from transformers import AutoConfig

    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise StageFailed("training ended in weights that are not finite", finished, "lower the learning rate")
    model.config = AutoConfig.from_pretrained(start)
    with saving(finished) as unfinished:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Standard output is the caller's: no bars, no advice, no reports to anyone."""
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", TQDM_DISABLE="1")
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL and transformers warn each other about field names
        yield


def _free_memory() -> None:
    """A trainer holds itself in cycles, and the next engine needs the memory."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
