"""The tables of an analysis on a terminal; the map of prompts is in its JSON."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from selfreward.report.cells import NOTHING, add_row, new_table, number, plain, widen


def render_analysis(found: Mapping[str, Any], console: Console) -> None:
    """Prints lengths, diversity, and how far groups of prompts mix."""
    widen(console)
    quantiles = ("mean", "p5", "p25", "median", "p75", "p95")
    table = new_table("Lengths, words", "stage", ["texts", *quantiles])
    for stage, spread in found["lengths"].items():
        add_row(table, stage, f"{spread['n']}", *(number(spread["words"][name], 1) for name in quantiles))
    console.print(table)
    console.print()
    columns = ("prompts", "compared", "distinct-1", "distinct-2", "distinct-3", "self-ROUGE", "of all pairs")
    table = new_table("Diversity of prompts", "group", columns)
    for group, values in found["diversity"].items():
        distinct = (number(values[f"distinct_{n}"], 3) for n in (1, 2, 3))
        rouge = values["self_rouge"] or {}
        alike = (number(rouge.get(name), 3) for name in ("highest", "mean"))
        add_row(table, group, f"{found['groups'][group]}", f"{values['n']}", *distinct, *alike)
    table.caption = plain("equally many of each group; self-ROUGE: ROUGE-L F with the most similar other prompt, mean")
    console.print(table)
    if found["overlap"]:
        console.print()
        table = new_table(f"Neighbours, by the states of {found['embedded_by']}", "prompts of", list(found["overlap"]))
        for group, ratios in found["overlap"].items():
            cells = (NOTHING if ratio is None else number(ratio, 2) for ratio in ratios.values())
            add_row(table, group, *cells)
        table.caption = plain("how often a near neighbour is of the group above, 1 where groups do not matter, 0 apart")
        console.print(table)
