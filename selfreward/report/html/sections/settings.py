"""How the run can be made again: its recipe, where that differs from the paper, and what it ran on."""

from collections.abc import Mapping
from typing import Any

from selfreward.recipe import Recipe, flat, to_yaml
from selfreward.report.html.blocks import Block, Section, Table, Text, Verbatim
from selfreward.report.html.run import Run
from selfreward.report.html.words import NOTHING

_LEAD = (
    "The recipe is everything that the run was told. With the same recipe, versions and first model, the same "
    "command gives the same records again. Defaults are the paper's values, or cite why not."
)
_NOT_A_CHOICE = ("name", "model", "plan.", "guards.", "engine.", "judge.engine")


def settings(run: Run) -> Section:
    """The eleventh section."""
    blocks: list[Block] = []
    unlike = differing(run.recipe)
    if unlike:
        columns = ("setting", "this run", "default")
        blocks.append(Table("Where the recipe differs from the defaults", columns, unlike))
    else:
        blocks.append(Text("All settings of the method are the defaults."))
    blocks.append(Verbatim("The whole recipe (recipe.yaml)", to_yaml(run.recipe)))
    if run.stamp:
        rows = [[key, str(value)] for key, value in flat(_without_lists(run.stamp))]
        blocks.append(Table("What it ran on (stamp.json)", ("what", "value"), rows))
    else:
        blocks.append(Text("There is no stamp: what the run was made with is not recorded.", "missing"))
    return Section("settings", "Recipe and stamp", _LEAD, blocks)


def differing(recipe: Recipe) -> list[list[str]]:
    """(setting, value, default) where a recipe says something else of the method."""
    ours, defaults = dict(flat(recipe.model_dump())), dict(flat(Recipe(name="any").model_dump()))
    return [
        [path, _said(value), _said(defaults.get(path))]
        for path, value in ours.items()
        if value != defaults.get(path) and not path.startswith(_NOT_A_CHOICE)
    ]


def _said(value: object) -> str:
    return NOTHING if value is None else str(value)


def _without_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as one text, nothing as a dash."""
    return {
        key: _without_lists(value)
        if isinstance(value, dict)
        else ", ".join(map(str, value))
        if isinstance(value, list)
        else _said(value)
        for key, value in values.items()
    }
