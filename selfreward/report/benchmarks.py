"""The tables of public benchmarks on a terminal, the paper's figures beside ours where it has any."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from selfreward.report.cells import add_row, estimate, new_table, widen

_HALF_WIDTH = "± is half the width of the 95 % interval; the intervals themselves are in --json."


def render_ifeval(found: Mapping[str, Any], console: Console) -> None:
    """Prints IFEval's accuracies in percent: whole, by group, by instruction."""
    widen(console)
    size = f"{found['prompts']} prompts with {found['instructions']} instructions"
    table = new_table(f"IFEval, % followed, {size}", "instructions", ("strict", "loose", "n"))
    strict, loose = found["strict"], found["loose"]

    def row(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], last: bool = False) -> None:
        cells = (estimate(ours, 1, 100), estimate(theirs, 1, 100), str(ours["n"]))
        add_row(table, name, *cells, end_section=last)

    row("all of a prompt", strict["prompt"], loose["prompt"])
    row("each", strict["instruction"], loose["instruction"], last=True)
    for part in ("by_group", "by_instruction"):
        names = list(strict[part])
        for name in names:
            row(name, strict[part][name], loose[part][name], last=name == names[-1])
    console.print(table)
    notes = {"blank": "responses are blank and follow nothing", "unused_responses": "responses are to other prompts"}
    for name, note in notes.items():
        if found[name]:
            console.print(Text(f"{found[name]} {note}.", "yellow"))
    console.print(Text(_HALF_WIDTH, "dim"))
