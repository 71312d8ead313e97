"""Tables of judges measured against ranks: any scores from a file, and models asked in several ways, beside the paper's."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from selfreward.report.cells import NOTHING, add_row, estimate, metric_name, new_table, of_metric, plain, widen
from selfreward.report.paper_figures import MULTIPLE_CHOICE, REWARD_MODELLING
from selfreward.statistics import METRICS

_PAPERS = {  # each model of the paper's table, and the ablation that it has of one of them
    **{
        (model, "additive"): {name: REWARD_MODELLING[name][model] for name in METRICS}
        for model in ("sft", "m1", "m2", "m3")
    },
    ("sft", "multiple choice"): MULTIPLE_CHOICE,
}


def render_reward_metrics(found: Mapping[str, Any], console: Console) -> None:
    """Prints the metrics of one file of scores, a row each, with the paper's models beside them."""
    widen(console)
    models = [model for model, template in _PAPERS if template == "additive"]
    table = new_table("Scores against people's ranks", "metric", ["value", "n", *(f"paper: {m}" for m in models)])
    for name in METRICS:
        ours = found["metrics"][name]
        papers = [of_metric(name, REWARD_MODELLING[name][model]) for model in models]
        add_row(table, metric_name(name), of_metric(name, ours), f"{ours['n']}", *papers)
    add_row(
        table, "coverage %", estimate(found["coverage"], 1, 100), f"{found['coverage']['n']}", *[NOTHING] * len(models)
    )
    table.caption = plain(
        f"{_rules(found)}; {found['sets_used']} of {found['sets']} sets have two scored responses that people told apart, "
        f"{found['unscored']} of {found['responses']} responses have no score"
    )
    console.print(table)


def render_judges(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Prints a table for each truth: a row for each model and way to ask it, below them what the paper published."""
    widen(console)
    for truth in dict.fromkeys(row["truth"] for row in rows):
        console.print(_judges([row for row in rows if row["truth"] == truth], truth))
    for row in rows:
        if row["truth"] == rows[0]["truth"]:
            for alarm in row["health"]["alarms"]:
                console.print(plain(f"Judge {' '.join(_way(row))}: {alarm}.", "yellow"))
    if len({row["sets_digest"] for row in rows}) > 1:
        console.print(plain("Not all were measured on the same sets: their differences are not paired.", "yellow"))


def _judges(rows: Sequence[Mapping[str, Any]], truth: str) -> Table:
    columns = ["template", "read", "votes", *(metric_name(name) for name in METRICS), "readable %", "scored %"]
    table = new_table(f"Judges against the ranks of: {truth}", "model", columns)
    for place, row in enumerate(rows):
        metrics = [of_metric(name, row["metrics"][name]) for name in METRICS]
        covered = [estimate(row["health"]["readable"], 1, 100), estimate(row["coverage"], 1, 100)]
        add_row(table, *_way(row), *metrics, *covered, end_section=place == len(rows) - 1)
    for (model, template), papers in _PAPERS.items():
        metrics = [of_metric(name, papers[name]) for name in METRICS]
        add_row(table, f"paper: {model}", template, "votes", "3", *metrics, NOTHING, NOTHING, style="dim")
    sets = " or ".join(dict.fromkeys(f"{row['sets_used']} of {row['sets']}" for row in rows))
    table.caption = plain(
        f"{_rules(rows[0])}; {sets} sets used; readable: of the votes; scored: of the responses of a set"
    )
    return table


def _way(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return row["model"], row["pin"]["template"], row["pin"]["read"], f"{row['votes']}"


def _rules(found: Mapping[str, Any]) -> str:
    return f"ties {found['policy']}, {found['average']} average, undefined correlations {found['undefined']}"
