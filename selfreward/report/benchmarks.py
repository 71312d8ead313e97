"""The tables of public benchmarks on a terminal, the paper's figures beside ours where it has any."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from selfreward.report.cells import NOTHING, add_row, estimate, new_table, number, plain, widen
from selfreward.report.paper_figures import MT_BENCH, NLP

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
            console.print(plain(f"{found[name]} {note}.", "yellow"))
    console.print(plain(_HALF_WIDTH, "dim"))


def render_mt_bench(found: Mapping[str, Any], console: Console) -> None:
    """Prints MT-Bench's means, and what they leave out; the paper's beside those of all and of the two groups."""
    widen(console)
    title = f"MT-Bench, grades 1 to 10, {found['questions']} questions (the paper's: Llama 2 70B, graded by GPT-4)"
    table = new_table(title, found.get("model", "questions"), ("grade", "n", *(f"paper: {name}" for name in MT_BENCH)))

    def row(name: str, mean: Mapping[str, Any], place: int | None = None, last: bool = False) -> None:
        theirs = (NOTHING if place is None else number(figures[place], 2) for figures in MT_BENCH.values())
        add_row(table, name, estimate(mean, 2), str(mean["n"]), *theirs, end_section=last)

    row("all", found["score"], 0)
    groups = list(found["by_group"].items())
    for place, (name, mean) in enumerate(groups, start=1):
        row(name, mean, place, last=place == len(groups))
    for name, mean in found["by_category"].items():
        row(name, mean, last=name == list(found["by_category"])[-1])
    for turn, mean in found["by_turn"].items():
        row(f"turn {turn}", mean)
    console.print(table)
    notes = {
        "missing": f"of {found['turns']} answers have no grade that could be read",
        "unjudged": f"of {found['turns']} answers are not judged",
        "unfinished": "answers were cut at the limit of tokens or of the context",
        "blank": "answers are blank",
        "without_reference": "turns of mathematics, coding and reasoning have no reference",
    }
    for key, note in notes.items():
        if found.get(key):
            why = ", ".join(f"{count} {fault}" for fault, count in found.get("faults", {}).items())
            console.print(plain(f"{found[key]} {note}{f': {why}' if key == 'missing' and why else ''}.", "yellow"))
    if "judge" in found:
        console.print(plain(f"Judge: {found['judge']['judge']}. Kept in {found['folder']}."))
    console.print(plain(_HALF_WIDTH, "dim"))


def render_nlp(found: Mapping[str, Any], console: Console) -> None:
    """Prints the NLP benchmarks in percent, the paper's beside those that it has."""
    widen(console)
    models = ("Llama 2", "sft", "m1", "m2", "m3")
    columns = ("%", "metric", "shots", "n", *(f"paper: {name}" for name in models))
    table = new_table("NLP benchmarks through lm-eval (the paper's: Llama 2 70B)", found["model"], columns)
    for name, task in found["tasks"].items():
        theirs = (number(NLP.get(name, {}).get(model), 2) for model in models)
        ours = (estimate(task, 2, 100), task["metric"] or NOTHING, str(task["shots"]), str(task["n"]))
        add_row(table, name, *ours, *theirs)
    console.print(table)
    if found["limit"] is not None:
        console.print(plain(f"Only the first {found['limit']} questions of each task: a trial, no result.", "yellow"))
    console.print(plain(_HALF_WIDTH, "dim"))
