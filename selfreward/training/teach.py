"""An order carried out: from token ids to the next model on disk, in one process or in each of several alike.

Interrupted training goes on from its last checkpoint, bit for bit. With several processes all call `teach`; the first
of them reports and saves.
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
from selfreward.errors import StageFailed
from selfreward.judges.reward_model import open_reward_model
from selfreward.progress import Progress
from selfreward.records import digest
from selfreward.store import saving, writing
from selfreward.training.order import Order, Rows
from selfreward.training.reference import reference_file

CHECKPOINTS_FOLDER = "checkpoints"
GENERATION_CONFIG = "generation_config.json"


def teach(order: Order, rows: Rows, progress: Progress, log: Callable[..., None]) -> None:
    """Trains as the order says and writes the model folder: safetensors in float32 and the tokenizer.

    Where the order wants snapshots, they are written on the way, and the model at the end is the last of them. StageFailed
    when the processes are not those of the order, when DPO's first loss is not ln 2 although the model starts from its
    reference, and when the loss or the weights are not finite.
    """
    from selfreward.training import trainer as shared  # torch and TRL

    with quiet_libraries():
        tokenizer = load_tokenizer(order.start, order.recipe.engine.trust_remote_code)
        trained = _trained(order, rows, tokenizer, progress, log)
        _keep(order, trained, tokenizer, order.finished(shared.num_steps(len(rows), order.settings)))


def _keep(order: Order, trainer: Any, tokenizer: Any, folder: Path) -> None:
    """Writes the model as it is at this moment, adapters merged; all processes call it, and the first writes.

    What is trained on is as it was before, random numbers too, so that a training with snapshots is the one without.
    """
    import torch
    from selfreward.training import adapters, trainer as shared  # isort: skip

    weights = shared.whole_weights(trainer)
    if not trainer.accelerator.is_main_process:
        return
    model, trusted = trainer.accelerator.unwrap_model(trainer.model), order.recipe.engine.trust_remote_code
    if order.snapshot_every:  # a training that was killed after this snapshot goes on from a checkpoint before it
        shutil.rmtree(folder, ignore_errors=True)
    with torch.random.fork_rng(devices=[]):  # the copy into which an adapter is merged is on the processor
        if order.recipe.adapter.kind != "none":
            quantization = adapters.quantization(order.recipe.adapter, "float32")
            base = _start(order, trust_remote_code=trusted, quantization=quantization, device_map="cpu")
            model = adapters.merged(model, base)
        _save(model, weights, tokenizer, order, folder, trusted)


def _start(order: Order, dropout: float = 0.0, **options: Any) -> Any:
    """The model that the order begins with; a reward model's has a head of its own."""
    from selfreward.training import trainer as shared  # torch and TRL  # isort: skip

    if order.method == "reward":
        from selfreward.training import reward_model

        return reward_model.new_reward_model(str(order.start), order.seed, **options)
    return shared.load_model(str(order.start), dropout, **options)


def _trained(order: Order, rows: Rows, tokenizer: Any, progress: Progress, log: Callable[..., None]) -> Any:
    """The trainer at the end of its training, from the last checkpoint if there is one."""
    from transformers import set_seed
    from selfreward.training import adapters, dpo, sft, trainer as shared  # torch and TRL  # isort: skip

    recipe, training = order.recipe, order.recipe.training
    settings: Any = order.settings
    name, seed = order.folder.name, order.seed
    # A checkpoint belongs to one lesson, one start and one set of settings; anything else starts afresh.
    stamp = digest(order.lesson, settings.model_dump_json(), training.model_dump_json(),
                   recipe.adapter.model_dump_json(), recipe.seed)  # fmt: skip
    checkpoints = order.folder / CHECKPOINTS_FOLDER / stamp
    checkpoint = shared.last_checkpoint(checkpoints)
    done = shared.step_of(checkpoint) if checkpoint else 0
    dtype = shared.arithmetic(training)
    frozen: dict[str, Any] = {"trust_remote_code": recipe.engine.trust_remote_code}
    if recipe.adapter.kind != "none":
        frozen |= {"dtype": dtype, "quantization": adapters.quantization(recipe.adapter, dtype)}

    steps = shared.num_steps(len(rows), settings)
    with shared.scoring_labels_only(), progress.stage(f"train {name}", steps, done) as advance:
        joined = shared.join_processes(settings, training, checkpoints, seed)
        model = _start(order, getattr(settings, "dropout", 0.0), **frozen)
        ours = deepcopy(tokenizer)  # TRL fills in a padding token where there is none; M_k keeps what M0 has
        set_seed(seed)  # an adapter begins with random numbers
        adapter = adapters.lora_config(recipe.adapter, model, "SEQ_CLS" if order.method == "reward" else "CAUSAL_LM")
        callbacks: list[Any] = [shared.Report(advance, log)]
        is_its_own_reference = order.reference == order.start
        reference = None
        if order.reference is not None and (adapter is None or not is_its_own_reference):
            reference = shared.load_model(str(order.reference), **frozen)
        if order.method == "sft":
            trainer: Any = sft.sft_trainer(
                model, ours, rows, settings, checkpoints, seed, training=training, adapter=adapter
            )
        elif order.method == "reward":
            from selfreward.training import reward_model

            trainer = reward_model.reward_trainer(
                model, ours, rows, settings, checkpoints, seed, training=training, adapter=adapter
            )
        elif order.method == "rl":
            from selfreward.training import rl

            assert order.reward_model  # an RL order has one
            rewards = open_reward_model(order.reward_model, recipe).of_chats
            trainer = rl.rl_trainer(
                model, reference, ours, rows, rewards, settings, recipe.responses.max_tokens, checkpoints, seed,
                training=training, adapter=adapter,
            )  # fmt: skip
            callbacks.append(rl.RlReport(trainer, log, is_its_own_reference))
        else:
            kept = reference_file(
                checkpoints.parent, order.reference_weights, rows, recipe.adapter.model_dump_json(), dtype,
                training.device_batch, training.processes,
            )  # fmt: skip
            trainer = dpo.dpo_trainer(
                model, reference, ours, rows, settings, checkpoints, seed, training=training, adapter=adapter, kept=kept,
                loss=order.loss,
            )  # fmt: skip
            callbacks.append(dpo.FirstLoss(trainer, log, is_its_own_reference))
        if order.snapshot_every:

            def keep(step: int) -> None:
                _keep(order, trainer, tokenizer, order.snapshot(step))

            callbacks.append(shared.Snapshots(order.snapshot_every, keep))
        del joined, reference
        shared.check_distributed(trainer.accelerator, training.processes, order.distributed_type)
        shared.attach(trainer, *callbacks)
        with writing(checkpoints):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


def _save(
    model: Any, weights: dict[str, Any] | None, tokenizer: Any, order: Order, finished: Path, trust_remote_code: bool
) -> None:
    """Writes the model folder `finished`, with the settings of its start: those of training have dropout, padding and no cache.

    `weights` are those of a model that was split over processes; None where the model has them. A reward model keeps its
    token for padding, as the end of a padded row is told by it.
    """
    import torch
    from transformers import AutoConfig, GenerationConfig

    start = order.start
    values = model.parameters() if weights is None else weights.values()
    if not all(bool(torch.isfinite(parameter).all()) for parameter in values):
        raise StageFailed("training ended in weights that are not finite", finished, "lower the learning rate")
    training = {name: getattr(model, name) for name in ("config", "generation_config") if hasattr(model, name)}
    padding = model.config.get_text_config().pad_token_id
    model.config = AutoConfig.from_pretrained(start, trust_remote_code=trust_remote_code)
    if order.method == "reward":
        model.config.num_labels = 1
        model.config.get_text_config().pad_token_id = padding
    elif (start / GENERATION_CONFIG).is_file():
        model.generation_config = GenerationConfig.from_pretrained(start)
    try:
        with saving(finished) as unfinished:
            model.save_pretrained(unfinished, state_dict=weights)
            tokenizer.save_pretrained(unfinished)
    finally:
        for name, value in training.items():
            setattr(model, name, value)


@contextmanager
def quiet_libraries() -> Iterator[None]:
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
