"""The table of a human evaluation, with the paper's rows."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from selfreward.report.cells import add_row, estimate, new_table, number, plain, widen
from selfreward.report.paper_figures import HUMAN

_SHARES = ("win", "tie", "lose")


def render_people(found: Mapping[str, Any], console: Console) -> None:
    """Prints the majority's verdict, each annotator's, and the paper's."""
    widen(console)
    table = new_table(f"{found['a']} v {found['b']}, by people", "", ["pairs", *_SHARES, "net"])
    shares = (estimate({"value": found[name], "ci95": found[f"{name}_ci95"]}, 1) for name in _SHARES)
    net = estimate({"value": found["net"], "ci95": found["ci95"]}, 1)
    add_row(table, f"majority of {len(found['annotators'])}", f"{found['n']}", *shares, net, end_section=True)
    for name, own in found["annotators"].items():
        add_row(table, name, f"{own['answers']}", *(number(own[share], 1) for share in _SHARES), "")
    table.add_section()
    for model, paper in HUMAN.items():
        net = number(paper[0] - paper[2], 1)
        add_row(table, f"paper: {model} v sft", "50", *(number(share, 1) for share in paper), net, style="dim")
    table.caption = plain(
        f"% of pairs; {found['identical']} identical and {found['no_majority']} without a majority count as ties, "
        f"{found['unanswered']} without an answer are left out"
    )
    console.print(table)
    if found["fleiss_kappa"] is not None:
        agreed = number(found["fleiss_kappa"], 2)
        console.print(plain(f"Fleiss' kappa {agreed}, over the {found['answered_by_all']} pairs that all answered."))
    for two, kappa in found["cohen_kappa"].items():
        console.print(plain(f"Cohen's kappa of {two}: {number(kappa, 2)}."))
