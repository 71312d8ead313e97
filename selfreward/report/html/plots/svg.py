"""The parts that all plots share: tags, scales, ticks, axes, markers, legends."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup

from selfreward.text import visible

WIDTH = 360  # of every plot, in its own units
LEFT, RIGHT = 44, 350  # where a plot's area begins and ends
_LETTER = 6.4  # mean width of a letter of 12 units
_NUM_SHAPES = 6  # and as many colours; the seventh series has the first shape in the second colour

Scale = Callable[[float], float]


def tag(name: str, *inside: object, **attributes: Any) -> Markup:
    """An element; texts and attributes are escaped, attributes of None left out, `_` in their names becomes `-`."""
    said = Markup().join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _plain(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), said, Markup().join(map(_shown, inside)))


def _plain(value: object) -> str:
    """Numbers with two decimals at most: a page holds thousands."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else _shown(value)


def _shown(value: object) -> str:
    """Texts with their control characters written out."""
    return value if isinstance(value, Markup) else visible(str(value))


def joined(parts: Iterable[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup().join(parts)


def drawing(title: str, described: str, height: float, *inside: object) -> Markup:
    """A whole plot with its title above; `described` says in words what it shows, for those who do not see it."""
    heading = tag("text", title, x=4, y=15, class_="title")
    return tag(
        "svg", heading, *inside, viewBox=f"0 0 {WIDTH} {height:.0f}", role="img", aria_label=f"{title}. {described}"
    )


def text(said: str, x: float, y: float, anchor: str = "start", style: str = "") -> Markup:
    """Letters; `anchor` is start, middle or end."""
    return tag(
        "text", said, x=float(x), y=float(y), text_anchor=anchor if anchor != "start" else None, class_=style or None
    )


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    """A straight line."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=style)


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """From low..high to start..end."""
    width = (high - low) or 1.0
    return lambda value: start + (value - low) / width * (end - start)


def bounds(values: Sequence[float], at_least: float = 0.0) -> tuple[float, float]:
    """Low and high with some air, at least `at_least` apart; 0 to 1 for no values."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    air = max((high - low) * 0.06, (at_least - (high - low)) / 2, abs(high) * 1e-3, 1e-9)
    return low - air, high + air


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between low and high: steps of 1, 2, 2.5 or 5 times a power of ten."""
    raw = (high - low) / most
    power = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float) -> str:
    """A tick's number, short."""
    return f"{value:,.4g}".replace("-", "−") if abs(value) < 1e4 else f"{value / 1000:,.4g}k"


def y_axis(low: float, high: float, scale: Scale) -> Markup:
    """Grid lines with their numbers."""
    return joined(
        [
            joined((line(LEFT, scale(v), RIGHT, scale(v), "grid"), text(tick_label(v), LEFT - 6, scale(v) + 4, "end")))
            for v in ticks(low, high)
        ]
    )


def x_axis(low: float, high: float, scale: Scale, top: float, bottom: float, label: str = "") -> Markup:
    """Vertical grid lines with their numbers below, and what they count."""
    parts = [
        joined((line(scale(v), top, scale(v), bottom, "grid"), text(tick_label(v), scale(v), bottom + 15, "middle")))
        for v in ticks(low, high)
    ]
    return joined([*parts, text(label, RIGHT, bottom + 30, "end")])


def colour(style: int) -> int:
    """The number of a series' colour in the style sheet."""
    return (style + style // _NUM_SHAPES) % _NUM_SHAPES


def marker(style: int, x: float, y: float, size: float = 4.0, title: str = "") -> Markup:
    """The sign of a series: a shape of its own in a colour of its own; `title` is shown to a mouse that rests on it."""
    shapes: list[Sequence[tuple[float, float]]] = [
        [(math.cos(a / 6 * math.pi), math.sin(a / 6 * math.pi)) for a in range(12)],  # as good as a circle
        [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        [(0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
        [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        [(0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
        [(-1.3, -0.4), (1.3, -0.4), (1.3, 0.4), (-1.3, 0.4)],
    ]
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in shapes[style % _NUM_SHAPES])
    inside = [tag("title", title)] if title else []
    return tag("polygon", *inside, points=points, class_=f"f{colour(style)} edge")


def legend(names: Sequence[tuple[int, str]], top: float) -> tuple[Markup, float]:
    """Signs with their names from `top` on, in as many lines as they need; and where the legend ends."""
    parts, x, y = [], 8.0, top + 10
    for style, name in names:
        width = 20 + _LETTER * len(name)
        if x > 8 and x + width > WIDTH - 4:
            x, y = 8.0, y + 17
        parts.append(joined((marker(style, x, y - 4), text(name, x + 9, y))))
        x += width + 8
    return joined(parts), (y + 8 if names else top)


def cut(said: str, width: float) -> str:
    """A text cut to what fits into `width` units."""
    most = max(1, int(width / _LETTER))
    return said if len(said) <= most else said[: most - 1] + "…"
