"""Supervised fine-tuning on the response tokens only (arXiv 2401.10020, section 3.1.3), on TRL's `SFTTrainer`."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from selfreward.recipe import Sft, Training
from selfreward.training.trainer import Ours, arguments, in_processes, on_one_device


class Trainer(Ours, SFTTrainer):
    """TRL's SFT with the order and the silence of `Ours`."""


def sft_trainer(model: Any, tokenizer: Any, rows: list[dict[str, list[int]]], settings: Sft, folder: Path, seed: int,
                training: Training | None = None, adapter: Any | None = None) -> Any:  # fmt: skip
    """A trainer on rows of `input_ids` and `labels`; the loss is the mean over all response tokens of a batch.

    `adapter` is PEFT's configuration of what is trained in place of all weights.
    """
    config = SFTConfig(
        **arguments(settings, training, folder, seed),
        max_length=None,  # over-long rows are left out and counted before, never cut
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    on_one_device(config)
    return Trainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(in_processes(rows, training)),
        processing_class=tokenizer,
        peft_config=adapter,
    )
