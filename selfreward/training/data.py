"""Records as token ids, and the order in which a trainer meets them.

The chat template is applied by `selfreward.chat` alone, so that the ids trained on begin with the ids sampled from.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from selfreward.chat import encode_example
from selfreward.records import DPO_LOSS, Example, Loss, Pair

IGNORED = -100  # the label that cross entropy leaves out
MEGABATCH = 8  # batches sorted by length together: more pads less, and shuffles less


def sft_rows(tokenizer: Any, examples: Sequence[Example], max_tokens: int) -> list[dict[str, list[int]]]:
    """Rows of `input_ids` and `labels` (equal lengths); labels are `IGNORED` on the prompt.

    An example of more than `max_tokens` tokens is left out: cut short, it would teach the model to stop half way.
    """
    rows = []
    for example in examples:
        prompt, response = encode_example(tokenizer, example.prompt, example.response)
        if len(prompt) + len(response) <= max_tokens:
            rows.append({"input_ids": prompt + response, "labels": [IGNORED] * len(prompt) + response})
    return rows


def dpo_rows(tokenizer: Any, pairs: Sequence[Pair], max_tokens: int, loss: Loss = DPO_LOSS) -> list[dict[str, Any]]:
    """Rows of `prompt_ids`, `chosen_ids`, `rejected_ids`; pairs with a side of more than `max_tokens` are left out.

    With another loss than DPO's own, also what it needs of a pair: its `weight` and both scores.
    """
    rows = []
    for pair in pairs:
        prompt, chosen = encode_example(tokenizer, pair.prompt, pair.chosen)
        _, rejected = encode_example(tokenizer, pair.prompt, pair.rejected)
        if not pair.whole:
            chosen, rejected = chosen[:-1], rejected[:-1]
        row: dict[str, Any] = {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
        if loss != DPO_LOSS:
            weight = pair.weight if loss.weighted else 1.0
            row |= {"weight": weight, "chosen_score": pair.chosen_score, "rejected_score": pair.rejected_score}
        if len(prompt) + max(len(chosen), len(rejected)) <= max_tokens:
            rows.append(row)
    return rows


def filler(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row of the kind of `rows` that teaches nothing: it has no response.

    With several processes all must be given as many rows at once; where a batch has too few, fillers take their place.
    """
    tokens = next(iter(rows[0].values()))[:1] * 2
    if "input_ids" in rows[0]:
        return {"input_ids": tokens, "labels": [IGNORED] * 2}
    numbers = {name: 0.0 for name, value in rows[0].items() if isinstance(value, float)}
    return {"prompt_ids": tokens, "chosen_ids": [], "rejected_ids": [], **numbers}


def row_length(row: dict[str, Any]) -> int:
    """Tokens of the longest sequence a row becomes."""
    if "input_ids" in row:
        return len(row["input_ids"])
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))


def row_tokens(row: dict[str, Any]) -> int:
    """Tokens that a model reads of a row: of a pair, the prompt with either response."""
    if "input_ids" in row:
        return len(row["input_ids"])
    return 2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"])


class LikeLengths(torch.utils.data.Sampler[int]):
    """Every index once, in batches of like length that come in random order; a pure function of seed and epoch.

    Not transformers' `LengthGroupedSampler`: that one draws from the global generator, so a resumed epoch is another
    epoch, and it walks from long to short. With `processes`, each of which takes `device_batch` rows in turn, every batch
    has the rows it has in one process, and the last is filled up with the index `len(lengths)`, the filler: accelerate
    would fill it with the rows that came first, and teach them twice.
    """

    def __init__(
        self, lengths: Sequence[int], batch: int, seed: int, processes: int = 1, device_batch: int | None = None
    ) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0
        self.processes = processes
        self.at_once = processes * (device_batch or batch) if processes > 1 else 1

    def __len__(self) -> int:
        return len(self.lengths) + self._num_fillers()

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        shuffled = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch * MEGABATCH
        grouped = [
            i for at in range(0, len(shuffled), size) for i in sorted(shuffled[at : at + size], key=self._length)
        ]
        batches = [grouped[at : at + self.batch] for at in range(0, len(grouped), self.batch)]
        # The last batch may be short and then stays last: the trainer cuts the flat order every `batch` indices.
        order = [*torch.randperm(len(batches) - 1, generator=generator).tolist(), len(batches) - 1]
        flat = [i for at in order for i in batches[at]]
        if fillers := self._num_fillers():
            flat += [len(self.lengths)] * fillers
            last = flat[-self.at_once :]
            # Dealt out one by one, so that no process is left with fillers alone while there are rows.
            flat[-self.at_once :] = [i for process in range(self.processes) for i in last[process :: self.processes]]
        return iter(flat)

    def _num_fillers(self) -> int:
        """Fillers at the end of an epoch."""
        return -len(self.lengths) % self.at_once

    def _length(self, index: int) -> int:
        return self.lengths[index]
