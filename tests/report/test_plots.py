"""Plots: where things stand on them, what they say to those who do not see them, and texts that would break them."""

import re
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from selfreward.report.html.plots import Bar, Curve, Part, Point, Series, bars, columns, curves, dots, lines, scatter
from selfreward.report.html.plots.curves import thinned
from selfreward.report.html.plots.svg import bounds, colour, linear, marker, tag, ticks

HOSTILE = "</svg><script>alert(1)</script>\"'&\x1b[2J\u202e\ud800"


def drawn(plot: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(plot)


def series(name: str, *values: float) -> Series:
    return Series(name, [Point(value, value - 1, value + 1) for value in values], 0)


PLOTS: dict[str, Callable[[str], Markup]] = {
    "lines": lambda said: lines(said, [said], [series(said, 3)]),
    "curves": lambda said: curves(said, [Curve(said, [(1, 2.0), (2, 3.0)], 0)], (2.5, said)),
    "bars": lambda said: bars(said, [Bar(said, [Part(said, 3, "win")], [(1, 2)])], 5, said, [("win", said)]),
    "columns": lambda said: columns(said, {1.0: 3}, 0, 5, said),
    "dots": lambda said: dots(said, [said], [series(said, 3)], said),
    "scatter": lambda said: scatter(said, {"a": said}, [("a", 0.0, 1.0, said)]),
}
EMPTY: dict[str, Callable[[], Markup]] = {
    "lines": lambda: lines("x", [], []),
    "no points": lambda: lines("x", ["M1"], [Series("a", [None], 0)]),
    "curves": lambda: curves("x", [Curve("a", [], 0)]),
    "bars": lambda: bars("x", [], 0, "s"),
    "columns": lambda: columns("x", {}, 0, 5, "score"),
    "dots": lambda: dots("x", [], [], "points"),
    "scatter": lambda: scatter("x", {}, []),
    "one value": lambda: lines("x", ["M1", "M2"], [Series("a", [Point(0.0), Point(0.0)], 0)]),
}


@pytest.mark.parametrize("name", PLOTS)
def test_hostile_text_stays_text(name: str) -> None:
    plot = PLOTS[name](HOSTILE)
    elements = drawn(plot)
    assert {element.tag for element in elements.iter()} <= {
        "svg", "text", "line", "rect", "polyline", "polygon", "title"
    }  # fmt: skip
    assert "alert(1)" in plot and "\x1b" not in plot and "\u202e" not in plot and "\ud800" not in plot


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_an_image_with_a_description(name: str) -> None:
    found = drawn(PLOTS[name]("Words"))
    assert found.get("role") == "img"
    assert (found.get("aria-label") or "").startswith("Words. ")
    assert len(found.get("aria-label") or "") > len("Words. ")


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_to_draw_is_drawn_without_a_fault(name: str) -> None:
    plot = EMPTY[name]()
    drawn(plot)
    assert "nan" not in plot and "inf" not in plot


def test_an_interval_reaches_from_its_low_to_its_high_end() -> None:
    plot = drawn(lines("x", ["M1", "M2"], [Series("a", [Point(4.0, 3.0, 6.0), Point(5.0)], 0)]))
    (whisker,) = [element for element in plot.iter("line") if "whisker" in (element.get("class") or "")]
    joined = next(element for element in plot.iter("polyline") if "s0" in (element.get("class") or ""))
    middle = [float(pair.split(",")[1]) for pair in joined.get("points", "").split()]
    low, high = float(whisker.get("y1", 0)), float(whisker.get("y2", 0))
    assert high < middle[0] < low
    assert (low - middle[0]) / (low - high) == pytest.approx(1 / 3, abs=0.01)


def test_shares_are_as_long_as_they_say_and_their_intervals_lie_on_them() -> None:
    shares = [Part("win", 50.0, "win"), Part("tie", 30.0, "tie"), Part("lose", 20.0, "lose")]
    plot = drawn(bars("x", [Bar("M2 v M1", shares, [(45.0, 55.0)])], 100, "%"))
    widths = [float(rect.get("width", 0)) for rect in plot.iter("rect")]
    assert widths == pytest.approx([170, 102, 68])
    reach = next(line for line in plot.iter("line") if "whisker" in (line.get("class") or ""))
    assert (float(reach.get("x2", 0)) - float(reach.get("x1", 0))) / 340 == pytest.approx(0.1)


def test_series_differ_in_shape_and_after_six_in_the_pair_of_shape_and_colour() -> None:
    signs = [str(marker(style, 0, 0)) for style in range(12)]
    assert len(set(signs)) == 12
    assert len({re.findall('points="([^"]*)"', sign)[0] for sign in signs[:6]}) == 6
    assert [colour(style) for style in range(8)] == [0, 1, 2, 3, 4, 5, 1, 2]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0.123, 0.129), (0, 123456), (5, 5.0001)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)


def test_an_axis_is_no_shorter_than_asked_for() -> None:
    low, high = bounds([4.0, 4.1], at_least=2.0)
    assert high - low >= 2.0 and low < 4.0 and high > 4.1
    assert linear(low, high, 0, 10)(low) == 0


def test_a_share_has_no_axis_far_beyond_all() -> None:
    assert "102" not in lines("x", ["M1"], [Series("a", [Point(99.0)], 0)], 10, most=100)


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    points = [(float(step), float(step)) for step in range(10_000)]
    found = thinned(points)
    assert len(found) <= 161 and found[-1] == points[-1]
    assert all(a[0] < b[0] for a, b in pairwise(found))
    assert thinned(points[:5]) == points[:5]


def test_attributes_of_none_are_left_out_and_numbers_are_short() -> None:
    assert tag("text", "a < b", x=1.23456, class_="c", text_anchor=None) == '<text x="1.23" class="c">a &lt; b</text>'
