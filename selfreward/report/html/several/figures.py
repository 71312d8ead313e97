"""What runs are compared by, model by model, and the last models against their baselines."""

from collections.abc import Mapping
from typing import Any

from selfreward.report.html.blocks import Figure, Row, Section, Table, Text
from selfreward.report.html.plots import Bar, Part, Point, Series, bars, lines, point
from selfreward.report.html.several.runs import FIGURES, Several
from selfreward.report.html.words import NOTHING, estimate, model, number
from selfreward.statistics import Mean, mean_ci


def figures(several: Several) -> Section:
    """The three figures that runs are compared by, model by model."""
    drawn, blocks = [], []
    for key, (title, unit, decimals, at_least) in FIGURES.items():
        found = several.found["figures"][key]
        if any(found["values"]):
            drawn.append(_figure(several, title, unit, found, decimals, at_least))
        else:
            blocks.append(Text(f"{title}: not measured in these runs.", "missing"))
    lead = (
        "Each figure is a number for every held-out prompt or ranked set, so runs that were asked the same are "
        "compared prompt by prompt."
    )
    return Section("figures", "Figures by model", lead, [Row(drawn), *blocks])


def _figure(
    several: Several, title: str, unit: str, of_all: Mapping[str, Any], decimals: int, at_least: float
) -> Figure:
    models = [m for m in several.found["models"] if any(m in values for values in of_all["values"])]
    series = [
        Series(name, [point(values.get(m)) for m in models], style)
        for style, (name, values) in enumerate(zip(several.names, of_all["values"], strict=True))
    ]
    theirs = [of_all["paper"].get(m) for m in models]
    series.append(Series("paper", [None if v is None else Point(v) for v in theirs], len(series)))
    rows = [
        [name, *(_cell(v.get(m), decimals) for m in models)]
        for name, v in zip(several.names, of_all["values"], strict=True)
    ]
    rows += [
        [f"{name} less {several.names[0]}", *(_cell(v.get(m), decimals) for m in models)]
        for name, v in zip(several.names[1:], of_all["differences"], strict=True)
    ]
    if of_all["paper"]:
        rows.append(["paper", *(number(v, decimals) for v in theirs)])
    caption = "Vertical lines are 95 % intervals. The paper's models are Llama 2 70B with other prompts and judges."
    table = Table(f"{title}, with 95 % intervals", ("runs", *map(model, models)), rows)
    return Figure(title, [lines(unit, [model(m) for m in models], series, at_least)], caption, table)


def _cell(found: Mapping[str, Any] | None, decimals: int) -> str:
    return f"{estimate(found, decimals)}, {found['over']}" if found else NOTHING


def wins(several: Several) -> Section:
    """The last model of every group against its SFT baseline."""
    lead = "The last model of each run against that run's own SFT baseline. Bars to the left are wins, to the right losses."
    drawn, rows = [], []
    for name, group in zip(several.names, several.groups, strict=True):
        games = [row["against_sft"] for run in group for row in run.tables["summary"][-1:] if row["against_sft"]]
        if not games:
            continue
        means = {share: mean_ci([game[share] for game in games]) for share in ("win", "tie", "lose")}
        shares = {share: mean.mean or 0.0 for share, mean in means.items()}
        drawn.append(
            Bar(f"{name}: {' / '.join(number(value, 1) for value in shares.values())}",
                [Part(share, value, share) for share, value in shares.items()], _whiskers(means))
        )  # fmt: skip
        rows.append(
            [name, *(estimate({"mean": m.mean, "ci95": m.ci95}, 1) for m in means.values()), number(len(games))]
        )
    if not drawn:
        return Section(
            "wins",
            "Wins, ties and losses",
            lead,
            [Text("No run has an oracle that decides between answers.", "missing")],
        )
    plot = bars("Against the SFT baseline, %", drawn, 100, "% of prompts", [(s, s) for s in ("win", "tie", "lose")])
    table = Table("Shares; intervals over runs", ("runs", "win %", "tie %", "lose %", "number of runs"), rows)
    caption = "Means over runs; lines with ends are 95 % intervals over runs, where there are several."
    return Section("wins", "Wins, ties and losses", lead, [Figure("Who answers better", [plot], caption, table)])


def _whiskers(means: Mapping[str, Mean]) -> list[tuple[float, float]]:
    """The intervals of wins from the left and of losses from the right, within 0 and 100."""
    win, lose = means["win"].ci95, means["lose"].ci95
    found = [win] if win else []
    found += [(100 - lose[1], 100 - lose[0])] if lose else []
    return [(max(0.0, low), min(100.0, high)) for low, high in found]
