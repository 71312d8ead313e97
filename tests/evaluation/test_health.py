"""Judge health: a judge that collapsed, or that cannot be read, is seen without any truth to compare with."""

from selfreward.evaluation.health import judge_health
from selfreward.records import Judgement, Vote


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
    assert health["readable"] == 9 / 15
    assert health["faults"] == {"unreadable": 4 / 15, "truncated": 1 / 15, "out_of_range": 1 / 15}
    assert health["vote_histogram"] == {"1.00": 3, "2.00": 1, "3.00": 1, "4.00": 4}
    assert health["score_histogram"] == {"1.00": 1, "3.00": 1, "4.00": 2}
    assert health["score_entropy_bits"] == 1.5
    assert health["mean_score"] == 3
    assert health["tie_rate"] == 1 / 3  # of 4 3 4
    assert health["flat_prompts"] == 0
    assert health["self_agreement"] == 4 / 7  # 1 of 1, 0 of 3, 3 of 3
    assert health["self_distance"] == 4 / 7  # 2 + 1 + 1 points
    assert health["alarms"] == ["only 60% of the votes could be read"]


def test_a_judge_that_always_says_four_raises_alarms() -> None:
    health = judge_health([judgement("p", sample, 4, 4, 4) for sample in range(4)])
    assert health["alarms"] == ["100% of the votes say 4", "100% of the pairs of responses are tied"]
    assert (health["vote_entropy_bits"], health["flat_prompts"]) == (0, 1)


def test_a_judge_that_tells_responses_apart_raises_none() -> None:
    assert judge_health([judgement("p", sample, sample, sample) for sample in range(5)])["alarms"] == []


def test_no_judgements_are_no_error_and_no_numbers() -> None:
    health = judge_health([])
    assert (health["readable"], health["mean_score"], health["tie_rate"], health["alarms"]) == (None, None, None, [])
