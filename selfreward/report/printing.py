"""The tables of a run on a terminal. Every text is put in as plain text: what a model wrote is never read as markup."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfreward.statistics import METRICS, TIE_POLICIES

NOTHING = "-"
WIDTH = 120  # characters, where the output is no terminal: rich would take 80
_WHOLE_SCORES = range(6)  # points
_IN_PERCENT = {"pairwise_accuracy", "five_best", "exact_match"}  # measured in 0..1
_METRIC_NAMES = {
    "pairwise_accuracy": "pairwise %",
    "five_best": "five best %",
    "exact_match": "exact match %",
    "kendall_tau": "kendall tau",
}


def render(tables: Mapping[str, Any], console: Console) -> None:
    """Prints the tables that hold anything, the summary first. A console that is no terminal is made WIDTH wide."""
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    console.print(Text(f"Run {tables['run']}", style="bold"))
    makers: tuple[Callable[[Mapping[str, Any]], list[Table]], ...] = (
        _summary,
        _head_to_head,
        _reward_modelling,
        _judge_health,
        _groups,
        _seeds,
        _counts,
        _time,
    )
    shown = [table for make in makers for table in make(tables) if table.row_count]
    for table in shown:
        console.print()
        console.print(table)
    console.print()
    if any(tables[name] for name in ("capability", "head_to_head", "reward_modelling", "judge_health")):
        console.print(Text("± is half the width of the 95 % interval; the intervals themselves are in --json.", "dim"))
    if tables["not_evaluated"]:
        console.print(Text(f"Not measured yet: {', '.join(tables['not_evaluated'])}.", "yellow"))
    if not shown:
        console.print(Text("Nothing has been measured yet.", "yellow"))
    for model, health in tables["judge_health"].items():
        for alarm in health.get("alarms") or []:
            console.print(Text(f"Judge {model}: {alarm}.", "yellow"))
    if torn := tables["torn"]:
        files = ", ".join(sorted({line["file"] for line in torn}))
        console.print(Text(f"Torn by a kill, cut off and made again: {len(torn)} lines ({files}).", "yellow"))
    for problem in tables["problems"]:
        console.print(Text(f"Left out: {problem}", "red"))


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    """Where there is no room, a cell goes on below (`4.17` over `±0.05`): nothing is cut off."""
    table = Table(title=Text(title), title_justify="left", caption_justify="left", header_style="bold")
    table.add_column(Text(first), no_wrap=True, overflow="fold")
    for column in columns:
        table.add_column(Text(column), justify="right", overflow="fold")
    return table


def _add(table: Table, *cells: str, style: str | None = None, end_section: bool = False) -> None:
    table.add_row(*(Text(cell) for cell in cells), style=style, end_section=end_section)


def _number(value: float | None, decimals: int, scale: float = 1) -> str:
    return NOTHING if value is None else f"{scale * value:.{decimals}f}"


def _estimate(found: Mapping[str, Any] | float | None, decimals: int, scale: float = 1) -> str:
    """`4.17 ±0.05` of {mean or value, ci95}, `4.17` of a bare number; the decimals are those of both parts."""
    if found is None or isinstance(found, int | float):
        return _number(found, decimals, scale)
    value = _number(found.get("mean", found.get("value")), decimals, scale)
    interval = found.get("ci95")
    if value == NOTHING or not interval:
        return value
    return f"{value} ±{_number((interval[1] - interval[0]) / 2, decimals, scale)}"


def _metric(name: str, found: Mapping[str, Any] | None) -> str:
    """An estimate in the unit in which its metric is read: percent or a correlation."""
    return _estimate(found, 1, 100) if name in _IN_PERCENT else _estimate(found, 3)


def _summary(tables: Mapping[str, Any]) -> list[Table]:
    """One row for each model: what to look at first."""
    rows = tables["summary"]
    prompts = [row["score"].get("n") for row in rows if row["score"]]
    answers = f", {prompts[-1]} held-out prompts" if prompts else ""
    truth = next((row["judge_truth"] for row in rows if row["judge_truth"]), "oracle")
    columns = ("score, 0-5", "perfect %", "win/tie/lose v sft %", "net", "judge right %", "words")
    table = _table(f"Following instructions{answers}, and judging", "model", columns)
    for row in rows:
        game = row["against_sft"] or {}
        shares = [_number(game.get(name), 0) for name in ("win", "tie", "lose")]
        _add(
            table,
            row["model"],
            _estimate(row["score"], 2),
            _estimate(row["perfect"], 1, 100),
            " / ".join(shares) if game else NOTHING,
            _estimate({"value": game.get("net"), "ci95": game.get("ci95")}, 1),
            _estimate(row["judge_pairwise_accuracy"], 1, 100),
            _estimate(row["length_words"], 1),
        )
    table.caption = Text(
        "score: points of the answers; perfect: answers with all five; v sft: answers with more, as many, fewer points "
        f"than those of the baseline, net = win - lose; judge right: pairs of responses it orders as {_judge_of(truth)}, "
        "ties worth half (50 is chance); words: length of the answers"
    )
    return [table]


def _judge_of(truth: str) -> str:
    return "people did" if truth == "human" else f"the {truth} does"


def _head_to_head(tables: Mapping[str, Any]) -> list[Table]:
    columns = ("win", "tie", "lose", "net", "paper: win", "tie", "lose", "net")
    table = _table("Head to head, % of prompts (the paper's: Llama 2 70B, judged by GPT-4)", "models", columns)
    for row in tables["head_to_head"]:
        ours = [
            _estimate({"value": row.get(name), "ci95": row.get(f"{name}_ci95")}, 1) for name in ("win", "tie", "lose")
        ]
        net = _estimate({"value": row.get("net"), "ci95": row.get("ci95")}, 1)
        paper = row["paper"]
        theirs = [_number(paper[name], 1) for name in ("win", "tie", "lose")] if paper else [NOTHING] * 3
        net_of_paper = _number(paper["win"] - paper["lose"], 1) if paper else NOTHING
        _add(table, f"{row['model']} v {row['against']}", *ours, net, *theirs, net_of_paper)
    return [table]


def _reward_modelling(tables: Mapping[str, Any]) -> list[Table]:
    return [
        _reward_table(truth, policies, tables["models"], tables["paper_reward_modelling"])
        for truth, policies in tables["reward_modelling"].items()
    ]


def _reward_table(
    truth: str, policies: Mapping[str, Any], models: Sequence[str], paper: Mapping[str, Mapping[str, float]]
) -> Table:
    """A row for each metric and tie policy, one where the policies agree; below, what the paper published."""
    table = _table(f"The judge against the ranks of: {truth}", "metric", ["ties", *models])
    for metric in METRICS:
        name = _METRIC_NAMES.get(metric, metric)
        cells = {
            policy: [_metric(metric, policies[policy].get(metric, {}).get(model)) for model in models]
            for policy in TIE_POLICIES
            if policy in policies
        }
        agree = len({tuple(row) for row in cells.values()}) == 1
        for policy, row in list(cells.items())[: 1 if agree else None]:
            _add(table, name, "any" if agree else policy, *row)
        scale, decimals = (100, 1) if metric in _IN_PERCENT else (1, 3)
        published = [_number(paper[metric].get(model), decimals, scale) for model in models]
        _add(table, name, "paper", *published, style="dim", end_section=True)
    return table


def _judge_health(tables: Mapping[str, Any]) -> list[Table]:
    by_model = tables["judge_health"]
    table = _table("Health of the judge", "", list(by_model))
    columns = [_health_cells(health) for health in by_model.values()]
    for name in dict.fromkeys(name for column in columns for name in column):
        _add(table, name, *(column.get(name, NOTHING) for column in columns))
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
        **{f"votes for {points}": f"{histogram.get(f'{points:.2f}', 0)}" for points in _WHOLE_SCORES},
        "entropy of votes, bits": _number(health.get("vote_entropy_bits"), 2),
        "mean score": _estimate(health.get("mean_score"), 2),
        **{f"{name} %": _estimate(share, 1, 100) for name, share in shares.items()},
    }


def _groups(tables: Mapping[str, Any]) -> list[Table]:
    found = []
    for key, title in (("by_family", "family"), ("by_complexity", "complexity")):
        table = _table(f"Score by {title} of the instruction", title, tables["models"])
        for group, by_model in tables[key].items():
            _add(table, group, *(_estimate(by_model.get(model), 2) for model in tables["models"]))
        found.append(table)
    points = _table("Responses that earn each point, %", "point", tables["models"])
    for point, by_model in tables["by_point"].items():
        _add(points, point, *(_estimate(by_model.get(model), 1, 100) for model in tables["models"]))
    return [*found, points]


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
    table = _table(title, "", list(columns))
    names = dict.fromkeys(name for counts in columns.values() for name in counts)
    for name in sorted(names, key=lambda name: name in last):
        cells = (f"{counts[name]:g}" if name in counts else NOTHING for counts in columns.values())
        _add(table, name.replace("/", ": ").replace("_", " "), *cells)
    return table


def _time(tables: Mapping[str, Any]) -> list[Table]:
    table = _table("Time", "stage", ("seconds", "items", "items/s"))
    stages = tables["time"]
    for row in stages:
        rate = f"{row['items'] / row['seconds']:.3g}" if row["items"] and row["seconds"] else NOTHING
        _add(table, row["stage"], f"{row['seconds']:.1f}", f"{row['items']}", rate)
    if stages:
        table.add_section()
        _add(table, "all", f"{sum(row['seconds'] for row in stages):.1f}", "", "")
    return [table]
