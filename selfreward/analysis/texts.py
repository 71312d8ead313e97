"""What texts look like without a model: how long they are, how many of their n-grams are new, how alike they are."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from selfreward.rouge import all_pairs

_QUANTILES = {"p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}


def lengths(texts: Sequence[str]) -> dict[str, Any]:
    """Number of texts, and mean and quantiles of their words and characters; None where there are no texts."""
    return {
        "n": len(texts),
        "words": _spread([len(text.split()) for text in texts]),
        "characters": _spread([len(text) for text in texts]),
    }


def _spread(counts: Sequence[int]) -> dict[str, float] | None:
    if not counts:
        return None
    quantiles = np.quantile(counts, list(_QUANTILES.values()))
    return {"mean": float(np.mean(counts)), **{name: float(q) for name, q in zip(_QUANTILES, quantiles, strict=True)}}


def diversity(texts: Sequence[str]) -> dict[str, Any]:
    """distinct-1, -2 and -3 (Li et al., arXiv 1510.03055): different n-grams over all n-grams of the texts, in 0..1; and
    self-ROUGE: the mean over texts of the highest ROUGE-L F with any other (`highest`), and over all pairs (`mean`).

    All of them depend on the number of texts: compare equally many. None where there is nothing to count.
    """
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    found: dict[str, Any] = {"n": len(texts), **{f"distinct_{n}": _distinct(words, n) for n in (1, 2, 3)}}
    if len(texts) < 2:
        return {**found, "self_rouge": None}
    most, mean = all_pairs(texts)
    return {**found, "self_rouge": {"highest": float(most.mean()), "mean": mean}}


def _distinct(words: Sequence[Sequence[str]], n: int) -> float | None:
    grams = [tuple(some[i : i + n]) for some in words for i in range(len(some) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None
