"""Reinforcement learning against a reward model (Ahmadian et al. 2024, RLOO, arXiv 2402.14740), on TRL's `RLOOTrainer`.

Each of N samples of a prompt has r = reward - beta (log p - log ref), each log p the SUM over the response's tokens; its
advantage is r less the mean r of the other N - 1. loss = -advantage * log p(response), in TRL's form with a clipped ratio.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import RLOOConfig, RLOOTrainer
from trl.trainer.utils import add_fused_lm_head

from selfreward.chat import end_ids, end_of_turn
from selfreward.errors import StageFailed
from selfreward.recipe import Rl, Training
from selfreward.training.data import SeveralOfEach, row_length
from selfreward.training.trainer import Ours, arguments, on_one_device

Rewards = Callable[[Sequence[list[int]]], list[float | None]]  # of chats as token ids; None for one that is too long


class Trainer(Ours, RLOOTrainer):
    """TRL's RLOO on prompts that are token ids already, in our order."""

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}  # TRL would apply the chat template itself, and might disagree with the sampler's

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        args: Any = self.args
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        lengths = [row_length(row) for row in rows]
        batch = args.generation_batch_size // args.num_generations
        self.order = SeveralOfEach(lengths, batch, args.num_generations, args.steps_per_generation, args.seed)
        return self.order


class RlReport(TrainerCallback):
    """Logs how far the first samples' log-probs are from the reference's, and at the end how many tokens were read.

    StageFailed unless the first is 0 where the model is its own reference.
    """

    def __init__(self, trainer: Any, log: Callable[..., None], is_its_own_reference: bool) -> None:
        self.trainer, self.log, self.is_its_own_reference = trainer, log, is_its_own_reference

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step != 1:
            return
        kl = self.trainer._metrics["train"]["kl"][0]
        self.log(first_kl=kl)
        if self.is_its_own_reference and not abs(kl) <= 1e-3:
            what = f"the first KL to the reference is {kl:.4f} and not 0: the reference is not the model we start from"
            raise StageFailed(what, "training", "were weights in its folder changed while the run was going on?")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.log(num_tokens=state.num_input_tokens_seen)


def rl_trainer(model: Any, reference: Any | None, tokenizer: Any, rows: list[dict[str, Any]], rewards: Rewards,
               settings: Rl, max_tokens: int, folder: Path, seed: int, training: Training | None = None,
               adapter: Any | None = None) -> Any:  # fmt: skip
    """A trainer on rows of `prompt`, token ids, whose responses have at most `max_tokens`. `reference` and `adapter` as for DPO.

    A batch is sampled all at once, by transformers' `generate` from torch's global generator, which a checkpoint holds.
    """
    if reference is None and adapter is None:
        raise ValueError("a model that is trained whole needs a reference of its own")
    shared = arguments(settings, training, folder, seed)
    shared["per_device_train_batch_size"] *= settings.num_samples  # TRL counts responses, the recipe prompts
    ends = sorted(end_ids(tokenizer, model.generation_config))
    config = RLOOConfig(
        **shared,
        beta=0.0,  # it is set below: TRL would load the reference from the PATH the model came from
        num_generations=settings.num_samples,
        max_completion_length=max_tokens,
        temperature=settings.temperature,
        top_p=1.0,
        generation_kwargs={"eos_token_id": ends},
        disable_dropout=True,  # what is sampled and what is scored are to be one policy
    )
    on_one_device(config)
    trainer = Trainer(
        model=model,
        reward_funcs=_reward(rewards, ends, end_of_turn(tokenizer)),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter,
    )
    trainer.eos_token_ids = ends
    trainer.beta = settings.beta
    if reference is not None:
        add_fused_lm_head(reference, temperature=settings.temperature)
        trainer.ref_model = trainer.accelerator.prepare_model(reference, evaluation_mode=True)
    return trainer


def _reward(rewards: Rewards, ends: Sequence[int], end: int) -> Callable[..., list[float | None]]:
    """What TRL asks for the reward of its samples: that of prompt and response, closed as the reward model knows them.

    A response that was cut off is closed too, as for a judge. One without a reward has no part in the step, and is counted.
    """

    def reward(
        prompts: list[list[int]], completion_ids: list[list[int]], log_metric: Callable[[str, float], None], **_: Any
    ) -> list[float | None]:
        closed = [[*prompt, *_without_end(ids, ends), end] for prompt, ids in zip(prompts, completion_ids, strict=True)]
        found = rewards(closed)
        log_metric("unscored", found.count(None) / len(found))
        return found

    return reward


def _without_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    return ids[:-1] if ids and ids[-1] in ends else ids
