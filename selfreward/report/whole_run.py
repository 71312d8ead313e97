"""What `selfreward eval RUN` shows: the figures of a run that the paper has for its own models, each beside the paper's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from selfreward.evaluation.kinds import PARTS
from selfreward.records import digest
from selfreward.report.cells import NOTHING, add_row, estimate, fit, new_table, number, plain, widen
from selfreward.report.paper_figures import ALPACA_EVAL, HEAD_TO_HEAD, REWARD_MODELLING
from selfreward.report.printing import head_to_head_table, reward_tables

BASELINE = "sft"
PAPER: dict[str, dict[str, Any]] = {
    "head_to_head": {" v ".join(pair): dict(zip(("win", "tie", "lose"), of, strict=True)) for pair, of in HEAD_TO_HEAD.items()},
    "reward_modelling": REWARD_MODELLING,
    "chars": {model: chars for model, (_, chars) in ALPACA_EVAL.items() if chars is not None},
}  # fmt: skip


ELSEWHERE = (
    "AlpacaEval 2.0, MT-Bench, IFEval and NLP tasks have prompts of their own: `selfreward eval alpaca`, `mt-bench`, `ifeval` and "
    "`nlp` print them, the paper's figures beside ours."
)


def with_tables(measured: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """What `measure_run` found, what the run's own evaluation did (`report.tables`), and the paper's figures."""
    kept = ("run", "models", "reward_modelling", "judge_health", "capability", "by_family", "by_complexity", "by_point")
    rows = []
    for found in measured["head_to_head"]:
        model, against = (name.rpartition("/")[2] for name in found["models"])
        rows.append(
            {**found, "model": model, "against": against, "paper": PAPER["head_to_head"].get(f"{model} v {against}")}
        )
    return {**{name: tables[name] for name in kept}, **measured, "head_to_head": rows, "paper": PAPER}


def render_whole_run(found: Mapping[str, Any], console: Console) -> None:
    """Prints head to head, its groups of prompts, the judges and the lengths, and how each was made."""
    widen(console)
    by_judge: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["head_to_head"]:
        by_judge.setdefault(digest(row["judge"]), []).append(row)
    shown: list[Table] = []
    for rows in by_judge.values():
        shown.append(head_to_head_table(rows, rows[0]["judge"]["judge"]))
        shown += [_decisions(rows), _kinds(rows)]
    shown += [*reward_tables({**found, "paper_reward_modelling": REWARD_MODELLING}), _lengths(found["lengths"])]
    console.print(plain(f"Run {found['run']}, {found['prompts']} held-out prompts", style="bold"))
    for table in shown:
        if table.row_count:
            console.print()
            console.print(fit(table, console))
    console.print()
    for rows in by_judge.values():
        if alarm := _undecided(rows):
            console.print(plain(alarm, "yellow"), soft_wrap=True)
    for line in _how(found, [rows[0]["judge"] for rows in by_judge.values()]):
        console.print(plain(line, "dim"), soft_wrap=True)


def _decisions(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What else is to be known of a judge's matches; no rows for the oracle's."""
    columns = ("prompts judged", "missing", "orders disagree", "first preferred %", "longer won %", "same answers")
    table = new_table("How it decided", "models", columns)
    for row in rows:
        if "missing" in row:
            add_row(
                table,
                f"{row['model']} v {row['against']}",
                f"{row['n']} of {row['prompts']}",
                str(row["missing"]),
                str(row.get("disagree", NOTHING)),
                estimate(row.get("position_bias"), 1, 100),
                estimate(row["longer_wins"], 1, 100),
                str(row["identical"]),
            )
    return table


def _kinds(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Net against the baseline by kind of prompt, a column for each model."""
    against = [row for row in rows if row["against"] == BASELINE]
    models = [row["model"] for row in against]
    table = new_table(f"Net against {BASELINE} by kind of prompt, %", "prompts", ["n", *models])
    for part in PARTS:
        names = dict.fromkeys(name for row in against for name in row.get(f"by_{part}") or {})
        for place, name in enumerate(names, start=1):
            groups = [row[f"by_{part}"].get(name, {}) for row in against]
            nets = [estimate({"value": group.get("net"), "ci95": group.get("ci95")}, 1) for group in groups]
            n = max(group.get("n", 0) for group in groups)
            add_row(table, f"{part.replace('_', ' ')}: {name}", f"{n}", *nets, end_section=place == len(names))
    table.caption = plain("paper (figure 4, appendix A.6): gains in most categories, little in mathematics and logic")
    return table


def _lengths(lengths: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = ("characters", "words", "times sft", "empty", "unfinished", "paper: characters", "times m1")
    table = new_table("Lengths of the answers (the paper's: to AlpacaEval's prompts)", "model", columns)
    first = lengths.get(BASELINE, {}).get("chars", {}).get("mean")
    papers = PAPER["chars"]
    for model, found in lengths.items():
        chars, paper = found["chars"]["mean"], papers.get(model)
        add_row(
            table,
            model,
            estimate(found["chars"], 1),
            estimate(found["words"], 1),
            number(chars / first if chars is not None and first else None, 2),
            str(found["empty"]),
            str(found["unfinished"]),
            number(paper, 0),
            number(paper / papers["m1"] if paper else None, 2),
        )
    return table


def _undecided(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """A sentence on a judge that left more than half of the meetings undecided; what it did decide is then no sample."""
    missing, prompts = (sum(row.get(name, 0) for row in rows) for name in ("missing", "prompts"))
    if 2 * missing <= prompts:
        return None
    faults = sum((Counter(row["faults"]) for row in rows), Counter[str]())
    why = ", ".join(f"{count} {fault}" for fault, count in faults.items())
    todo = "name another with --judge, or have it give points with --by scores"
    return f"Judge {rows[0]['judge']['judge']} left {missing} of {prompts} prompts undecided ({why}): {todo}."


def _how(found: Mapping[str, Any], judges: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each thing that figures depend on."""
    answers, judged = found["made_by"]["answers"], found["made_by"]["judgements"]
    lines = ["± is half the width of the 95 % interval over prompts (of judges: over sets); --json has the intervals."]
    for judge in judges:
        words = f", template {judge['template']} ({judge['template_sha256'][:12]})" if "template" in judge else ""
        by = f", by {judge['by']}" if "by" in judge else ""
        own = judge["judge"] in {f"{found['run']}/{model}" for model in found["models"]}
        lines.append(
            f"Judge {judge['judge']}{by}{words}: pin {digest(judge)}." + (" It judges its own answers." if own else "")
        )
    lines.append(
        f"Answers: temperature {answers['temperature']:g}, top-p {answers['top_p']:g}, {answers['num_samples']} for each prompt. "
        f"As judges, models are asked with the template {judged['template']}, {judged['votes']} votes."
    )
    lines.append(ELSEWHERE)
    return lines
