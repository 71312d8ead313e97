"""Prefill and decode over transformers' own forward and cache: right for every decoder-only architecture.

A prompt is prefilled once, whatever the number of its samples; tokens that all prompts begin with (a judge's rubric)
are prefilled once in all. Rows are padded between that prefix and their own tokens, the padding is masked, and every
row ends in the last slot, so logits are never read at padding.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class Decoding(Protocol):
    """Rows that are being decoded, one token at a time."""

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token (rows,) to each row; logits (rows, vocabulary) of the next."""
        ...

    def keep(self, order: torch.Tensor) -> None:
        """Go on with the rows that `survivors` names, in its order."""
        ...


@dataclass
class Prefilled:
    """Prompts that the model has read. Slots are columns of the cache; positions count tokens alone."""

    cache: DynamicCache
    mask: torch.Tensor  # (rows, slots), int64: 0 at padding
    positions: torch.Tensor  # (rows,): position of the next token
    logits: torch.Tensor  # (rows, vocabulary): of the next token


def left_pad(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, both (rows, slots), int64; every row ends in the last slot."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = (torch.arange(width, device=device) >= width - lengths[:, None]).long()
    return ids, mask


def read_prefix(model: Any, ids: Sequence[int]) -> DynamicCache | None:
    """The cache of tokens that several prompts begin with; None where the architecture's cache counts slots, not positions."""
    cache = DynamicCache(config=model.config)
    model(torch.tensor([list(ids)], device=model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
    shareable = all(type(layer) is DynamicLayer for layer in cache.layers)
    return cache if shareable else None


def prefill(model: Any, rows: Sequence[Sequence[int]], prefix: DynamicCache | None = None) -> Prefilled:
    """Read rows of token ids, each at least one token, behind the prefix if there is one."""
    ids, mask = left_pad(rows, model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    if prefix is None:
        cache = DynamicCache(config=model.config)
    else:
        num_shared = prefix.get_seq_length()
        cache = deepcopy(prefix)
        cache.batch_repeat_interleave(len(rows))
        mask = torch.cat((mask.new_ones(len(rows), num_shared), mask), 1)
        positions = positions + num_shared
    output = model(
        ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    return Prefilled(cache, mask, positions[:, -1] + 1, output.logits[:, -1])


def survivors(alive: torch.Tensor) -> torch.Tensor:
    """Which row each kept slot takes over, given who is alive (rows,): holes are filled from the end, others stay."""
    count = int(alive.sum())
    order = torch.arange(count, device=alive.device)
    order[~alive[:count]] = count + alive[count:].nonzero()[:, 0]
    return order


class CacheDecoding:
    """`Decoding` by the model's own forward. Row i continues prefilled row `source[i]`."""

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
