"""What a page is made of: sections of texts, plots, tables and shown pairs, as plain data that the template lays out.

Texts are plain strings, escaped where the page is written; only plots are markup, made by `plots`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from markupsafe import Markup


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar = "text"
    said: str
    tone: Literal["plain", "verdict", "alarm", "missing", "good"] = "plain"


@dataclass(frozen=True)
class Table:
    """Rows of cells below their heads; the first cell of a row names it."""

    kind: ClassVar = "table"
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_open: bool = False  # not folded away


@dataclass(frozen=True)
class Figure:
    """Plots that belong together, what they show, and the numbers behind them."""

    kind: ClassVar = "figure"
    title: str
    plots: Sequence[Markup]
    caption: str
    numbers: Table
    is_wide: bool = False  # one plot that is to have all the room


@dataclass(frozen=True)
class Row:
    """Figures side by side where there is room."""

    kind: ClassVar = "row"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Facts:
    """What is what: (name, value) in order."""

    kind: ClassVar = "facts"
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Verbatim:
    """A file as it is, folded away."""

    kind: ClassVar = "verbatim"
    title: str
    said: str


@dataclass(frozen=True)
class Judged:
    """A response of a pair: (text, whether the other lacks it), and what the judge said of it."""

    score: float
    runs: Sequence[tuple[str, bool]]
    votes: Sequence[tuple[str, str]]  # points or why there are none, words of the judge
    truth: str = ""  # what the oracle gives, where there is one


@dataclass(frozen=True)
class Lesson:
    """A pair that a model was taught."""

    kind: ClassVar = "lesson"
    title: str
    why: str  # it is shown
    prompt: str
    chosen: Judged
    rejected: Judged


Block = Text | Table | Figure | Row | Facts | Verbatim | Lesson


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading of its own; `id` is its anchor."""

    id: str
    title: str
    lead: str  # what it shows, for somebody who has not heard of it
    blocks: Sequence[Block]
