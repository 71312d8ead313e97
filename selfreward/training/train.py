"""A lesson in, a trained model folder out: the one door to training (arXiv 2401.10020, section 2.4).

Interrupted training goes on from its last checkpoint, bit for bit; a finished model is never trained again.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from selfreward.chat import load_tokenizer
from selfreward.errors import BadInput, StageFailed
from selfreward.memory import free_memory, with_less
from selfreward.progress import Progress
from selfreward.recipe import Dpo, Recipe, Sft, Training
from selfreward.records import Lesson, digest, seed_of
from selfreward.store import saving

GENERATION_CONFIG = "generation_config.json"


def train(
    lesson: Lesson,
    models: Callable[[int], str],
    folder: Path,
    recipe: Recipe,
    progress: Progress,
    log: Callable[..., None],
) -> Path:
    """Teaches `lesson` to M_k, k = lesson.start; returns `folder / "model"`, safetensors in float32 and the tokenizer.

    `models(k)` is the folder of M_k. Settings come from `recipe.sft` or `recipe.dpo`; rows longer than their max_tokens,
    or than the model can read, are left out and logged as `num_dropped`. Where a batch does not fit into memory, fewer
    of its rows are on the device at once. Same lesson, settings and seed: same weights to the bit on one machine.
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

    def log_training(**scalars: object) -> None:
        log(model=folder.name, method=lesson.method, **scalars)

    seed = seed_of(recipe.seed, "train") % 2**32  # what numpy takes
    with _quiet_libraries():
        model, tokenizer = _fit(lesson, models, folder, recipe, settings, seed, progress, log_training)
        _save(model, tokenizer, models(lesson.start), finished, recipe.engine.trust_remote_code)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    del model
    free_memory()
    return finished


def _fit(
    lesson: Lesson, models: Callable[[int], str], folder: Path, recipe: Recipe, settings: Sft | Dpo, seed: int,
    progress: Progress, log: Callable[..., None],
) -> tuple[Any, Any]:  # fmt: skip
    """The trained model in memory, and its tokenizer."""
    from selfreward.training import adapters, data, trainer as shared  # torch and TRL  # isort: skip

    start, trusted = models(lesson.start), recipe.engine.trust_remote_code
    tokenizer = load_tokenizer(start, trusted)
    limit = min(settings.max_tokens, shared.context(start, trusted) or settings.max_tokens)
    if lesson.method == "sft":
        rows = data.sft_rows(tokenizer, lesson.examples, limit)
    else:
        rows = data.dpo_rows(tokenizer, lesson.pairs, limit)
    num_records = len(lesson.examples) + len(lesson.pairs)
    if not rows:
        what = f"none of {num_records} {lesson.method} rows has at most {limit} tokens"
        raise StageFailed(what if num_records else "the lesson is empty", f"training {folder.name}")
    log(num_rows=len(rows), num_dropped=num_records - len(rows), num_steps=shared.num_steps(len(rows), settings))

    def attempt(device_batch: int) -> Any:
        training = recipe.training.model_copy(update={"device_batch": device_batch})
        return _attempt(lesson, models, folder, recipe, settings, training, seed, tokenizer, rows, progress, log)

    first = shared.fitting(settings.batch, recipe.training.device_batch or settings.batch)
    model, device_batch = with_less(
        attempt, first, lambda size: shared.fitting(settings.batch, size // 2), f"training {folder.name}"
    )
    if device_batch < first:
        log(device_batch=device_batch)
    if recipe.adapter.kind != "none":
        quantization = adapters.quantization(recipe.adapter, "float32")
        base = shared.load_model(start, trust_remote_code=trusted, quantization=quantization, device_map="cpu")
        model = adapters.merged(model, base)
    return model, tokenizer


def _attempt(
    lesson: Lesson, models: Callable[[int], str], folder: Path, recipe: Recipe, settings: Any, training: Training,
    seed: int, tokenizer: Any, rows: list[dict[str, list[int]]], progress: Progress, log: Callable[..., None],
) -> Any:  # fmt: skip
    """The model, trained to the end with `training.device_batch` rows at once, from the last checkpoint if there is one."""
    from transformers import set_seed
    from selfreward.training import adapters, dpo, sft, trainer as shared  # torch and TRL  # isort: skip

    # A checkpoint belongs to one lesson, one start and one set of settings; anything else starts afresh.
    stamp = digest(lesson.model_dump_json(), settings.model_dump_json(), training.model_dump_json(),
                   recipe.adapter.model_dump_json(), recipe.seed)  # fmt: skip
    checkpoints = folder / "checkpoints" / stamp
    checkpoint = shared.last_checkpoint(checkpoints)
    done = shared.step_of(checkpoint) if checkpoint else 0
    dtype = shared.arithmetic(training)
    frozen: dict[str, Any] = {"trust_remote_code": recipe.engine.trust_remote_code}
    if recipe.adapter.kind != "none":
        frozen |= {"dtype": dtype, "quantization": adapters.quantization(recipe.adapter, dtype)}

    steps = shared.num_steps(len(rows), settings)
    with shared.scoring_labels_only(), progress.stage(f"train {folder.name}", steps, done) as advance:
        model = shared.load_model(models(lesson.start), settings.dropout, **frozen)
        ours = deepcopy(tokenizer)  # TRL fills in a padding token where there is none; M_k keeps what M0 has
        set_seed(seed)  # an adapter begins with random numbers
        adapter = adapters.lora_config(recipe.adapter, model)
        if lesson.method == "sft":
            trainer: Any = sft.sft_trainer(
                model, ours, rows, settings, checkpoints, seed, training=training, adapter=adapter
            )
        else:
            if lesson.reference is None:
                raise StageFailed("the DPO lesson names no reference model", f"training {folder.name}")
            reference = None
            if adapter is None or lesson.reference != lesson.start:
                reference = shared.load_model(models(lesson.reference), **frozen)
            trainer = dpo.dpo_trainer(
                model, reference, ours, rows, settings, checkpoints, seed, training=training, adapter=adapter
            )
            del reference
            loss = dpo.first_loss(trainer)
            log(first_loss=loss)
            if lesson.start == lesson.reference:
                dpo.check_first_loss(loss)
        shared.attach(trainer, shared.Report(advance, log))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer.model


def _save(model: Any, tokenizer: Any, start: str, finished: Path, trust_remote_code: bool) -> None:
    """Writes the model folder, with the settings of its start: those of training have dropout, padding and no cache."""
    import torch
    from transformers import AutoConfig, GenerationConfig

    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise StageFailed("training ended in weights that are not finite", finished, "lower the learning rate")
    model.config = AutoConfig.from_pretrained(start, trust_remote_code=trust_remote_code)
    if (Path(start) / GENERATION_CONFIG).is_file():
        model.generation_config = GenerationConfig.from_pretrained(start)
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
