"""The tables of a run on a terminal. Every text is put in as plain text: what a model wrote is never read as markup,
nor by the terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from selfreward.judges.votes import HIGHEST
from selfreward.report.cells import (
    NOTHING,
    add_row,
    bar,
    estimate,
    fit,
    metric_name,
    new_table,
    number,
    of_metric,
    plain,
    small_columns,
    stacked,
    widen,
)
from selfreward.statistics import METRICS, TIE_POLICIES

_WHOLE_SCORES = range(6)  # points


def render(tables: Mapping[str, Any], console: Console) -> None:
    """Prints the tables that hold anything, the summary first. A console that is no terminal is made WIDTH wide."""
    widen(console)
    makers: tuple[Callable[[Mapping[str, Any]], list[Table]], ...] = (
        _summary,
        lambda tables: [head_to_head_table(tables["head_to_head"])],
        reward_tables,
        _judge_health,
        _groups,
        _early_stopping,
        _seeds,
        _counts,
        _time,
    )
    shown = [table for make in makers for table in make(tables) if table.row_count]
    console.print(plain(f"Run {tables['run']}", style="bold"))
    for table in shown:
        console.print()
        console.print(fit(table, console))
    console.print()
    if any(tables[name] for name in ("capability", "head_to_head", "reward_modelling", "judge_health")):
        console.print(plain("± is half the width of the 95 % interval; the intervals themselves are in --json.", "dim"))
    if tables["not_evaluated"]:
        console.print(plain(f"Not measured yet: {', '.join(tables['not_evaluated'])}.", "yellow"))
    if not shown:
        console.print(plain("Nothing has been measured yet.", "yellow"))
    for model, health in tables["judge_health"].items():
        for alarm in health.get("alarms") or []:
            console.print(plain(f"Judge {model}: {alarm}.", "yellow"))
    for alarm in tables["alarms"]:
        console.print(plain(f"Alarm {alarm.get('model')}: {alarm.get('said')} (guards.{alarm['guard']}).", "yellow"))
    if torn := tables["torn"]:
        files = ", ".join(sorted({line["file"] for line in torn}))
        console.print(plain(f"Torn by a kill, cut off and made again: {len(torn)} lines ({files}).", "yellow"))
    for problem in tables["problems"]:
        console.print(plain(f"Left out: {problem}", "red"))


def _summary(tables: Mapping[str, Any]) -> list[Table]:
    """One row for each model: what to look at first."""
    rows = tables["summary"]
    prompts = [row["score"].get("n") for row in rows if row["score"]]
    answers = f", {prompts[-1]} held-out prompts" if prompts else ""
    truth = next((row["judge_truth"] for row in rows if row["judge_truth"]), "oracle")
    columns = (" ", "score, 0-5", "perfect %", "win/tie/lose v sft %", "net", "judge right %", "words")
    table = new_table(f"Following instructions{answers}, and judging", "model", columns)
    for row in rows:
        game = row["against_sft"] or {}
        shares = [number(game.get(name), 0) for name in ("win", "tie", "lose")]
        add_row(
            table,
            row["model"],
            bar(_share_of_scale(row["score"])),
            estimate(row["score"], 2),
            estimate(row["perfect"], 1, 100),
            " / ".join(shares) if game else NOTHING,
            estimate({"value": game.get("net"), "ci95": game.get("ci95")}, 1),
            estimate(row["judge_pairwise_accuracy"], 1, 100),
            estimate(row["length_words"], 1),
        )
    table.caption = plain(
        "score: points of the answers; perfect: answers with all five; v sft: answers with more, as many, fewer points "
        f"than those of the baseline, net = win - lose; judge right: pairs of responses it orders as {_judge_of(truth)}, "
        "ties worth half (50 is chance); words: length of the answers"
    )
    return [table]


def _share_of_scale(score: Mapping[str, Any] | None) -> float | None:
    mean = (score or {}).get("mean")
    return None if mean is None else mean / HIGHEST


def _judge_of(truth: str) -> str:
    return "people did" if truth == "human" else f"the {truth} does"


def head_to_head_table(rows: Sequence[Mapping[str, Any]], judge: str = "") -> Table:
    """A row for each pair of models, the paper's figures beside it; `judge` is named in the title."""
    columns = (" win █ tie ▒ lose ░", "win", "tie", "lose", "net", "paper: win", "tie", "lose", "net")
    judged = f", judged by {judge}" if judge else ""
    table = new_table(f"Head to head, % of prompts{judged} (the paper's: Llama 2 70B, by GPT-4)", "models", columns)
    for row in rows:
        ours = [
            estimate({"value": row.get(name), "ci95": row.get(f"{name}_ci95")}, 1) for name in ("win", "tie", "lose")
        ]
        net = estimate({"value": row.get("net"), "ci95": row.get("ci95")}, 1)
        paper = row["paper"]
        theirs = [number(paper[name], 1) for name in ("win", "tie", "lose")] if paper else [NOTHING] * 3
        net_of_paper = number(paper["win"] - paper["lose"], 1) if paper else NOTHING
        shares = stacked([None if row.get(name) is None else row[name] / 100 for name in ("win", "tie", "lose")])
        add_row(table, f"{row['model']} v {row['against']}", shares, *ours, net, *theirs, net_of_paper)
    return table


def reward_tables(tables: Mapping[str, Any]) -> list[Table]:
    """A table for each truth that judgements were measured against, the paper's figures in it."""
    return [
        _reward_table(truth, policies, _judges(tables["models"], policies), tables["paper_reward_modelling"])
        for truth, policies in tables["reward_modelling"].items()
    ]


def _judges(models: Sequence[str], policies: Mapping[str, Any]) -> list[str]:
    """The models, and after them what else was measured as they are: a reward model."""
    measured = (name for metrics in policies.values() for by_name in metrics.values() for name in by_name)
    return list(dict.fromkeys((*models, *measured)))


def _reward_table(
    truth: str, policies: Mapping[str, Any], models: Sequence[str], paper: Mapping[str, Mapping[str, float]]
) -> Table:
    """A row for each metric and tie policy, one where the policies agree; below, what the paper published."""
    table = new_table(f"The judge against the ranks of: {truth}", "metric", ["ties", *models])
    for metric in METRICS:
        name = metric_name(metric)
        cells = {
            policy: [of_metric(metric, policies[policy].get(metric, {}).get(model)) for model in models]
            for policy in TIE_POLICIES
            if policy in policies
        }
        agree = len({tuple(row) for row in cells.values()}) == 1
        for policy, row in list(cells.items())[: 1 if agree else None]:
            add_row(table, name, "any" if agree else policy, *row)
        published = [of_metric(metric, paper[metric].get(model)) for model in models]
        add_row(table, name, "paper", *published, style="dim", end_section=True)
    return table


def _judge_health(tables: Mapping[str, Any]) -> list[Table]:
    by_model = tables["judge_health"]
    table = new_table("Health of the judge", "", list(by_model))
    columns = [_health_cells(health) for health in by_model.values()]
    for name in dict.fromkeys(name for column in columns for name in column):
        add_row(table, name, *(column.get(name, NOTHING) for column in columns))
    return [table]


def _health_cells(health: Mapping[str, Any]) -> dict[str, str]:
    """The rows of one judge."""
    histogram = health.get("vote_histogram", {})
    shares = {
        "readable votes": health.get("readable"),
        **{f"{fault.replace('_', ' ')} votes": share for fault, share in health.get("faults", {}).items()},
        "tied response pairs": health.get("tie_rate"),
        "prompts all tied": health.get("flat_prompts"),
        "equal votes on one response": health.get("self_agreement"),
    }
    return {
        "votes": f"{health.get('votes', 0)}",
        "votes for 0 to 5": small_columns([histogram.get(f"{points:.2f}", 0) for points in _WHOLE_SCORES]),
        **{f"votes for {points}": f"{histogram.get(f'{points:.2f}', 0)}" for points in _WHOLE_SCORES},
        "entropy of votes, bits": number(health.get("vote_entropy_bits"), 2),
        "mean score": estimate(health.get("mean_score"), 2),
        **{f"{name} %": estimate(share, 1, 100) for name, share in shares.items()},
    }


def _groups(tables: Mapping[str, Any]) -> list[Table]:
    found = []
    for key, title in (("by_family", "family"), ("by_complexity", "complexity")):
        table = new_table(f"Score by {title} of the instruction", title, tables["models"])
        for group, by_model in tables[key].items():
            add_row(table, group, *(estimate(by_model.get(model), 2) for model in tables["models"]))
        found.append(table)
    points = new_table("Responses that earn each point, %", "point", tables["models"])
    for point, by_model in tables["by_point"].items():
        add_row(points, point, *(estimate(by_model.get(model), 1, 100) for model in tables["models"]))
    return [*found, points]


def _early_stopping(tables: Mapping[str, Any]) -> list[Table]:
    """Which snapshot of each training became its model, and why."""
    table = new_table("Early stopping", "model", ("by", "judge", "snapshots", "looked at", "chosen step", "why"))
    for model, found in tables["early_stopping"].items():
        steps, looked_at = found.get("steps", []), found.get("looked_at", [])
        last = f"{steps[-1]}" if steps else NOTHING
        cells = (found.get("by"), found.get("judge"), len(steps), len(looked_at), f"{found.get('chosen')} of {last}")
        add_row(table, model, *map(str, cells), str(found.get("why")))
    return [table]


def _seeds(tables: Mapping[str, Any]) -> list[Table]:
    """What people's data gave and what was left out: a table of the parts, and one of the EFT seed built from them."""
    parts = {part: counts for part, counts in tables["seeds"].items() if part != "eft"}
    eft = {part: counts for part, counts in tables["seeds"].items() if part == "eft"}
    read = _counted("Seeds: read, left out, used", parts, last=("not_needed", "used"))
    return [read, _counted("Seeds: EFT from the baseline's judgements", eft)]


def _counts(tables: Mapping[str, Any]) -> list[Table]:
    titles = (("lines", "Lines written"), ("counts", "Kept and dropped"))
    return [_counted(title, tables[key]) for key, title in titles]


def _counted(title: str, columns: Mapping[str, Mapping[str, float]], last: Sequence[str] = ()) -> Table:
    """A row for each name that some column counts, those of `last` at the end."""
    table = new_table(title, "", list(columns))
    names = dict.fromkeys(name for counts in columns.values() for name in counts)
    for name in sorted(names, key=lambda name: name in last):
        cells = (f"{counts[name]:g}" if name in counts else NOTHING for counts in columns.values())
        add_row(table, name.replace("/", ": ").replace("_", " "), *cells)
    return table


def _time(tables: Mapping[str, Any]) -> list[Table]:
    table = new_table("Time", "stage", (" ", "seconds", "items", "items/s"))
    stages = tables["time"]
    longest = max((row["seconds"] for row in stages), default=0)
    for row in stages:
        rate = f"{row['items'] / row['seconds']:.3g}" if row["items"] and row["seconds"] else NOTHING
        share = bar(row["seconds"] / longest if longest else None)
        add_row(table, row["stage"], share, f"{row['seconds']:.1f}", f"{row['items']}", rate)
    if stages:
        table.add_section()
        add_row(table, "all", "", f"{sum(row['seconds'] for row in stages):.1f}", "", "")
    return [table]
