"""What a run reached in plain sentences, each as sure as its interval allows."""

from collections.abc import Mapping
from typing import Any

from selfreward import store
from selfreward.report.html.run import Run
from selfreward.report.html.words import against, estimate, interval, listed, model, number


def verdict(run: Run) -> list[str]:
    """Sentences on what the run reached and how sure that is, the most important first."""
    rows = {row["model"]: row for row in run.tables["summary"]}
    if not rows:
        return [
            "Nothing has been measured yet: the run has just begun, or it ended before its first model was measured."
        ]
    last = list(rows)[-1]
    game = rows[last]["against_sft"]
    if game and game.get("net") is not None:
        said = [_of_answers(last, game), *_steps(run), *_of_judging(rows)]
    elif run.recipe.seeds.is_micro:
        said = [
            f"Only {model(last)} has been measured so far, so there is nothing to compare it with.",
            *_of_judging(rows),
        ]
    else:
        said = [
            *_of_judging(rows),
            "Whether the answers got better is not measured by the run itself, as nothing here knows the truth "
            "about them. Ask a judge: selfreward eval RUN --judge MODEL.",
        ]
    planned = store.model_name(run.recipe.rounds + 1)
    if planned not in rows:
        said.append(
            f"The run is not finished: it goes up to {model(planned)}, and {model(last)} is the last one measured."
        )
    said.append(
        f"How sure is that? This is one run with one random seed ({run.recipe.seed}). The intervals say how far "
        "figures would move with other instructions; how far they would move with another seed, only more runs can "
        "say."
    )
    return said


def _of_answers(last: str, game: Mapping[str, Any]) -> str:
    shares = (
        f"of {number(game.get('n'))} instructions that it was not trained on, it answered {number(game['win'], 1)} % "
        f"better, {number(game['tie'], 1)} % equally well and {number(game['lose'], 1)} % worse"
    )
    net = f"The net win is {number(game['net'], 1)} points"
    if not game.get("ci95"):
        return f"{model(last)} against the SFT baseline: {shares}. {net}; there are too few for an interval."
    low, high = game["ci95"]
    ends = f"{net} (95 % interval: {interval(game, 1)})"
    if low <= 0 <= high:
        return (
            f"It cannot be said whether {model(last)} follows instructions better than the SFT baseline: {shares}. "
            f"{ends}, and zero lies within."
        )
    word = "better" if low > 0 else "worse"
    return (
        f"{model(last)} follows instructions {word} than the SFT baseline: {shares}. {ends}, so chance alone does "
        "not explain it."
    )


def _steps(run: Run) -> list[str]:
    """What each round added, by meetings of a model with the one before."""
    steps = []
    for row in run.tables["head_to_head"]:
        if row["model"] in run.rounds and row["against"] == f"m{int(row['model'][1:]) - 1}":
            found = {"value": row.get("net"), "ci95": row.get("ci95")}
            steps.append(f"{model(row['model'])} against {model(row['against'])} {estimate(found, 1)}")
    return [f"Round by round, net win with its 95 % interval: {listed(steps)}."] if steps else []


def _of_judging(rows: Mapping[str, Any]) -> list[str]:
    """How the judge changed from the first model that was measured to the last."""
    found = {name: row["judge_pairwise_accuracy"] for name, row in rows.items() if row["judge_pairwise_accuracy"]}
    found = {name: value for name, value in found.items() if value.get("value") is not None}
    if not found:
        return []
    first, last = next(iter(found)), list(found)[-1]
    truth = "the oracle" if rows[last]["judge_truth"] == "oracle" else "people"
    said = (
        f"As a judge, {model(last)} puts {estimate(found[last], 1, 100)} % of pairs of answers in the order of {truth}"
    )
    if first == last or not (found[first].get("ci95") and found[last].get("ci95")):
        return [f"{said}."]
    ours, theirs = found[last]["ci95"], found[first]["ci95"]
    apart = ours[0] > theirs[1] or ours[1] < theirs[0]
    how = "a clear change" if apart else "the intervals overlap, so this is no clear change"
    return [f"{said}; {against(first)} {estimate(found[first], 1, 100)} %: {how}. Guessing would give 50 %."]
