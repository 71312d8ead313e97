"""Which runs there are, and how they compare in a sentence."""

from collections.abc import Mapping
from typing import Any

from selfreward.report.html.blocks import Block, Section, Table, Text
from selfreward.report.html.several.runs import FIGURES, Several
from selfreward.report.html.words import counted, estimate, model, number

_OVER = {"prompts": "over prompts", "seeds": "over seeds", "not paired": "of runs that have nothing in common"}


def overview(several: Several) -> Section:
    """Which runs, and how they differ in a sentence."""
    first, *others = _verdicts(several)
    blocks: list[Block] = [Text(first, "verdict"), *map(Text, others)]
    blocks += [Text(f"Measured differently: {line}", "alarm") for line in several.found["differs"]]
    rows = [
        [name, group[0].recipe.strategy, group[0].recipe.judge.name, ", ".join(str(run.recipe.seed) for run in group),
         number(group[0].recipe.rounds)]
        for name, group in zip(several.names, several.groups, strict=True)
    ]  # fmt: skip
    columns = ("runs", "strategy", "judge", "seeds", "rounds")
    lead = (
        "Runs of one recipe with different random seeds are taken together. Figures of several runs have intervals "
        "over their seeds, which say how much chance there is in a run; those of a single run have intervals over "
        "prompts, which do not."
    )
    return Section(
        "overview", "Which runs, and how they compare", lead, [*blocks, Table("The runs", columns, rows, True)]
    )


def _verdicts(several: Several) -> list[str]:
    """What the last model of each group reached; then how far each is from the first."""
    key = "net" if any(several.found["figures"]["net"]["values"]) else "judge_right"
    of_all, (title, unit, decimals, _) = several.found["figures"][key], FIGURES[key]
    reached = [
        f"{name} {estimate(values[_last(values)], decimals)} with {model(_last(values))}"
        for name, values in zip(several.names, of_all["values"], strict=True)
        if values
    ]
    said = [f"{title}, with 95 % intervals: {'; '.join(reached)}."]
    for name, values in zip(several.names[1:], of_all["differences"], strict=True):
        if values:
            found = values[_last(values)]
            first = several.names[0]
            if found["over"] == "prompts" and len(several.groups[0]) > 1:
                first = f"the run with its seed in {first}"
            said.append(_difference(name, first, _last(values), found, unit, decimals))
    if len(several.groups) == 1:
        net = of_all["values"][0]
        runs = counted(len(several.runs), "run")
        if net:
            said.append(f"These are {runs} of one recipe, so the interval says what another seed would give.")
    return said


def _difference(name: str, first: str, last: str, found: Mapping[str, Any], unit: str, decimals: int) -> str:
    mean, ends = found["mean"], found["ci95"]
    apart = f"{number(abs(mean), decimals)} {unit} {'above' if mean >= 0 else 'below'} {first}"
    if ends is None:
        return f"{model(last)} of {name} is {apart}; there are too few runs for an interval."
    sure = (
        "which chance alone does not explain"
        if ends[0] > 0 or ends[1] < 0
        else "which may be chance, as zero lies within"
    )
    shown = f"{number(ends[0], decimals)} to {number(ends[1], decimals)}"
    return (
        f"{model(last)} of {name} is {apart} (95 % interval of the difference {_OVER[found['over']]}: {shown}), {sure}."
    )


def _last(by_model: Mapping[str, Any]) -> str:
    return list(by_model)[-1]
