"""The tables of several runs on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from selfreward.report.cells import add_row, estimate, new_table, number, plain, widen

_TITLES = {
    "score": ("Score of the answers, 0 to 5", 2),
    "net": ("Net win against the run's own SFT baseline, % of prompts", 1),
    "judge_right": ("Pairs of responses that the model as a judge orders right, %", 1),
}


def render_comparison(found: Mapping[str, Any], console: Console) -> None:
    """Prints one table for each figure: the runs, how far they are from the first, and the paper's values."""
    widen(console)
    names = [group["name"] for group in found["groups"]]
    for figure in _TITLES:
        if any(found["figures"][figure]["values"]):
            console.print(_figure(figure, found["figures"][figure], names, found["models"]))
            console.print()
    for line in found["differs"]:
        console.print(plain(f"Measured differently: {line}", "yellow"))
    over = "of several runs over their seeds (Student's), of one over prompts or ranked sets"
    console.print(plain(f"± is half the width of the 95 % interval: {over}; the intervals are in --json.", "dim"))


def _figure(figure: str, part: Mapping[str, Any], names: list[str], all_models: list[str]) -> Table:
    title, decimals = _TITLES[figure]
    models = [model for model in all_models if any(model in values for values in part["values"])]
    table = new_table(title, "run", ["interval over", *models])
    rows = [*zip(names, part["values"], strict=True)]
    rows += [(f"{name} less {names[0]}", values) for name, values in zip(names[1:], part["differences"], strict=True)]
    for place, (name, values) in enumerate(rows):
        over = " or ".join(dict.fromkeys(value["over"] for value in values.values()))
        cells = (estimate(values.get(model), decimals) for model in models)
        add_row(table, name, over, *cells, end_section=place in (len(names) - 1, len(rows) - 1))
    if part["paper"]:
        add_row(table, "paper", "", *(number(part["paper"].get(model), decimals) for model in models), style="dim")
    return table
