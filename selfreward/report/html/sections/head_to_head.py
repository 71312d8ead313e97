"""Wins, ties and losses between the models of a run, as in the paper's figure 3, with the paper's own beside."""

from collections.abc import Mapping
from typing import Any

from selfreward.report.html.blocks import Figure, Section, Table, Text
from selfreward.report.html.plots import Bar, Part, bars
from selfreward.report.html.run import Run
from selfreward.report.html.words import NOTHING, estimate, model, number

_LEAD = (
    "Two models answer the same instructions, none of which was trained on; the answer with more points wins. Bars "
    "to the left are wins, to the right losses. The thin bar below is what the paper reports for the same pair of "
    "models."
)
_STYLES = (("win", "win", "win"), ("tie", "tie", "tie"), ("lose", "lose", "lose"))


def head_to_head(run: Run) -> Section:
    """The second section."""
    rows = run.tables["head_to_head"]
    if not rows:
        why = (
            "No two models have been measured yet."
            if run.recipe.seeds.is_micro
            else "This run has no oracle that could decide between two answers, so models did not meet. Have a judge compare them: "
            "selfreward eval RUN --judge MODEL."
        )
        return Section("wins", "Wins, ties and losses", _LEAD, [Text(why, "missing")])
    base = [row for row in rows if row["against"] == "sft"]
    other = [row for row in rows if row["against"] != "sft"]
    plots = [
        plot(title, some)
        for title, some in (("Against the SFT baseline, %", base), ("Against earlier models, %", other))
        if some
    ]
    columns = ("models", "win %", "tie %", "lose %", "net", "prompts", "paper: win / tie / lose %")
    figure = Figure(
        "Who answers better",
        plots,
        "Lines with ends are 95 % intervals of wins and of losses. The paper's models are Llama 2 70B, judged by "
        "GPT-4 on 256 prompts: what compares is the direction, not the height.",
        Table("Head to head, with 95 % intervals", columns, [_row(row) for row in rows]),
    )
    left_out = sum(row.get("unscored") or 0 for row in rows)
    notes = [Text(f"{left_out} comparisons were left out, as a side had no score.", "alarm")] if left_out else []
    return Section("wins", "Wins, ties and losses", _LEAD, [figure, *notes])


def plot(title: str, rows: list[Mapping[str, Any]]) -> Any:
    """Stacked bars of meetings, the paper's below each where it has one."""
    drawn = []
    for row in rows:
        shares = " / ".join(number(row.get(name), 1) for name, _, _ in _STYLES)
        drawn.append(Bar(f"{_title(row)}: {shares}", _parts(row), _whiskers(row)))
        if row["paper"]:
            theirs = " / ".join(number(row["paper"][name], 1) for name, _, _ in _STYLES)
            drawn.append(Bar(f"paper: {theirs}", _parts(row["paper"]), is_aside=True))
    return bars(title, drawn, 100, "% of prompts", [(style, name) for name, style, _ in _STYLES])


def _title(row: Mapping[str, Any]) -> str:
    return f"{model(row['model'])} v {model(row['against'])}"


def _parts(shares: Mapping[str, Any]) -> list[Part]:
    return [Part(name, shares.get(name) or 0.0, style) for name, style, _ in _STYLES]


def _whiskers(row: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The intervals of wins from the left and of losses from the right."""
    found = []
    if win := row.get("win_ci95"):
        found.append((win[0], win[1]))
    if lose := row.get("lose_ci95"):
        found.append((100 - lose[1], 100 - lose[0]))
    return found


def _row(row: Mapping[str, Any]) -> list[str]:
    cells = [estimate({"value": row.get(name), "ci95": row.get(f"{name}_ci95")}, 1) for name, _, _ in _STYLES]
    net = estimate({"value": row.get("net"), "ci95": row.get("ci95")}, 1)
    paper = row["paper"]
    theirs = " / ".join(number(paper[name], 1) for name, _, _ in _STYLES) if paper else NOTHING
    return [_title(row), *cells, net, number(row.get("n")), theirs]
