"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), on TRL's `DPOTrainer`.

loss = -log sigmoid(beta [(log p(chosen) - log ref(chosen)) - (log p(rejected) - log ref(rejected))]), where each log p
is the SUM over the response's tokens. Settings as in arXiv 2401.10020, section 3.1.3.
"""

import math
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from selfreward.errors import StageFailed
from selfreward.recipe import Dpo, Training
from selfreward.training.trainer import Ours, arguments, on_one_device


class Trainer(Ours, DPOTrainer):
    """TRL's DPO on rows that are token ids already."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # TRL would apply the chat template itself, and might disagree with the sampler's


def dpo_trainer(model: Any, reference: Any | None, tokenizer: Any, rows: list[dict[str, list[int]]], settings: Dpo,
                folder: Path, seed: int, training: Training | None = None, adapter: Any | None = None) -> Any:  # fmt: skip
    """A trainer on rows of `prompt_ids`, `chosen_ids`, `rejected_ids`, with the reference's log-probs in the rows.

    `reference` is a model of its own: without one TRL would load it from the PATH the model came from. With `adapter`,
    PEFT's configuration of what is trained, None stands for the model without its adapter.
    """
    if reference is None and adapter is None:
        raise ValueError("a model that is trained whole needs a reference of its own")
    shared = arguments(settings, training, folder, seed)
    config = DPOConfig(
        **shared,
        beta=settings.beta,
        disable_dropout=False,  # the recipe decides; the reference is in evaluation mode, where there is none
        precompute_ref_log_probs=True,
        precompute_ref_batch_size=shared["per_device_train_batch_size"],
    )
    on_one_device(config)
    trainer = Trainer(
        model=model,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter,
    )
    trainer.ref_model = None  # its log-probs are in the rows: free the memory
    return trainer


def first_loss(trainer: Any) -> float:
    """The DPO loss before any step, without dropout, on the first rows; ln 2 when the model is its own reference.

    The rows are batched as they were for the reference, so the two agree to the bit in any precision.
    """
    num_rows = min(trainer.args.precompute_ref_batch_size, len(trainer.train_dataset))
    rows = [trainer.train_dataset[i] for i in range(num_rows)]
    batch = trainer._prepare_inputs(trainer.data_collator(rows))
    trainer.model.eval()
    with torch.no_grad(), trainer.accelerator.autocast():
        loss = trainer.compute_loss(trainer.model, batch).item()
    trainer.model.train()
    trainer._metrics["eval"].clear()
    return loss


def check_first_loss(loss: float) -> None:
    """Raises StageFailed unless the loss is ln 2 (+- 1e-3): the model and its reference are not the same weights."""
    if not abs(loss - math.log(2)) <= 1e-3:
        raise StageFailed(
            f"the first DPO loss is {loss:.4f} and not ln 2 = 0.6931: the reference is not the model we start from",
            "training",
            "were weights in its folder changed while the run was going on?",
        )
