"""What kind of prompt each is, for a comparison part by part: category, complexity, and how long an answer is expected.

The paper compares its models so in appendix A.6 (arXiv 2401.10020). In the micro-world the task says all three. Elsewhere a
category stands with the data or is not known, complexity is the length of the instruction, and the expected length that of
the response which people ranked best.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

T = TypeVar("T")

PARTS = ("category", "complexity", "expected_length")
INSTRUCTION_WORDS = (10, 25, 75)  # the greatest number of words in each class but the last
RESPONSE_WORDS = (25, 100, 250)


@dataclass(frozen=True)
class Kind:
    """Names of the groups that a prompt belongs to; None where that is not known."""

    category: str | None = None
    complexity: str | None = None
    expected_length: str | None = None


def kind_of(prompt: str, category: str | None = None, response: str | None = None) -> Kind:
    """The kind of a prompt whose best human `response` is known or not."""
    expected = None if response is None else words_class(len(response.split()), RESPONSE_WORDS)
    return Kind(category, words_class(len(prompt.split()), INSTRUCTION_WORDS), expected)


def words_class(words: int, ends: Sequence[int]) -> str:
    """The class of a number of words: `1-10 words`, `11-25 words` ... `76+ words`."""
    first = 1
    for end in ends:
        if words <= end:
            return f"{first}-{end} words"
        first = end + 1
    return f"{first}+ words"


def merged(one: Kind, other: Kind) -> Kind:
    """What either knows; the first where they differ."""
    return Kind(**{part: mine if mine is not None else asdict(other)[part] for part, mine in asdict(one).items()})


def by_kind(
    items: Sequence[T], kinds: Sequence[Kind], count: Callable[[Sequence[T]], Mapping[str, Any]]
) -> dict[str, Any]:
    """What `count` finds in the items of each group, under `by_category`, `by_complexity` and `by_expected_length`.

    A part is left out where no item has it. Groups whose names begin with numbers stand in the order of these.
    """
    found: dict[str, Any] = {}
    for part in PARTS:
        groups: dict[str, list[T]] = {}
        for item, kind in zip(items, kinds, strict=True):
            if (name := getattr(kind, part)) is not None:
                groups.setdefault(name, []).append(item)
        if groups:
            found[f"by_{part}"] = {name: dict(count(groups[name])) for name in sorted(groups, key=_place)}
    return found


def _place(name: str) -> tuple[float, str]:
    number = re.match("[0-9]{1,9}", name)
    return (float(number[0]) if number else float("inf"), name)
