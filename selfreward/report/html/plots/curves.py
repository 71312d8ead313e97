"""What a training logged, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from selfreward.report.html.plots.svg import (
    LEFT,
    RIGHT,
    bounds,
    colour,
    drawing,
    legend,
    line,
    linear,
    marker,
    tag,
    text,
    x_axis,
    y_axis,
)
from selfreward.report.html.words import number

_MOST = 160  # points of a curve: more cannot be seen


@dataclass(frozen=True)
class Curve:
    """(step, value) in order of the steps."""

    name: str
    points: Sequence[tuple[float, float]]
    style: int


def curves(title: str, drawn: Sequence[Curve], mark: tuple[float, str] | None = None) -> Markup:
    """Curves over steps; `mark` is a value to draw a line at, and its name."""
    shown = [Curve(one.name, thinned(one.points), one.style) for one in drawn if one.points]
    key, top = legend([(one.style, one.name) for one in shown], 20) if len(shown) > 1 else (Markup(), 22)
    top += 8
    bottom = top + 130
    values = [value for one in shown for _, value in one.points] + ([mark[0]] if mark else [])
    low, high = bounds(values)
    last = max((step for one in shown for step, _ in one.points), default=1.0)
    x, y = linear(0, last, LEFT, RIGHT), linear(low, high, bottom, top)
    parts = [key, y_axis(low, high, y), x_axis(0, last, x, top, bottom, "steps")]
    if mark:
        parts += [line(LEFT, y(mark[0]), RIGHT, y(mark[0]), "mark"), text(mark[1], RIGHT, y(mark[0]) - 4, "end")]
    for one in shown:
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in one.points)
        parts.append(tag("polyline", points=path, class_=f"s{colour(one.style)} d{colour(one.style)}"))
        parts.append(marker(one.style, x(one.points[-1][0]), y(one.points[-1][1]), 3.5))
    said = "; ".join(
        f"{one.name}: {number(one.points[0][1], 3)} at first, {number(one.points[-1][1], 3)} at the end"
        for one in shown
    )
    return drawing(title, said, bottom + 34, *parts)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most _MOST points: means of neighbours, the last one as it is."""
    if len(points) <= _MOST:
        return list(points)
    size = -(-len(points) // _MOST)
    groups = [points[i : i + size] for i in range(0, len(points) - 1, size)]
    means = [(sum(s for s, _ in g) / len(g), sum(v for _, v in g) / len(g)) for g in groups]
    return [*means, points[-1]]
