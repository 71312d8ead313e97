"""How well instructions are followed, model by model, and by category and complexity, as in the paper's figure 4."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfreward.report.html.blocks import Block, Figure, Row, Section, Table, Text
from selfreward.report.html.plots import Series, alone, dots, lines, point
from selfreward.report.html.run import Run
from selfreward.report.html.words import estimate, model

_LEAD = (
    "Every model answers the same held-out instructions, and the oracle, a program that no model meets in training, "
    "gives each answer one point for each of five demands that it meets: 5 is perfect. A line that rises says that "
    "a round helped; where the vertical bars (95 % intervals) of two models overlap much, they may be equal."
)
_MEASURES = (("score", "Score, 0 to 5", 1, 2, 1.0), ("perfect", "Perfect answers, %", 100, 1, 10.0))
_GROUPS = (
    ("by_family", "By category of the instruction", "Score, 0 to 5", 1, 2),
    ("by_complexity", "By complexity: number of demands", "Score, 0 to 5", 1, 2),
    ("by_point", "By demand: answers that meet it", "% of the answers", 100, 1),
)


def following(run: Run) -> Section:
    """The third section."""
    measured = run.tables["capability"]
    if not measured:
        why = (
            "No model has been measured yet."
            if run.recipe.seeds.is_micro
            else "The answers of this run were not measured: outside of the micro-world there is no oracle. A judge can compare "
            "them, also by category: selfreward eval RUN --judge MODEL."
        )
        return Section("following", "Following instructions", _LEAD, [Text(why, "missing")])
    models = list(measured)
    plots = [
        lines(
            title,
            [model(name) for name in models],
            alone([point(measured[name].get(key), scale) for name in models]),
            at_least,
        )
        for key, title, scale, _, at_least in _MEASURES
    ]
    rows = [
        [model(name), *(estimate(measured[name].get(key), d, s) for key, _, s, d, _ in _MEASURES)] for name in models
    ]
    table = Table("By model, with 95 % intervals", ("model", *(title for _, title, *_ in _MEASURES)), rows)
    caption = (
        "Means over prompts. The SFT baseline is at the left, and each model stands right of the one it was made from."
    )
    blocks: list[Block] = [Figure("Model by model", plots, caption, table)]
    groups = [
        _grouped(title, unit, run.tables[key], models, scale, decimals)
        for key, title, unit, scale, decimals in _GROUPS
        if run.tables[key]
    ]
    blocks.append(
        Row(groups) if groups else Text("Categories and complexity were not measured in this run.", "missing")
    )
    return Section("following", "Following instructions", _LEAD, blocks)


def _grouped(
    title: str, unit: str, found: Mapping[str, Mapping[str, Any]], models: Sequence[str], scale: float, decimals: int
) -> Figure:
    series = [
        Series(model(name), [point(of_group.get(name), scale) for of_group in found.values()], style)
        for style, name in enumerate(models)
    ]
    rows = [
        [group, *(estimate(of_group.get(name), decimals, scale) for name in models)]
        for group, of_group in found.items()
    ]
    table = Table(f"{title}, with 95 % intervals", ("group", *map(model, models)), rows)
    caption = "One row a group; from top to bottom the models in the order of their making. Lines are 95 % intervals."
    return Figure(title, [dots(unit, list(found), series, unit)], caption, table)
