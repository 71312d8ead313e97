"""The style of a page: enough contrast for letters and for lines, in light and in dark (WCAG 2.2, AA)."""

import re
from importlib import resources

import pytest

STYLE = (resources.files("selfreward.report.html") / "style.css").read_text(encoding="utf-8")
COLOURS = {name: both for name, *both in re.findall(r"--([\w]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", STYLE)}
LETTERS = [
    *((colour, ground) for colour in ("ink", "link") for ground in ("ground", "panel", "alarm", "calm", "told")),
    ("faint", "ground"), ("faint", "panel"),
]  # fmt: skip
LINES = [(f"c{number}", "ground") for number in range(6)]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(LETTERS, 4.5), (LINES, 3.0)], ids=["letters", "lines"])
def test_there_is_enough_contrast(pairs: list[tuple[str, str]], least: float, theme: int) -> None:
    found = {pair: contrast(COLOURS[pair[0]][theme], COLOURS[pair[1]][theme]) for pair in pairs}
    assert {pair: ratio for pair, ratio in found.items() if ratio < least} == {}


def test_every_colour_that_is_used_has_a_light_and_a_dark_value() -> None:
    assert set(re.findall(r"var\(--(\w+)\)", STYLE)) <= COLOURS.keys()


def test_colours_stand_in_the_palette_alone() -> None:
    rules = STYLE[STYLE.index("}") :]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(", rules) == []
