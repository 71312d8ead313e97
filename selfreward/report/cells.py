"""How a figure and a table of figures are printed. Every text is put in as plain text: what a model wrote is never markup,
nor obeyed by the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from selfreward.text import visible

NOTHING = "-"
_EIGHTHS, _COLUMNS, _FILLS = "▏▎▍▌▋▊▉", "▁▂▃▄▅▆▇█", "█▒░"
WIDTH = 120  # characters, where the output is no terminal: rich would take 80
_IN_PERCENT = {"pairwise_accuracy", "five_best", "exact_match"}  # measured in 0..1
_METRIC_NAMES = {
    "pairwise_accuracy": "pairwise %",
    "five_best": "five best %",
    "exact_match": "exact match %",
    "kendall_tau": "kendall tau",
}


def plain(said: str, style: str = "") -> Text:
    """Text that is shown as it is, with its control characters written out."""
    return Text(visible(said), style)


def widen(console: Console) -> None:
    """Makes a console that is no terminal WIDTH wide."""
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)


def new_table(title: str, first: str, columns: Sequence[str]) -> Table:
    """Where there is no room, a cell goes on below (`4.17` over `±0.05`): nothing is cut off.

    The name of a column of bars begins with a space.
    """
    table = Table(title=plain(title), title_justify="left", caption_justify="left", header_style="bold")
    table.add_column(plain(first), no_wrap=True, overflow="fold")
    for column in columns:
        is_bar = column.startswith(" ")  # a bar begins where its column does, and is not broken
        table.add_column(plain(column.strip()), justify="left" if is_bar else "right", no_wrap=is_bar, overflow="fold")
    return table


def fit(table: Table, console: Console) -> Table:
    """The table, without its columns of bars where the console has no room for them: figures come first."""
    if Measurement.get(console, console.options.update(width=10 * WIDTH), table).maximum > console.width:
        table.columns = [column for place, column in enumerate(table.columns) if place == 0 or not column.no_wrap]
    return table


def add_row(table: Table, *cells: str, style: str | None = None, end_section: bool = False) -> None:
    """One row, the first cell its name."""
    table.add_row(*(plain(cell) for cell in cells), style=style, end_section=end_section)


def number(value: float | None, decimals: int, scale: float = 1) -> str:
    """A bare number; a dash for none."""
    return NOTHING if value is None else f"{scale * value:.{decimals}f}"


def estimate(found: Mapping[str, Any] | float | None, decimals: int, scale: float = 1) -> str:
    """`4.17 ±0.05` of {mean or value, ci95}, `4.17` of a bare number; the decimals are those of both parts."""
    if found is None or isinstance(found, int | float):
        return number(found, decimals, scale)
    value = number(found.get("mean", found.get("value")), decimals, scale)
    interval = found.get("ci95")
    if value == NOTHING or not interval:
        return value
    return f"{value} ±{number((interval[1] - interval[0]) / 2, decimals, scale)}"


def bar(share: float | None, width: int = 10) -> str:
    """A share, 0..1, as a bar of at most `width` characters, exact to an eighth of one; empty for none."""
    if share is None:
        return ""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def stacked(shares: Sequence[float | None], width: int = 20) -> str:
    """Shares, 0..1, that fill a bar of `width` characters one after the other, the last of them the rest; empty for none."""
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        return ""
    ends = [round(width * min(sum(known[: i + 1]), 1.0)) for i in range(len(known) - 1)] + [width]
    return "".join(fill * (end - begin) for fill, begin, end in zip(_FILLS, [0, *ends], ends, strict=False))


def small_columns(counts: Sequence[float]) -> str:
    """Counts as small columns beside one another, the tallest full; nothing is a dot."""
    highest = max(counts, default=0)
    return "".join(_COLUMNS[max(0, math.ceil(8 * count / highest) - 1)] if count else "·" for count in counts)


def metric_name(metric: str) -> str:
    """A reward-model metric as the head of its row or column."""
    return _METRIC_NAMES.get(metric, metric)


def of_metric(name: str, found: Mapping[str, Any] | float | None) -> str:
    """An estimate in the unit in which its metric is read: percent or a correlation."""
    return estimate(found, 1, 100) if name in _IN_PERCENT else estimate(found, 3)
