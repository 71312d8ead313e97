"""A histogram: upright bars at the values that were counted."""

from collections.abc import Mapping

from markupsafe import Markup

from selfreward.report.html.plots.svg import LEFT, RIGHT, drawing, line, linear, tag, text, ticks, y_axis

_WIDTH = 0.26  # of a column, in the unit of the values: means of three votes are a third apart


def columns(title: str, counts: Mapping[float, float], low: float, high: float, label: str) -> Markup:
    """Counts by value on an axis from low to high."""
    top, bottom = 30, 160
    values = sorted(counts)
    most = max(counts.values(), default=1.0)
    x, y = linear(low - 0.5, high + 0.5, LEFT, RIGHT), linear(0, most * 1.05 or 1, bottom, top)
    width = x(_WIDTH) - x(0)
    drawn = []
    for value in values:
        shown = tag("title", f"{value:g}: {counts[value]:,}")
        height = bottom - y(counts[value])
        rect = tag(
            "rect", shown, x=x(value) - width / 2, y=y(counts[value]), width=width, height=height, class_="f0 edge"
        )
        drawn.append(rect)
    labels = [text(f"{v:g}", x(v), bottom + 15, "middle") for v in ticks(low, high)]
    said = ", ".join(f"{value:g}: {counts[value]:,}" for value in values) or "nothing was counted"
    axis = [
        y_axis(0, most * 1.05 or 1, y),
        line(LEFT, bottom, RIGHT, bottom, "axis"),
        text(label, RIGHT, bottom + 30, "end"),
    ]
    return drawing(title, said, bottom + 34, *axis, *labels, *drawn)
