"""Reading prompts and decoding rows; here over transformers' own forward and cache, right for every decoder-only model.

A prompt is read once, whatever the number of its samples; tokens that all prompts begin with (a judge's rubric) are
read once in all. Rows are padded between that prefix and their own tokens, the padding is masked, and every row ends in
the last slot, so logits are never read at padding.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


@dataclass
class Prefilled:
    """Prompts that a model has read. Slots are columns of the cache; positions count tokens alone."""

    cache: Any  # keys and values, as the `Reader` that made it keeps them
    mask: torch.Tensor  # (prompts, slots), int64: 0 at padding
    positions: torch.Tensor  # (prompts,): position of the next token
    logits: torch.Tensor  # (prompts, vocabulary): of the next token


class Decoding(Protocol):
    """Rows that are being decoded, one token at a time."""

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token (rows,) to each row; logits (rows, vocabulary) of the next."""
        ...

    def keep(self, order: torch.Tensor) -> None:
        """Go on with the rows that `survivors` names, in its order."""
        ...


class Reader(Protocol):
    """A way to run a model."""

    def read_prefix(self, ids: Sequence[int]) -> Any | None:
        """What `read` takes as the prefix of several prompts; None where the model's cache cannot be shared."""
        ...

    def read(self, rows: Sequence[Sequence[int]], prefix: Any | None = None) -> Prefilled:
        """Read rows of token ids, each at least one token, behind the prefix if there is one."""
        ...

    def decode(self, prefilled: Prefilled, source: torch.Tensor, num_steps: int) -> Decoding:
        """Row i continues prompt `source[i]`, for as many steps at most. What was prefilled is used up."""
        ...


def left_pad(
    rows: Sequence[Sequence[int]], device: torch.device, num_shared: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids (rows, slots), mask (rows, shared + slots) and positions (rows, slots) of rows that end in the last slot."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    positions = torch.arange(width, device=device) - (width - lengths[:, None])
    mask = torch.cat((ids.new_ones(len(rows), num_shared), (positions >= 0).long()), 1)
    return ids, mask, positions.clamp(min=0) + num_shared


def survivors(alive: torch.Tensor) -> torch.Tensor:
    """Which row each kept place takes over, given who is alive (rows,): holes are filled from the end, others stay."""
    count = int(alive.sum())
    order = torch.arange(count, device=alive.device)
    order[~alive[:count]] = count + alive[count:].nonzero()[:, 0]
    return order


class CacheReader:
    """A `Reader` by the model's own forward."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def read_prefix(self, ids: Sequence[int]) -> DynamicCache | None:
        """See `Reader`. None where the cache counts slots, not positions: padding would fill a sliding window."""
        cache = DynamicCache(config=self.model.config)
        ids_1_P = torch.tensor([list(ids)], device=self.model.device)
        self.model(ids_1_P, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cache if all(type(layer) is DynamicLayer for layer in cache.layers) else None

    def read(self, rows: Sequence[Sequence[int]], prefix: DynamicCache | None = None) -> Prefilled:
        """See `Reader`."""
        num_shared = prefix.get_seq_length() if prefix else 0
        cache = deepcopy(prefix) if prefix else DynamicCache(config=self.model.config)
        if prefix:
            cache.batch_repeat_interleave(len(rows))
        ids, mask, positions = left_pad(rows, self.model.device, num_shared)
        output = self.model(
            ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return Prefilled(cache, mask, positions[:, -1] + 1, output.logits[:, -1])

    def decode(self, prefilled: Prefilled, source: torch.Tensor, num_steps: int) -> "CacheDecoding":
        """See `Reader`."""
        return CacheDecoding(self.model, prefilled, source)


class CacheDecoding:
    """`Decoding` by the model's own forward."""

    def __init__(self, model: Any, prefilled: Prefilled, source: torch.Tensor) -> None:
        self.model = model
        self.cache = prefilled.cache
        self.cache.batch_select_indices(source)
        self.mask = prefilled.mask[source]
        self.positions = prefilled.positions[source]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Decoding`."""
        self.mask = torch.cat((self.mask, self.mask.new_ones(len(tokens), 1)), 1)
        output = self.model(
            tokens[:, None],
            attention_mask=self.mask,
            position_ids=self.positions[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.positions = self.positions + 1
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def keep(self, order: torch.Tensor) -> None:
        """See `Decoding`."""
        self.cache.batch_select_indices(order)
        self.mask = self.mask[order]
        self.positions = self.positions[order]
