"""Reward modelling: scores meet ranks by id, under every tie policy, against any truth."""

from random import Random

import pytest

from selfreward.evaluation.reward_modelling import RECORDED, reward_modelling
from selfreward.judges.votes import make_judgement
from selfreward.records import Judgement, RankedResponse, RankedSet, Vote
from selfreward.responses import ranked_responses
from selfreward.statistics import METRICS


def ranked_set(id: str, *ranks: int) -> RankedSet:
    responses = tuple(RankedResponse(text=f"Answer {place} to {id}.", rank=rank) for place, rank in enumerate(ranks))
    return RankedSet(id=id, prompt=f"Question {id}?", responses=responses)


SETS = [ranked_set("a", 0, 1, 2), ranked_set("b", 1, 0)]
SCORES = [5.0, 3.0, 1.0, 5.0, 2.0]  # right on a, wrong on b


def judged(scores: list[float | None]) -> list[Judgement]:
    return [
        make_judgement(response, [Vote(score=score, fault=None if score is not None else "unreadable", text="")], "m1")
        for response, score in zip(ranked_responses(SETS), scores, strict=True)
    ]


def test_the_judge_sees_every_ranked_response_with_its_prompt() -> None:
    responses = ranked_responses(SETS)
    assert [(r.prompt, r.text) for r in responses][2:4] == [
        ("Question a?", "Answer 2 to a."),
        ("Question b?", "Answer 0 to b."),
    ]
    assert len({r.id for r in responses}) == 5


def test_all_metrics_come_under_all_tie_policies_with_n_and_interval() -> None:
    found = reward_modelling(SETS, judged(list(SCORES)))
    assert set(found) == {*RECORDED, "counts"}
    for policy in RECORDED:
        assert tuple(found[policy]) == METRICS
        assert all(set(metric) == {"value", "ci95", "n"} for metric in found[policy].values())
    excluded = found["excluded"]
    assert (excluded["pairwise_accuracy"]["value"], excluded["pairwise_accuracy"]["n"]) == (3 / 4, 4)
    assert (excluded["five_best"]["value"], excluded["exact_match"]["value"]) == (1 / 2, 1 / 2)
    assert (excluded["spearman"]["value"], excluded["kendall_tau"]["value"]) == pytest.approx((0, 0))


def test_f19_the_order_of_the_judgements_does_not_matter() -> None:
    judgements = judged(list(SCORES))
    shuffled = Random(0).sample(judgements, len(judgements))
    assert shuffled != judgements
    assert reward_modelling(SETS, shuffled) == reward_modelling(SETS, judgements)


def test_the_same_judgements_can_be_held_against_another_truth() -> None:
    oracle = [SETS[0], ranked_set("b", 0, 1)]
    assert reward_modelling(oracle, judged(list(SCORES)))["excluded"]["pairwise_accuracy"]["value"] == 1


def test_f01_an_unscored_response_is_counted_not_scored() -> None:
    found = reward_modelling(SETS, judged([5.0, None, 1.0, 5.0, 2.0]))
    assert found["counts"] == {"sets": 2, "sets_used": 2, "responses": 5, "unscored": 1}
    assert (found["half"]["pairwise_accuracy"]["value"], found["half"]["pairwise_accuracy"]["n"]) == (1 / 2, 2)


def test_a_missing_or_doubled_judgement_is_an_error() -> None:
    judgements = judged(list(SCORES))
    with pytest.raises(ValueError, match="was not judged"):
        reward_modelling(SETS, judgements[1:])
    with pytest.raises(ValueError, match="judged twice"):
        reward_modelling(SETS, [*judgements, judgements[0]])
