"""A reward model: a language model's body with a head of one number, trained on pairs (Ouyang et al. 2022, arXiv 2203.02155).

loss = -log sigmoid(reward(chosen) - reward(rejected)), the model of Bradley and Terry, on TRL's `RewardTrainer`. Rewards
are read at the end of the assistant's turn, where `judges/reward_model.py` reads them.
"""

import math
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoConfig, set_seed
from trl import RewardConfig, RewardTrainer

from selfreward.recipe import RewardModel, Training
from selfreward.training.trainer import OfPairs, arguments, dropout_fields, in_processes, on_one_device
from selfreward.weights import load_reward_model

MEANS = ("accuracy", "margin")


class Trainer(OfPairs, RewardTrainer):
    """TRL's reward modelling with the mean over the pairs of the whole batch, as in `dpo.Trainer`."""

    loss_is_scaled_for_ga = True

    def is_pair(self, inputs: Any) -> torch.Tensor:
        """(rows,): whether a row is a pair and no filler, whose sides are the same; so are those of two texts in unknown words.

        The chosen ones stand first.
        """
        chosen, rejected = inputs["input_ids"].chunk(2)
        found: torch.Tensor = (chosen != rejected).any(1)
        return found

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """This part's share of the mean over the batch, times the processes, over which gradients are averaged."""
        is_pair, processes = self.is_pair(inputs), self.accelerator.num_processes
        loss: torch.Tensor = super().compute_loss(model, inputs)
        if num_items_in_batch is None:
            return loss
        if processes > 1:
            num_pairs = max(1, int(self.accelerator.gather(is_pair.sum()[None]).sum()))
            for name in MEANS:
                self._metrics["train"][name][-1] *= len(is_pair) * processes / num_pairs
        fillers = len(is_pair) - int(is_pair.sum())
        if fillers:
            loss = loss - math.log(2) * fillers / len(is_pair)
        return loss * (len(is_pair) * processes / max(1, int(num_items_in_batch)))


def new_reward_model(
    folder: str,
    seed: int,
    trust_remote_code: bool = False,
    dtype: torch.dtype = torch.float32,
    quantization: Any | None = None,
    device_map: str | None = None,
) -> Any:
    """The model of a folder with a new head in place of the one for words; the same `seed` draws the same."""
    config = AutoConfig.from_pretrained(folder, num_labels=1, trust_remote_code=trust_remote_code)
    for name in dropout_fields(config):
        setattr(config, name, 0.0)  # as TRL has it; and both sides of a filler must get one reward
    set_seed(seed)
    return load_reward_model(
        folder,
        with_new_head=True,
        config=config,
        dtype=dtype,
        quantization_config=quantization,
        trust_remote_code=trust_remote_code,
        device_map=device_map,
    )


def reward_trainer(model: Any, tokenizer: Any, rows: list[dict[str, Any]], settings: RewardModel, folder: Path, seed: int,
                   training: Training | None = None, adapter: Any | None = None) -> Any:  # fmt: skip
    """A trainer on rows of `chosen_ids` and `rejected_ids`, each a whole chat; `adapter` as for SFT."""
    config = RewardConfig(**arguments(settings, training, folder, seed), max_length=None, disable_dropout=True)
    on_one_device(config)
    return Trainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(in_processes(rows, training)),
        processing_class=tokenizer,
        peft_config=adapter,
    )
