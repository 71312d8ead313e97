"""How good and how healthy the judge is, model by model."""

from collections.abc import Mapping
from typing import Any

from selfreward.report.html.blocks import Block, Figure, Section, Table, Text
from selfreward.report.html.calibration import calibrations
from selfreward.report.html.plots import Point, Series, alone, columns, lines, point
from selfreward.report.html.run import Run
from selfreward.report.html.words import NOTHING, estimate, model, number
from selfreward.statistics import METRICS, TIE_POLICIES

_LEAD = (
    "The model that answers is also the one that judges, so its judging must be watched. Each model scores answers "
    "that people (and, in the micro-world, the oracle) have ranked; a good judge puts them in the same order. This "
    "is always the model itself, also where the run was taught by another judge."
)
_NAMES = {
    "pairwise_accuracy": ("Pairs in the right order, %", 100, 1),
    "five_best": ("Answers given a 5 that are the best, %", 100, 1),
    "exact_match": ("Whole rankings right, %", 100, 1),
    "spearman": ("Spearman's correlation, −1 to 1", 1, 3),
    "kendall_tau": ("Kendall's tau, −1 to 1", 1, 3),
}
_RATES = (
    ("readable", "Votes that could be read, %"),
    ("tie_rate", "Pairs of answers with equal scores, %"),
    ("flat_prompts", "Prompts whose answers all tie, %"),
    ("self_agreement", "Votes on one answer that agree, %"),
)
_TRUTHS = {"oracle": "by the oracle", "human": "by people"}


def judge(run: Run) -> Section:
    """The fourth section."""
    blocks: list[Block] = [*_alarms(run)]
    found = run.tables["reward_modelling"]
    if found:
        blocks.append(_metrics(run, found))
    else:
        blocks.append(Text("No judge has been measured against ranked answers yet.", "missing"))
    blocks += _calibration(run)
    blocks += _health(run) or [Text("Nothing is known yet of how the judge votes.", "missing")]
    return Section("judge", "The judge", _LEAD, blocks)


def _alarms(run: Run) -> list[Block]:
    """What the judges' health and the guards of the run had to say."""
    said = [
        f"{model(name)} as a judge of held-out answers: {alarm}."
        for name, health in run.tables["judge_health"].items()
        for alarm in health.get("alarms") or []
    ]
    said += [
        f"While {model(str(a.get('model')))} was made: {a.get('said')} (guards.{a['guard']})."
        for a in run.tables["alarms"]
    ]
    if said:
        return [Text(f"Alarm. {one}", "alarm") for one in said]
    if not run.tables["judge_health"]:
        return []
    return [Text("No alarm: votes can be read, scores differ, no score crowds out the others.", "good")]


def _metrics(run: Run, found: Mapping[str, Any]) -> Figure:
    models = run.measured
    paper = run.tables["paper_reward_modelling"]
    plots = []
    for metric, (title, scale, _) in _NAMES.items():
        series = [
            Series(name, [point(_of(found, truth, "half", metric, m), scale) for m in models], style)
            for style, (truth, name) in enumerate(_TRUTHS.items())
            if truth in found
        ]
        theirs = [paper[metric].get(m) for m in models]
        series.append(Series("paper", [None if v is None else Point(scale * v) for v in theirs], 2))
        plots.append(lines(title, [model(m) for m in models], series, scale / 10, most=scale))
    rows = [
        [f"{_NAMES[metric][0]}, {_TRUTHS.get(truth, truth)}", policy]
        + [estimate(_of(found, truth, policy, metric, m), _NAMES[metric][2], _NAMES[metric][1]) for m in models]
        for metric in METRICS
        for truth in found
        for policy in TIE_POLICIES
        if policy in found[truth]
    ]
    rows += [
        [
            f"{_NAMES[m][0]}, the paper",
            "not stated",
            *(number(paper[m].get(k), _NAMES[m][2], _NAMES[m][1]) for k in models),
        ]
        for m in METRICS
    ]
    table = Table("Five measures of a judge, with 95 % intervals", ("measure", "ties", *map(model, models)), rows)
    caption = (
        "Where the judge gives two answers the same score, that is half right in these plots; the table has the "
        "other ways to count ties. People err too: a judge that is always right cannot agree with them in every "
        "pair. The paper's judges met people's ranks."
    )
    return Figure("Does it put answers in the right order?", plots, caption, table)


def _of(found: Mapping[str, Any], truth: str, policy: str, metric: str, name: str) -> Any:
    return found[truth].get(policy, {}).get(metric, {}).get(name)


def _calibration(run: Run) -> list[Block]:
    found = calibrations(run)
    if not found:
        return [
            Text(
                "What a score is worth cannot be shown: the judgements of held-out answers are not there yet.",
                "missing",
            )
        ]
    is_oracle = run.recipe.seeds.is_micro
    what = "points by the oracle" if is_oracle else "% of its set that is worse"
    scale = 1 if is_oracle else 100
    plots = [
        lines(
            f"{model(name)}: {what}, by score",
            [str(points) for points in range(6)],
            alone([point(bins[p].truth, scale) if p in bins else None for p in range(6)]),
            aim=range(6) if is_oracle else (),
        )
        for name, bins in found.items()
    ]
    rows = [
        [
            f"{model(name)}, score about {points}",
            estimate(bins[points].truth, 2 if is_oracle else 1, scale) if points in bins else NOTHING,
            number(bins[points].num) if points in bins else "0",
        ]
        for name, bins in found.items()
        for points in range(6)
    ]
    caption = (
        "Answers are put in groups by the judge's score, rounded to whole points; the height is what they are worth on average. "
        + ("A judge that can be taken at its word lies on the dashed line." if is_oracle
           else "A line that rises says that a higher score means a better answer to people.")
    )  # fmt: skip
    return [
        Figure(
            "What is a score worth?",
            plots,
            caption,
            Table(f"Worth of a score: {what}", ("judge and score", "worth", "answers"), rows),
        )
    ]


def _health(run: Run) -> list[Block]:
    by_model = run.tables["judge_health"]
    if not by_model:
        return []
    models = list(by_model)
    names = [model(name) for name in models]
    rates = [
        lines(title, names, alone([point(by_model[m].get(key), 100) for m in models]), 10, most=100)
        for key, title in _RATES
    ]
    faults = list(dict.fromkeys(fault for health in by_model.values() for fault in health.get("faults", {})))
    rows = [[title, *(estimate(by_model[m].get(key), 1, 100) for m in models)] for key, title in _RATES]
    rows += [
        [f"Votes not read, {fault.replace('_', ' ')}, %", *(_fault(by_model[m], fault) for m in models)]
        for fault in faults
    ]
    rows += [
        ["Votes", *(number(by_model[m].get("votes")) for m in models)],
        ["Mean score, 0 to 5", *(estimate(by_model[m].get("mean_score"), 2) for m in models)],
        ["Entropy of the votes, bits", *(number(by_model[m].get("vote_entropy_bits"), 2) for m in models)],
    ]
    table = Table("How it votes, with 95 % intervals", ("", *names), rows)
    caption = (
        "Ties teach nothing, as no answer is better then; votes on one answer that differ say how much chance there "
        "is in a score."
    )
    histograms = [_histogram(model(name), by_model[name]) for name in models]
    all_scores = sorted({float(s) for m in models for s in by_model[m].get("score_histogram", {})})
    counted = [
        [f"{score:g}", *(number(by_model[m].get("score_histogram", {}).get(f"{score:.2f}", 0)) for m in models)]
        for score in all_scores
    ]
    return [
        Figure("Which scores does it give?", histograms, "Scores of held-out answers: a judge that gives nearly all of "
               "them the same score cannot teach.", Table("Answers by score", ("score", *names), counted)),
        Figure("Can it be read, does it tell answers apart, does it agree with itself?", rates, caption, table),
    ]  # fmt: skip


def _histogram(name: str, health: Mapping[str, Any]) -> Any:
    counts = {float(score): count for score, count in health.get("score_histogram", {}).items()}
    return columns(f"{name}: answers by score", counts, 0, 5, "score")


def _fault(health: Mapping[str, Any], fault: str) -> str:
    return estimate(health.get("faults", {}).get(fault), 2, 100)
