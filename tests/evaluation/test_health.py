"""Judge health: a judge that collapsed, or that cannot be read, is seen without any truth to compare with."""

from typing import Any

import pytest

from selfreward.evaluation.health import judge_health
from selfreward.records import Judgement, Vote
from selfreward.statistics import mean_ci, wilson


def judgement(prompt: str, sample: int, *votes: float | str) -> Judgement:
    read = [
        Vote(score=None, fault=v, text="") if isinstance(v, str) else Vote(score=v, fault=None, text="") for v in votes
    ]
    scores = [vote.score for vote in read if vote.score is not None]
    return Judgement(
        id=f"{prompt}{sample}",
        response_id=f"{prompt}{sample}",
        prompt_id=prompt,
        prompt=prompt,
        response="",
        judge="m1",
        votes=tuple(read),
        score=sum(scores) / len(scores) if scores else None,
        coverage=len(scores) / len(read),
    )


def test_the_shares_are_those_counted_by_hand() -> None:
    health = judge_health(
        [
            judgement("p", 0, 4, 4, "unreadable"),
            judgement("p", 1, 4, 2, 3),
            judgement("p", 2, 4, "truncated", "out_of_range"),
            judgement("q", 0, "unreadable", "unreadable", "unreadable"),
            judgement("q", 1, 1, 1, 1),
        ]
    )
    assert (health["judgements"], health["unscored"], health["votes"]) == (5, 1, 15)
    assert health["readable"] == {"value": pytest.approx(7 / 12), "ci95": wilson(2 / 3 + 1 / 2, 2), "n": 2}  # 6/9, 3/6
    assert {fault: share["value"] for fault, share in health["faults"].items()} == pytest.approx(
        {"unreadable": 11 / 36, "truncated": 1 / 18, "out_of_range": 1 / 18, "too_long": 0, "refused": 0}
        # of p 1/9 each, of q 3/6 unreadable
    )
    assert health["vote_histogram"] == {"1.00": 3, "2.00": 1, "3.00": 1, "4.00": 4}
    assert health["score_histogram"] == {"1.00": 1, "3.00": 1, "4.00": 2}
    assert health["score_entropy_bits"] == 1.5
    mean = mean_ci([11 / 3, 1])
    assert health["mean_score"] == {"mean": mean.mean, "ci95": mean.ci95, "n": 2}
    assert health["tie_rate"] == {"value": 1 / 3, "ci95": wilson(1 / 3, 1), "n": 1}  # of 4 3 4; q has no pair
    assert (health["flat_prompts"]["value"], health["flat_prompts"]["n"]) == (0, 1)
    assert health["self_agreement"]["value"] == (1 / 4 + 3 / 3) / 2  # of p 1 of 1 and 0 of 3
    assert health["self_distance"]["mean"] == (4 / 4 + 0) / 2  # of p 2 + 1 + 1 points
    assert health["alarms"] == ["only 58% of the votes could be read"]


def test_a_judge_that_always_says_four_raises_alarms() -> None:
    health = judge_health([judgement("p", sample, 4, 4, 4) for sample in range(4)])
    assert health["alarms"] == ["100% of the votes say 4", "100% of the pairs of responses are tied"]
    assert (health["vote_entropy_bits"], health["flat_prompts"]["value"]) == (0, 1)


def test_votes_that_only_repeat_one_another_make_no_interval_narrower() -> None:
    scores = [[4, 4, 3], [5, 2, 2], [1, 2, 3], [4, 4, 4]]

    def health(times: int) -> dict[str, Any]:
        return judge_health(
            [judgement(f"p{i}", n, *[score] * times) for i, group in enumerate(scores) for n, score in enumerate(group)]
        )

    for name in ("readable", "mean_score", "tie_rate", "flat_prompts"):
        assert health(1)[name] == health(9)[name]
        assert health(9)[name]["n"] == 4
    assert health(2)["self_agreement"] == health(9)["self_agreement"]


def test_a_share_that_no_prompt_contradicts_is_not_certain() -> None:
    few = judge_health([judgement(f"p{i}", 0, 4, 4, 4) for i in range(5)])
    many = judge_health([judgement(f"p{i}", 0, 4, 4, 4) for i in range(50)])
    assert few["readable"]["ci95"][0] < many["readable"]["ci95"][0] < few["readable"]["ci95"][1] == 1
    assert many["faults"]["truncated"]["value"] == 0 < many["faults"]["truncated"]["ci95"][1]


def test_a_judge_that_tells_responses_apart_raises_none() -> None:
    assert judge_health([judgement("p", sample, sample, sample) for sample in range(5)])["alarms"] == []


def test_no_judgements_are_no_error_and_no_numbers() -> None:
    health = judge_health([])
    nothing = {"value": None, "ci95": None, "n": 0}
    assert (health["readable"], health["tie_rate"], health["faults"]["truncated"]) == (nothing, nothing, nothing)
    assert health["mean_score"] == {"mean": None, "ci95": None, "n": 0}
    assert health["alarms"] == []


def test_a_judge_read_from_probabilities_says_its_likeliest_points() -> None:
    """Means hardly ever agree to the last digit; a judge that always thinks of 4 first is found out all the same."""

    def read(p3: float) -> Judgement:
        probs = (0, 0, 0, p3, 0.95 - p3, 0.05)
        vote = Vote(score=3 * p3 + 4 * (0.95 - p3) + 0.25, fault=None, text="", probs=probs)
        return judgement("p", 0, 4).model_copy(update={"votes": (vote, vote), "score": vote.score})

    health = judge_health([read(0.1), read(0.2), read(0.3)])
    assert health["vote_histogram"] == {"4.00": 6}
    assert health["self_agreement"]["value"] == 1
    assert health["tie_rate"]["value"] == 0
    assert health["alarms"] == ["100% of the votes say 4"]
