"""Where prompts lie among one another, from the run's analysis."""

from collections.abc import Mapping
from typing import Any

from selfreward import store
from selfreward.report.html.blocks import Block, Figure, Section, Table, Text
from selfreward.report.html.plots import scatter
from selfreward.report.html.run import Run
from selfreward.report.html.words import NOTHING, listed, model, number

_LEAD = (
    "Every point is a prompt; prompts that a model reads alike lie close together. New prompts should spread over "
    "the region of those that people wrote (IFT). Prompts that ask for a judgement (EFT) are another kind of text "
    "and lie apart, in the paper too."
)
_MOST_POINTS = 2500
_MOST_LETTERS = 160  # of a prompt that is shown with its point
_NAMES = {"ift": "written by people (IFT)", "eft": "asking for a judgement (EFT)"}


def prompt_map(run: Run) -> Section:
    """The eighth section."""
    found = run.json(store.ANALYSIS_FILE)
    points = [one for one in found.get("points") or [] if isinstance(one, dict)]
    if not points:
        how = (
            f"It is made by: selfreward analyse {run.path} (it needs scikit-learn: pip install 'selfreward[eval]'), "
            "then selfreward report."
        )
        return Section("map", "A map of the prompts", _LEAD, [Text(f"There is no map yet. {how}", "missing")])
    every = -(-len(points) // _MOST_POINTS)
    shown = points[::every]
    groups = {g: _NAMES.get(g, f"for {model(g)}") for g in dict.fromkeys(str(one["group"]) for one in shown)}
    placed = [
        (str(one["group"]), float(one["x"]), float(one["y"]), " ".join(str(one["text"]).split())[:_MOST_LETTERS])
        for one in shown
    ]
    caption = (
        f"t-SNE of the hidden states of {model(str(found.get('embedded_by')))}: what is near on the map is alike; "
        "distances over the whole map and the axes mean nothing. The table says how often a near neighbour is of "
        "another group: 1 where groups do not matter, 0 where they lie apart."
    )
    blocks: list[Block] = [
        Figure(
            "Prompts of the seeds and of the rounds",
            [scatter("Prompts", groups, placed)],
            caption,
            _overlap(found, groups),
            True,
        )
    ]
    missing = [name for name in run.rounds if name not in groups]
    if missing:
        again = f"To have them: selfreward analyse {run.path}"
        blocks.append(
            Text(f"The map was made before the prompts for {listed([model(n) for n in missing])}. {again}", "missing")
        )
    return Section("map", "A map of the prompts", _LEAD, blocks)


def _overlap(found: Mapping[str, Any], groups: Mapping[str, str]) -> Table:
    ratios = found.get("overlap") or {}
    rows = [
        [groups.get(group, group), *(number(value, 2) if value is not None else NOTHING for value in others.values())]
        for group, others in ratios.items()
    ]
    columns = ("prompts", *(groups.get(group, group) for group in ratios))
    return Table("Near neighbours by group", columns, rows)
