"""Any judge's scores against people's ranks, from a file: one set a line, `{"human_ranks": [...], "scores": [...]}`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StrictInt, model_validator

from selfreward.evaluation.given import Row, read_given
from selfreward.statistics import Average, RankedScores, TiePolicy, Undefined, reward_metrics


class ScoredSet(Row):
    """The responses to one prompt as people ranked and a judge scored them, in the same order."""

    human_ranks: list[Annotated[StrictInt, Field(ge=0)]] = Field(min_length=1)  # 0 is the best; equal ranks are ties
    scores: list[
        Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
    ]  # None: the judge gave none that could be read

    @model_validator(mode="after")
    def _one_score_each(self) -> Self:
        if len(self.scores) != len(self.human_ranks):
            raise ValueError(f"{len(self.human_ranks)} human_ranks and {len(self.scores)} scores")
        return self


def read_scored_sets(path: Path) -> list[RankedScores]:
    """The sets of a JSONL, JSON or Parquet file, in an order that only their content decides.

    The bootstrap draws by position: sorted, no interval depends on the order of lines or of responses. BadInput names the
    first line that cannot be used.
    """
    sets = [
        sorted(zip(found.human_ranks, found.scores, strict=True), key=_order)
        for _, found in read_given(path, ScoredSet)
    ]
    sets.sort(key=lambda responses: [_order(response) for response in responses])
    return [([rank for rank, _ in one], [score for _, score in one]) for one in sets]


def _order(response: tuple[int, float | None]) -> tuple[int, bool, float]:
    rank, score = response
    return rank, score is None, score or 0.0


Rules = tuple[TiePolicy, Average, Undefined | None]  # by which metrics are computed


def measure(sets: Sequence[RankedScores], rules: Rules) -> dict[str, Any]:
    """`reward_metrics` as plain values: the rules, the metrics, the coverage and the counts."""
    policy, average, undefined = rules
    return asdict(reward_metrics(sets, policy, average=average, undefined=undefined))
