"""Horizontal bars of several parts: shares of a whole, what is left after each step, time by kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from selfreward.report.html.plots.svg import (
    RIGHT,
    WIDTH,
    Scale,
    cut,
    drawing,
    joined,
    line,
    linear,
    tag,
    text,
    x_axis,
)

_BEGIN = 10  # bars need no room for numbers at the left


@dataclass(frozen=True)
class Part:
    """A piece of a bar; `style` is a class that fills it."""

    name: str
    value: float
    style: str


@dataclass(frozen=True)
class Bar:
    """A bar with its words above; `whiskers` are intervals on the scale of its values."""

    label: str
    parts: Sequence[Part]
    whiskers: Sequence[tuple[float, float]] = ()
    is_aside: bool = False  # not ours: thinner, and fainter letters


def bars(title: str, rows: Sequence[Bar], whole: float, unit: str, names: Sequence[tuple[str, str]] = ()) -> Markup:
    """Bars on one scale, 0 to `whole`; `names` is the legend, (class, name)."""
    key, top = _legend(names) if names else (Markup(), 24.0)
    x = linear(0, whole or 1, _BEGIN, RIGHT)
    drawn, y = [], top
    for row in rows:
        height = 8 if row.is_aside else 15
        drawn.append(text(cut(row.label, WIDTH - 20), _BEGIN, y + 12, style="faint" if row.is_aside else ""))
        drawn.append(_bar(row, x, y + 17, height))
        y += 17 + height + (12 if not row.is_aside else 14)
    bottom = y
    grid = x_axis(0, whole or 1, x, top, bottom, unit)
    said = "; ".join(row.label for row in rows)
    return drawing(title, said, bottom + 34, grid, key, *drawn)


def _bar(row: Bar, x: Scale, y: float, height: float) -> Markup:
    parts, at = [], 0.0
    for part in row.parts:
        width = max(0.0, x(at + part.value) - x(at))
        shown = tag("title", f"{row.label}: {part.name} {part.value:,.4g}")
        parts.append(tag("rect", shown, x=x(at), y=float(y), width=width, height=float(height), class_=part.style))
        at += part.value
    for low, high in row.whiskers:
        middle = y + height / 2
        parts.append(line(x(low), middle, x(high), middle, "whisker ink"))
        parts += [line(x(end), middle - 4, x(end), middle + 4, "whisker ink") for end in (low, high)]
    return joined(parts)


def _legend(names: Sequence[tuple[str, str]]) -> tuple[Markup, float]:
    parts, x, y = [], float(_BEGIN), 36.0
    for style, name in names:
        width = 24 + 6.4 * len(name)
        if x > _BEGIN and x + width > WIDTH:
            x, y = float(_BEGIN), y + 17
        swatch = tag("rect", x=x, y=y - 10, width=12.0, height=11.0, class_=style)
        parts.append(joined((swatch, text(name, x + 16, y))))
        x += width + 6
    return joined(parts), y + 12
