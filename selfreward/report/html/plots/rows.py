"""Estimates in rows, one for each group, with a sign for each model: many groups find room."""

from collections.abc import Sequence

from markupsafe import Markup

from selfreward.report.html.plots.lines import Series
from selfreward.report.html.plots.svg import (
    RIGHT,
    WIDTH,
    bounds,
    colour,
    cut,
    drawing,
    legend,
    line,
    linear,
    marker,
    text,
    x_axis,
)
from selfreward.report.html.words import number

_NAMES = 96  # room at the left for the names of the groups


def dots(title: str, groups: Sequence[str], series: Sequence[Series], unit: str) -> Markup:
    """A row for each group; in it, one below the other, a sign with its interval for each series."""
    shown = [one for one in series if any(one.points)]
    key, top = legend([(one.style, one.name) for one in shown], 20)
    apart = 9.0
    height = apart * len(shown) + 10
    values = [
        v for one in shown for p in one.points if p is not None for v in (p.value, p.low, p.high) if v is not None
    ]
    low, high = bounds(values)
    x = linear(low, high, _NAMES, RIGHT - 4)
    bottom = top + height * len(groups)
    drawn = [x_axis(low, high, x, top, bottom, unit)]
    for row, group in enumerate(groups):
        begin = top + row * height
        drawn.append(text(cut(group, _NAMES - 10), _NAMES - 8, begin + height / 2 + 4, "end"))
        drawn.append(line(4, begin, WIDTH - 6, begin, "grid"))
        for place, one in enumerate(shown):
            if (p := one.points[row]) is None:
                continue
            y = begin + 5 + apart * (place + 0.5)
            if p.low is not None and p.high is not None:
                drawn.append(line(x(p.low), y, x(p.high), y, f"s{colour(one.style)} whisker"))
            drawn.append(marker(one.style, x(p.value), y, 3.6, f"{group}, {one.name}: {number(p.value, 2)}"))
    said = "; ".join(
        f"{group}: "
        + ", ".join(f"{one.name} {number(p.value, 2)}" for one in shown if (p := one.points[row]) is not None)
        for row, group in enumerate(groups)
    )
    return drawing(title, said, bottom + 34, key, *drawn)
