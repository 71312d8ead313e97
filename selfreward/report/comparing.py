"""Runs beside one another: what their models were measured at, over seeds where only the seed differs, and how far apart they are.

Every figure is a number for each held-out prompt (or ranked set), so that two runs that were asked the same can be compared
prompt by prompt, which takes out how hard the prompts are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.errors import BadInput
from selfreward.recipe import Recipe, differences
from selfreward.records import Judgement, RankedSet
from selfreward.report.paper_figures import HEAD_TO_HEAD, REWARD_MODELLING
from selfreward.responses import Responses
from selfreward.statistics import mean_ci

Items = Mapping[str, float]  # by prompt or set
_SAME_RUN = (*store.FREE_TO_CHANGE, "name:")  # what says nothing about a run's models
_PAPER = {
    "net": {model: win - lose for (model, against), (win, _, lose) in HEAD_TO_HEAD.items() if against == "sft"},
    "judge_right": {model: 100 * value for model, value in REWARD_MODELLING["pairwise_accuracy"].items()},
}


@dataclass(frozen=True)
class _Run:
    """A run that was measured."""

    path: Path
    recipe: Recipe
    weights: Any  # hashes of M0's; None where the run has no stamp
    judge_text: str | None  # hash of the judge template's text; None where no stamp has it
    figures: dict[str, dict[str, Items]]  # figure, model


def compare(paths: Sequence[Path], force: bool = False) -> dict[str, Any]:
    """Figures of runs and their differences to the first: `{models, groups, figures, differs}`.

    A group is a run, or several whose recipes differ in the seed alone. `figures` has, by name, `values` (group, model) and
    `differences` (group, model) to the first group, each {mean, ci95, n, over}, and the paper's values. `over` says what n
    counts: prompts or seeds; of a difference, which of them were paired, or "not paired".

    score: the oracle's points, 0..5; net: wins less losses against the run's own SFT baseline by these points, in percent of
    prompts; judge_right: pairs of ranked responses that the model as a judge orders as the oracle does (elsewhere: as
    people did), ties worth half, in percent, mean over sets.

    BadInput for fewer than two runs, one without figures, two that are the same, and, unless `force`, where runs were measured
    differently: `differs` has what.
    """
    runs = [_read(path) for path in paths]
    _check_different(runs)
    differs = [line for run in runs[1:] for line in _measured_differently(runs[0], run)]
    if differs and not force:
        what = "measured differently:\n  " + "\n  ".join(differs) + "\n"
        raise BadInput(
            what, f"{len(runs)} runs", "compare runs that were measured alike, or look all the same: --force"
        )
    groups: list[list[_Run]] = []
    for run in runs:
        for group in groups:
            if _differ_in_seed_alone(group[0], run):
                group.append(run)
                break
        else:
            groups.append([run])
    models = list(dict.fromkeys(model for run in runs for by_model in run.figures.values() for model in by_model))
    return {
        "models": sorted(models, key=lambda model: -1 if model == "sft" else int(model[1:])),
        "groups": [
            {
                "name": _label(group[0], runs) + (f" ({len(group)} seeds)" if len(group) > 1 else ""),
                "runs": [str(run.path) for run in group],
                "seeds": [run.recipe.seed for run in group],
                "strategy": group[0].recipe.strategy,
            }
            for group in groups
        ],
        "figures": {name: _figure(name, groups) for name in ("score", "net", "judge_right")},
        "differs": differs,
    }


def _read(path: Path) -> _Run:
    """A run with the figures of its measured models."""
    folder = store.RunFolder(path)
    recipe = folder.recipe()
    models = [model for model in folder.models() if (path / model / store.EVAL_FILE).is_file()]
    if not models:
        raise BadInput("nothing has been measured yet", path, f"finish it with: selfreward run {path}")
    stamp = path / store.STAMP_FILE
    weights = store.read_json(stamp).get("weights") if stamp.is_file() else None
    figures: dict[str, dict[str, Items]] = {"score": {}, "net": {}, "judge_right": _judges(path, models, recipe)}
    if recipe.seeds.is_micro:
        from selfreward.evaluation import micro

        samples = {}
        for model in models:
            lines = store.read(path / model / store.EVAL_RESPONSES_FILE, Responses)
            samples[model] = micro.scores([response for line in lines for response in line.samples])
        figures["score"] = {model: {id: _mean(s) for id, s in found.items()} for model, found in samples.items()}
        figures["net"] = {
            model: {id: _net(found[id], samples["sft"][id]) for id in found.keys() & samples["sft"].keys()}
            for model, found in samples.items()
            if model != "sft" and "sft" in samples
        }
    return _Run(path, recipe, weights, folder.judge_text(), figures)


def _judges(path: Path, models: Sequence[str], recipe: Recipe) -> dict[str, Items]:
    """Per set, the share of its pairs that a model's scores order as the oracle (or people) did, in percent."""
    from selfreward.evaluation.reward_modelling import join

    sets = store.read(path / store.SEED_FOLDER / store.EVAL_SEED_FILE, RankedSet)
    truth = sets
    if recipe.seeds.is_micro:
        from selfreward.evaluation.micro import oracle_ranking

        truth = oracle_ranking(sets)
    found: dict[str, Items] = {}
    for model in models:
        judged = join(truth, store.read(path / model / store.EVAL_JUDGEMENTS_FILE, Judgement))
        shares = {one.id: _share_right(*scored) for one, scored in zip(truth, judged, strict=True)}
        found[model] = {id: share for id, share in shares.items() if share is not None}
    return found


def _share_right(ranks: Sequence[int], scores: Sequence[float | None]) -> float | None:
    """In percent, a tie worth half; None where no two scored responses were told apart."""
    kept = [(rank, score) for rank, score in zip(ranks, scores, strict=True) if score is not None]
    worth = [(x > y) + (x == y) / 2 for a, x in kept for b, y in kept if a < b]
    return 100 * _mean(worth) if worth else None


def _net(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Wins less losses of all meetings of two models' samples to one prompt, in percent."""
    return 100 * _mean([(x > y) - (x < y) for x in ours for y in theirs])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _check_different(runs: Sequence[_Run]) -> None:
    if len(runs) < 2:
        raise BadInput(
            "one run alone cannot be compared", runs[0].path, "name another, or see it with: selfreward show"
        )
    for place, run in enumerate(runs):
        for other in runs[:place]:
            if _is_same_recipe(other, run, ()):
                raise BadInput(f"has the recipe and the seed of {other.path}", run.path, "name each run once")


def _is_same_recipe(one: _Run, other: _Run, also_free: tuple[str, ...]) -> bool:
    free = (*_SAME_RUN, *also_free)
    unlike = [line for line in differences(one.recipe, other.recipe) if not line.startswith(free)]
    return not unlike and (None in (one.weights, other.weights) or one.weights == other.weights)


def _differ_in_seed_alone(one: _Run, other: _Run) -> bool:
    return _is_same_recipe(one, other, ("seed:",))


def _measured_differently(one: _Run, other: _Run) -> list[str]:
    """One line for each setting by which the figures of two runs are not of one kind."""
    ours, theirs = _measured_by(one.recipe), _measured_by(other.recipe)
    if None not in (one.judge_text, other.judge_text):
        ours["text of judge.template"], theirs["text of judge.template"] = one.judge_text, other.judge_text
    return [
        f"{name}: {ours[name]!r} in {one.path}, {theirs[name]!r} in {other.path}"
        for name in ours
        if ours[name] != theirs[name]
    ]


def _measured_by(recipe: Recipe) -> dict[str, Any]:
    """All settings that a figure depends on beside the model: what it was asked, how it answered, how it judged."""
    judge = recipe.judge.model_dump(exclude={"name", "votes", "engine"})
    judge["quorum"] = min(recipe.judge.quorum, recipe.evaluation.votes)
    answers = recipe.responses.model_dump(exclude={"num_samples"})
    parts = {"evaluation": recipe.evaluation.model_dump(), "judge": judge, "responses": answers}
    data = (
        {}
        if recipe.seeds.is_micro
        else recipe.seeds.model_dump(include={"source", "ranked", "evaluation", "max_chars"})
    )
    return {
        "micro-world": recipe.seeds.is_micro,
        **{f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()},
        **{f"seeds.{name}": value for name, value in data.items()},
    }


def _label(run: _Run, runs: Sequence[_Run]) -> str:
    """A run's folder, with those above it where another has the same name."""
    name = run.path.resolve().name
    return name if [other.path.resolve().name for other in runs].count(name) == 1 else str(run.path)


def _figure(name: str, groups: Sequence[Sequence[_Run]]) -> dict[str, Any]:
    """One figure of all groups."""
    return {
        "values": [{model: _value(name, model, group) for model in _models(name, group)} for group in groups],
        "differences": [
            {
                model: _difference(name, model, groups[0], group)
                for model in _models(name, group)
                if model in _models(name, groups[0])
            }
            for group in groups[1:]
        ],
        "paper": _PAPER.get(name, {}),
    }


def _models(name: str, group: Sequence[_Run]) -> list[str]:
    """The models of which every run of a group has this figure."""
    return [
        model
        for model, items in group[0].figures[name].items()
        if items and all(r.figures[name].get(model) for r in group)
    ]


def _value(name: str, model: str, group: Sequence[_Run]) -> dict[str, Any]:
    if len(group) == 1:
        return {**asdict(mean_ci(list(group[0].figures[name][model].values()))), "over": "prompts"}
    return {**asdict(mean_ci(_means(name, model, group))), "over": "seeds"}


def _means(name: str, model: str, group: Sequence[_Run]) -> list[float]:
    return [_mean(list(run.figures[name][model].values())) for run in group]


def _difference(name: str, model: str, first: Sequence[_Run], group: Sequence[_Run]) -> dict[str, Any]:
    """Group less first group: paired by seed, or by prompt where each side has one run to pair; else Welch's interval."""
    matched = [(a, b) for a in first for b in group if a.recipe.seed == b.recipe.seed]
    if len(first) == len(group) == 1:
        matched = [(first[0], group[0])]
    nets = [_paired(run.figures[name][model], other.figures[name][model]) for other, run in matched]
    if len(nets) > 1 and all(nets):
        return {**asdict(mean_ci([_mean(net) for net in nets])), "over": "seeds"}
    if len(nets) == 1 and nets[0]:
        return {**asdict(mean_ci(nets[0])), "over": "prompts"}
    ours, theirs = _means(name, model, group), _means(name, model, first)
    mean = _mean(ours) - _mean(theirs)
    if len(first) == len(group) == 1:
        ours, theirs = (list(side[0].figures[name][model].values()) for side in (group, first))
    interval = None
    if min(len(ours), len(theirs)) > 1:
        from scipy import stats

        found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
        interval = (float(found.low), float(found.high))
    return {"mean": mean, "ci95": interval, "n": min(len(ours), len(theirs)), "over": "not paired"}


def _paired(ours: Items, theirs: Items) -> list[float]:
    """Differences on the items that both have."""
    return [ours[id] - theirs[id] for id in sorted(ours.keys() & theirs.keys())]
