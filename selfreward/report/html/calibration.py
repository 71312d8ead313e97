"""What a judge's scores are worth: held-out answers by their score, and the truth about them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from selfreward import store
from selfreward.records import Judgement, RankedSet
from selfreward.report.html.run import Run
from selfreward.responses import ranked_response_id
from selfreward.statistics import mean_ci, prompt_means


@dataclass(frozen=True)
class Calibration:
    """The answers whose score rounds to one number of points."""

    truth: dict[
        str, Any
    ]  # {mean, ci95, n} of the oracle's points, or of the share of its set that people put below; over prompts
    num: int  # answers


def calibrations(run: Run) -> dict[str, dict[int, Calibration]]:
    """By model and points, 0 to 5; models whose judgements are not there are left out."""
    worth = _worth(run)
    found = {}
    for name in run.measured:
        bins = calibrate(run.records(f"{name}/{store.EVAL_JUDGEMENTS_FILE}", Judgement), worth)
        if bins:
            found[name] = bins
    return found


def calibrate(judgements: Iterable[Judgement], worth: dict[str, float]) -> dict[int, Calibration]:
    """Scored answers by their score, half points rounded up; `worth` is the truth about each, by response id."""
    values: defaultdict[int, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for judgement in judgements:
        if judgement.score is not None and judgement.response_id in worth:
            values[int(judgement.score + 0.5)][judgement.prompt_id].append(worth[judgement.response_id])
    return {
        points: Calibration(asdict(mean_ci(prompt_means(by_prompt.values()))), sum(map(len, by_prompt.values())))
        for points, by_prompt in sorted(values.items())
    }


def _worth(run: Run) -> dict[str, float]:
    """The truth about every held-out answer that was ranked."""
    worth: dict[str, float] = {}
    is_micro = run.recipe.seeds.is_micro
    for one in run.records(f"{store.SEED_FOLDER}/{store.EVAL_SEED_FILE}", RankedSet):
        if is_micro:
            from selfreward.evaluation.micro import points_of

            values: Sequence[float | None] = [points_of(one.prompt, response.text) for response in one.responses]
        else:
            values = places([response.rank for response in one.responses])
        worth |= {ranked_response_id(one, i): value for i, value in enumerate(values) if value is not None}
    return worth


def places(ranks: Sequence[int]) -> list[float | None]:
    """Of each rank (0 is best), the share of the others that are below it, equals counting half; None where there are no others."""
    if len(ranks) < 2:
        return [None] * len(ranks)
    return [
        sum((other > rank) + (other == rank) / 2 for j, other in enumerate(ranks) if j != i) / (len(ranks) - 1)
        for i, rank in enumerate(ranks)
    ]
