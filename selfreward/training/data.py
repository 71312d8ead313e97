"""Records as token ids, and the order in which a trainer meets them.

The chat template is applied by `selfreward.chat` alone, so that the ids trained on begin with the ids sampled from.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import torch

from selfreward.chat import encode_example, encode_prompt
from selfreward.records import DPO_LOSS, Example, Loss, Pair, Prompt

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


def reward_rows(tokenizer: Any, pairs: Sequence[Pair], max_tokens: int) -> list[dict[str, list[int]]]:
    """Rows of `chosen_ids` and `rejected_ids`, each with the prompt; pairs are left out as by `dpo_rows`."""
    return [
        {side: row["prompt_ids"] + row[side] for side in ("chosen_ids", "rejected_ids")}
        for row in dpo_rows(tokenizer, pairs, max_tokens)
    ]


def rl_rows(tokenizer: Any, prompts: Sequence[Prompt], max_tokens: int) -> list[dict[str, list[int]]]:
    """Rows of `prompt`, its token ids; prompts of more than `max_tokens` tokens are left out."""
    rows = [{"prompt": encode_prompt(tokenizer, prompt.text)} for prompt in prompts]
    return [row for row in rows if len(row["prompt"]) <= max_tokens]


def filler(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row of the kind of `rows` that teaches nothing: it has no response, or chosen and rejected are the same.

    With several processes all must be given as many rows at once; where a batch has too few, fillers take their place.
    """
    tokens = next(iter(rows[0].values()))[:1] * 2
    if "input_ids" in rows[0]:
        return {"input_ids": tokens, "labels": [IGNORED] * 2}
    if "prompt_ids" not in rows[0]:
        return {"chosen_ids": tokens, "rejected_ids": tokens}  # equal rewards, whose gradients cancel
    numbers = {name: 0.0 for name, value in rows[0].items() if isinstance(value, float)}
    return {"prompt_ids": tokens, "chosen_ids": [], "rejected_ids": [], **numbers}


def row_length(row: dict[str, Any]) -> int:
    """Tokens of the longest sequence a row becomes."""
    if "chosen_ids" in row:
        return len(row.get("prompt_ids", ())) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
    return max(map(len, row.values()))


class SeveralOfEach(torch.utils.data.Sampler[int]):
    """The order of prompts in RL: batches of like length, each prompt `num_samples` times in a row.

    A batch comes once for each of the `parts` in which it is taught, as TRL takes it. The last batch of an epoch is filled
    up with prompts from the epoch's beginning, which are sampled anew. Not TRL's own sampler: it leaves the last batch
    out, and a resumed epoch would be the first one.
    """

    def __init__(self, lengths: Sequence[int], batch: int, num_samples: int, parts: int, seed: int) -> None:
        self.prompts = LikeLengths(lengths, batch, seed)
        self.batch, self.num_samples, self.parts = batch, num_samples, parts

    def __len__(self) -> int:
        return self._num_prompts() * self.num_samples * self.parts

    def set_epoch(self, epoch: int) -> None:
        self.prompts.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        prompts = list(islice(cycle(list(self.prompts)), self._num_prompts()))
        for at in range(0, len(prompts), self.batch):
            drawn = [i for i in prompts[at : at + self.batch] for _ in range(self.num_samples)]
            yield from drawn * self.parts

    def _num_prompts(self) -> int:
        """Of an epoch of whole batches."""
        return -(-len(self.prompts) // self.batch) * self.batch


def row_tokens(row: dict[str, Any]) -> int:
    """Tokens that a model reads of a row: of a pair, the prompt with either response; of RL's, whose are not there yet, none."""
    if "chosen_ids" in row:
        return 2 * len(row.get("prompt_ids", ())) + len(row["chosen_ids"]) + len(row["rejected_ids"])
    return len(row.get("input_ids", ()))


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
