"""How far people agree beyond chance: Cohen's kappa of two, Fleiss' of several. 1 is full agreement, 0 what chance gives."""

from collections import Counter
from collections.abc import Hashable, Sequence


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float | None:
    """Cohen 1960, of two annotators' labels of the same items; None for no items and where chance alone would agree.

    ValueError where they are not equally many.
    """
    if len(a) != len(b):
        raise ValueError(f"Both must have labelled the same items, not {len(a)} and {len(b)}.")
    if not a:
        return None
    n = len(a)
    first, second = Counter(a), Counter(b)
    by_chance = sum(first[label] * second[label] for label in first) / n**2
    return _beyond(sum(x == y for x, y in zip(a, b, strict=True)) / n, by_chance)


def fleiss_kappa(items: Sequence[Sequence[Hashable]]) -> float | None:
    """Fleiss 1971, of the labels (items, annotators) that as many gave to each item; None as `cohen_kappa`.

    ValueError for fewer than two labels of an item, and where their number differs.
    """
    if not items:
        return None
    n = len(items[0])
    if n < 2 or any(len(item) != n for item in items):
        raise ValueError("Each item must have as many labels as the others, two or more.")
    counts = [Counter(item) for item in items]
    agreed = sum(sum(c * c for c in count.values()) - n for count in counts) / (len(items) * n * (n - 1))
    total = sum(counts, Counter())
    return _beyond(agreed, sum((c / (len(items) * n)) ** 2 for c in total.values()))


def _beyond(agreed: float, by_chance: float) -> float | None:
    return None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)
