"""What the run has cost: time by stage, and tokens written."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfreward.report.html.blocks import Block, Figure, Section, Table, Text
from selfreward.report.html.plots import Bar, Part, bars
from selfreward.report.html.run import Run
from selfreward.report.html.tokens import Tokens, tokens_written
from selfreward.report.html.words import NOTHING, duration, model, number

_LEAD = "Where the time went, all launches together, and how much the models wrote. Reading is not counted in tokens."
_KINDS = (
    ("prompts", "writing prompts", "k0"),
    ("responses", "responding", "k1"),
    ("judgements", "judging", "k2"),
    ("train", "training", "k3"),
    ("measuring", "measuring", "k4"),
    ("other", "other", "k5"),
)


def cost(run: Run) -> Section:
    """The tenth section."""
    stages = run.tables["time"]
    if not stages:
        return Section(
            "cost", "Time and tokens", _LEAD, [Text("No stage has ended yet, so no time is known.", "missing")]
        )
    blocks: list[Block] = [_figure(stages, tokens_written(run))]
    used = [line for line in run.metrics if "closed" in line]
    if used:
        blocks.append(_used(used))
    return Section("cost", "Time and tokens", _LEAD, blocks)


def by_kind(stages: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Seconds by part of the run (seed, sft, m1 ...), then by kind."""
    found: dict[str, dict[str, float]] = {}
    for row in stages:
        part, kind = part_and_kind(row["stage"])
        of_part = found.setdefault(part, {})
        of_part[kind] = of_part.get(kind, 0.0) + row["seconds"]
    return found


def part_and_kind(stage: str) -> tuple[str, str]:
    """`m2 judgements` is (m2, judgements), `train m2` is (m2, train); what is unknown is other."""
    first, _, second = stage.partition(" ")
    if first == "train" and second:
        return second, "train"
    if second.startswith(("eval_", "validation_")):
        return first, "measuring"
    for begin, kind in (("responses-", "responses"), ("likelihoods-", "judgements")):
        if second.startswith(begin):  # by, or under, another model than that of the round
            return first, kind
    if second in ("eft_judgements", "meta_judgements"):
        return first, "judgements"
    return (first, second) if second in {kind for kind, _, _ in _KINDS} else (first, "other")


def _figure(stages: Sequence[Mapping[str, Any]], tokens: Mapping[str, Tokens]) -> Figure:
    parts = by_kind(stages)
    drawn = [
        Bar(
            f"{'EFT seed' if part == 'seed' else model(part)}: {duration(sum(kinds.values()))}",
            [Part(name, kinds.get(kind, 0.0), style) for kind, name, style in _KINDS],
        )
        for part, kinds in parts.items()
    ]
    used = {kind for kinds in parts.values() for kind in kinds}
    legend = [(style, name) for kind, name, style in _KINDS if kind in used]
    longest = max(sum(kinds.values()) for kinds in parts.values())
    plot = bars("Time by model", drawn, longest, "seconds", legend)
    rows = [
        [row["stage"], duration(row["seconds"]), number(row["items"]), _rate(row), _written(tokens.get(row["stage"]))]
        for row in stages
    ]
    seconds = sum(row["seconds"] for row in stages)
    total = sum(one.num for one in tokens.values())
    rows.append(["all", duration(seconds), "", "", f"about {number(total)}" if tokens else NOTHING])
    columns = ("stage", "time", "items", "items a second", "tokens written")
    caption = (
        f"{duration(seconds)} in all. Tokens of responses are recorded; those of prompts and judgements are counted "
        "with the run's tokenizer, and where there are many on an even sample of them (about)."
    )
    return Figure("Time by stage", [plot], caption, Table("All stages", columns, rows))


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['items'] / row['seconds']:.3g}" if row["items"] and row["seconds"] else NOTHING


def _written(tokens: Tokens | None) -> str:
    if tokens is None:
        return NOTHING
    return number(tokens.num) if tokens.is_exact else f"about {number(tokens.num)}"


def _used(lines: Sequence[Mapping[str, Any]]) -> Table:
    """What engines that count said of their use when they were closed."""
    rows: dict[tuple[str, str], float] = {}
    for line in lines:
        for name, value in line.items():
            if isinstance(value, int | float) and name != "time":
                key = (str(line["closed"]), name)
                rows[key] = rows.get(key, 0) + value
    shown = [[f"{engine}: {name.replace('_', ' ')}", number(value)] for (engine, name), value in rows.items()]
    return Table("What the engines counted", ("engine", "all together"), shown)
