"""Estimates by model or stage, with their intervals: points that are joined, since one model comes from the one before."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from selfreward.report.html.plots.svg import (
    LEFT,
    RIGHT,
    bounds,
    colour,
    cut,
    drawing,
    joined,
    legend,
    line,
    linear,
    marker,
    tag,
    text,
    y_axis,
)
from selfreward.report.html.words import mean_of, number


@dataclass(frozen=True)
class Point:
    """An estimate; low and high are None where it has no interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """The points of one thing, one for each place on the axis; None where it has none."""

    name: str
    points: Sequence[Point | None]
    style: int


def alone(points: Sequence[Point | None]) -> list[Series]:
    """One series that needs no legend."""
    return [Series("this run", points, 0)]


def point(found: Any, scale: float = 1) -> Point | None:
    """The point of {mean or value, ci95} or of a bare number; None where there is no number."""
    value = mean_of(found)
    if value is None:
        return None
    ends = found.get("ci95") if isinstance(found, Mapping) else None
    return Point(scale * value, *(scale * end for end in ends)) if ends else Point(scale * value)


def lines(
    title: str,
    places: Sequence[str],
    series: Sequence[Series],
    at_least: float = 0.0,
    aim: Sequence[float] = (),
    most: float = math.inf,
) -> Markup:
    """Series over places, the axis as long as the points and intervals need and no shorter than `at_least`.

    It does not go far beyond `most`, which no value can exceed. `aim` is where the points would ideally be, a dashed line.
    """
    shown = [one for one in series if any(one.points)]
    key, top = legend([(one.style, one.name) for one in shown], 20) if len(shown) > 1 else (Markup(), 22)
    top += 8
    bottom = top + 140
    reached = [
        value
        for one in shown
        for p in one.points
        if p is not None
        for value in (p.value, p.low, p.high)
        if value is not None
    ]
    reached += aim
    low, high = bounds(reached, at_least)
    low, high = low - max(0.0, high - most * 1.01), min(high, most * 1.01)
    y = linear(low, high, bottom, top)
    step = (RIGHT - LEFT) / max(1, len(places))
    labels = [text(cut(name, step), LEFT + step * (i + 0.5), bottom + 16, "middle") for i, name in enumerate(places)]
    drawn = [
        _series(one, [LEFT + step * (i + 0.5) + shift for i in range(len(places))], y)
        for one, shift in zip(shown, _shifts(len(shown), step), strict=True)
    ]
    path = " ".join(f"{LEFT + step * (i + 0.5):.1f},{y(value):.1f}" for i, value in enumerate(aim))
    ideal = [tag("polyline", points=path, class_="mark")] if path else []
    said = "; ".join(f"{one.name}: {_said(one, places)}" for one in shown)
    return drawing(
        title,
        said,
        bottom + 24,
        key,
        y_axis(low, high, y),
        *labels,
        *ideal,
        *drawn,
    )


def _shifts(num: int, step: float) -> list[float]:
    """How far each series stands beside its place, so that intervals do not hide one another."""
    width = min(11.0, step / (num + 1))
    return [width * (i - (num - 1) / 2) for i in range(num)]


def _series(one: Series, xs: Sequence[float], y: Any) -> Markup:
    there = [(x, p) for x, p in zip(xs, one.points, strict=True) if p is not None]
    path = " ".join(f"{x:.1f},{y(p.value):.1f}" for x, p in there)
    parts = [tag("polyline", points=path, class_=f"s{colour(one.style)} thin d{colour(one.style)}")]
    for x, p in there:
        if p.low is not None and p.high is not None:
            parts.append(line(x, y(p.low), x, y(p.high), f"s{colour(one.style)} whisker"))
        said = f"{one.name}: {number(p.value, 3)}"
        parts.append(marker(one.style, x, y(p.value), 4.0, said))
    return joined(parts)


def _said(one: Series, places: Sequence[str]) -> str:
    return ", ".join(
        f"{place} {number(p.value, 2)}" for place, p in zip(places, one.points, strict=True) if p is not None
    )
