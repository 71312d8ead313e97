"""Reward modelling: how well a judge's scores order responses that people (or an oracle) ranked (section 2.4).

The judge scores the responses of the ranked sets like any others; scores and ranks are joined by response id.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from selfreward.recipe import Recipe
from selfreward.records import Judgement, RankedSet
from selfreward.responses import ranked_response_id
from selfreward.seeds import Seeds
from selfreward.statistics import RankedScores, TiePolicy, reward_metrics

RECORDED: tuple[TiePolicy, ...] = ("excluded", "agreement", "half")  # the tie policies of eval.json


def reward_modelling(sets: Sequence[RankedSet], judgements: Sequence[Judgement], seed: int = 0) -> dict[str, Any]:
    """`{policy: {metric: {value, ci95, n}}}` for the RECORDED tie policies, and `counts` of sets and unscored responses.

    `judgements` are those of `responses.ranked_responses(sets)` in any order; to measure the same judgements against
    another truth, pass sets that differ in their ranks alone. ValueError when a response has no judgement, or two.
    """
    ranked_scores = join(sets, judgements)
    found = {policy: reward_metrics(ranked_scores, policy, seed) for policy in RECORDED}
    result: dict[str, Any] = {
        policy: {name: asdict(metric) for name, metric in metrics.metrics.items()} for policy, metrics in found.items()
    }
    any_policy = found[RECORDED[0]]  # counts do not depend on the policy
    result["counts"] = {name: getattr(any_policy, name) for name in ("sets", "sets_used", "responses", "unscored")}
    return result


def rankings_of(recipe: Recipe, seeds: Seeds) -> dict[str, list[RankedSet]]:
    """The truths by which a run's judges are measured: people's ranks, and in the micro-world the oracle's."""
    rankings = {"human": seeds.evaluation}
    if recipe.seeds.is_micro:
        from selfreward.evaluation.micro import oracle_ranking

        rankings["oracle"] = oracle_ranking(seeds.evaluation)
    return rankings


def join(sets: Sequence[RankedSet], judgements: Sequence[Judgement]) -> list[RankedScores]:
    """Ranks and scores of each set; ValueError as `reward_modelling`."""
    scores: dict[str, float | None] = {}
    for judgement in judgements:
        if judgement.response_id in scores:
            raise ValueError(f"Response {judgement.response_id} is judged twice.")
        scores[judgement.response_id] = judgement.score
    ranked_scores: list[RankedScores] = []
    for ranked in sets:
        ids = [ranked_response_id(ranked, sample) for sample in range(len(ranked.responses))]
        if missing := [id for id in ids if id not in scores]:
            raise ValueError(f"Response {missing[0]} of the ranked set {ranked.id} was not judged.")
        ranked_scores.append(([response.rank for response in ranked.responses], [scores[id] for id in ids]))
    return ranked_scores
