"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), on TRL's `DPOTrainer`.

loss = -log sigmoid(beta [(log p(chosen) - log ref(chosen)) - (log p(rejected) - log ref(rejected))]), where each log p
is the SUM over the response's tokens. Settings as in arXiv 2401.10020, section 3.1.3.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import DPOConfig, DPOTrainer

from selfreward.errors import StageFailed
from selfreward.recipe import Dpo, Training
from selfreward.records import DPO_LOSS, Loss
from selfreward.training.losses import Other
from selfreward.training.reference import LogProbs, read_log_probs, write_log_probs
from selfreward.training.trainer import OfPairs, arguments, in_processes, on_one_device

MEANS = ("rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen",
         "logps/rejected")  # fmt: skip


class Trainer(OfPairs, DPOTrainer):
    """TRL's DPO on rows that are token ids already, with the mean over the pairs of the whole batch.

    TRL's is the mean of the means of a batch's parts, which weigh the same although the last may be smaller.
    """

    loss_is_scaled_for_ga = True
    filler_loss = math.log(2)  # a filler has no response: its log-probs are 0 whatever the weights

    def __init__(self, *args: Any, kept: Path | None, num_rows: int, **options: Any) -> None:
        self.kept, self.num_rows = kept, num_rows  # the reference's file; rows, without a filler
        super().__init__(*args, **options)

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # TRL would apply the chat template itself, and might disagree with the sampler's

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """The rows with the reference's log-probs; 0 for a filler.

        TRL keeps them in a folder that only the first process can see.
        """
        shared = [read_log_probs(self.kept, self.num_rows) if self.kept and self.accelerator.is_main_process else None]
        (log_probs,) = broadcast_object_list(shared)
        if log_probs is None:
            # A loader draws a random number: dropout would differ once the log-probs are read instead.
            with torch.random.fork_rng(devices=[]):
                log_probs = self._reference_log_probs(dataset.select(range(self.num_rows)), batch_size)
            if self.kept and self.accelerator.is_main_process:
                write_log_probs(self.kept, log_probs)
        log_probs = [*log_probs, *[(0.0, 0.0)] * (len(dataset) - self.num_rows)]
        for column, values in zip(
            ("ref_chosen_logps", "ref_rejected_logps"), zip(*log_probs, strict=True), strict=True
        ):
            dataset = dataset.add_column(column, list(values))
        return dataset

    def _reference_log_probs(self, rows: Dataset, batch_size: int) -> LogProbs:
        """Each process computes every so many batches; what all have is gathered in the order of the rows."""
        loader = DataLoader(rows, batch_size=batch_size, collate_fn=self.data_collator, shuffle=False)
        model = self.ref_model or self.model
        sides: tuple[list[float], list[float]] = ([], [])
        for batch in self.accelerator.prepare(loader):
            gathered = self.accelerator.gather_for_metrics(self.compute_ref_log_probs(model, batch))
            for side, values in zip(sides, gathered, strict=True):
                side += values.float().tolist()
        return list(zip(*sides, strict=True))

    def is_pair(self, inputs: Any) -> torch.Tensor:
        """(rows,): whether a row is a pair and no filler. TRL's batch holds the chosen ones first, then the rejected."""
        chosen: torch.Tensor = inputs["completion_mask"].chunk(2)[0]
        return chosen.bool().any(1)

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """This part's share of the mean over the batch, times the processes, over which gradients are averaged."""
        loss: torch.Tensor = super().compute_loss(model, inputs)
        if num_items_in_batch is None:
            return loss
        is_pair, processes = self.is_pair(inputs), self.accelerator.num_processes
        if processes > 1:
            num_pairs = int(self.accelerator.gather(is_pair.sum()[None]).sum())
            for name in MEANS:
                self._metrics["train"][name][-1] *= len(is_pair) * processes / num_pairs
        fillers = len(is_pair) - int(is_pair.sum())
        if fillers:
            loss = loss - self.filler_loss * fillers / len(is_pair)
        return loss * (len(is_pair) * processes / int(num_items_in_batch))


class OtherTrainer(Other, Trainer):  # type: ignore[misc]
    """The same with a loss that TRL does not have."""


def dpo_trainer(model: Any, reference: Any | None, tokenizer: Any, rows: list[dict[str, Any]], settings: Dpo,
                folder: Path, seed: int, training: Training | None = None, adapter: Any | None = None,
                kept: Path | None = None, loss: Loss = DPO_LOSS) -> Any:  # fmt: skip
    """A trainer on rows of `prompt_ids`, `chosen_ids`, `rejected_ids`, with the reference's log-probs in the rows.

    `reference` is a model of its own: without one TRL would load it from the PATH the model came from. With `adapter`,
    PEFT's configuration of what is trained, None stands for the model without its adapter. The log-probs are read from
    the file `kept` where it exists, and else written there. Another `loss` than DPO's own needs rows that were made for it.
    """
    if reference is None and adapter is None:
        raise ValueError("a model that is trained whole needs a reference of its own")
    shared = arguments(settings, training, folder, seed)
    config = DPOConfig(
        **shared,
        max_length=None,  # over-long rows are left out and counted before, never cut
        beta=settings.beta,
        disable_dropout=False,  # the recipe decides; the reference is in evaluation mode, where there is none
        precompute_ref_log_probs=True,
        precompute_ref_batch_size=shared["per_device_train_batch_size"],
    )
    on_one_device(config)
    options: dict[str, Any] = {} if loss == DPO_LOSS else {"loss": loss}
    trainer = (OtherTrainer if options else Trainer)(
        model=model,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list(in_processes(rows, training)),
        processing_class=tokenizer,
        peft_config=adapter,
        kept=kept,
        num_rows=len(rows),
        **options,
    )
    trainer.ref_model = None  # its log-probs are in the rows: free the memory
    return trainer


def first_loss(trainer: Any) -> tuple[float, float]:
    """The loss before any step, without dropout, on the first rows, and how far their rewards are from 0.

    Rewards are beta times the log-ratios to the reference: 0 where the model is its own, and DPO's loss then is ln 2. The
    rows are batched as they were for the reference, so the two agree to the bit in any precision. With several processes
    each takes rows of its own, and all must call this.
    """
    size, rank = trainer.args.precompute_ref_batch_size, trainer.accelerator.process_index
    size = min(size, trainer.num_rows)
    rows = [trainer.train_dataset[(rank * size + i) % trainer.num_rows] for i in range(size)]
    batch = trainer._prepare_inputs(trainer.data_collator(rows))
    model = trainer.model_wrapped
    model.eval()
    with torch.no_grad(), trainer.accelerator.autocast():
        loss = trainer.compute_loss(model, batch)
    model.train()
    metrics = trainer._metrics["eval"]
    reward = max(abs(value) for name in ("rewards/chosen", "rewards/rejected") for value in metrics[name])
    metrics.clear()
    return float(trainer.accelerator.gather(loss[None]).mean()), reward


class FirstLoss(TrainerCallback):
    """Logs the first loss of a training and, where the model is its own reference, checks that it begins there.

    Only once training begins is a model that is split over processes in its place. A resumed training was checked when it
    began: its weights are no longer the reference's.
    """

    def __init__(self, trainer: Any, log: Callable[..., None], is_its_own_reference: bool) -> None:
        self.trainer, self.log, self.is_its_own_reference = trainer, log, is_its_own_reference

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step:
            return
        loss, reward = first_loss(self.trainer)
        self.log(first_loss=loss)
        if self.is_its_own_reference:
            check_first_loss(loss if type(self.trainer) is Trainer else math.log(2) + reward)


def check_first_loss(loss: float) -> None:
    """Raises StageFailed unless the loss is ln 2 (+- 1e-3): the model and its reference are not the same weights."""
    if not abs(loss - math.log(2)) <= 1e-3:
        raise StageFailed(
            f"the first DPO loss is {loss:.4f} and not ln 2 = 0.6931: the reference is not the model we start from",
            "training",
            "were weights in its folder changed while the run was going on?",
        )
