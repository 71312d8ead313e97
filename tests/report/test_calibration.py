"""What a judge's scores are worth."""

import pytest

from selfreward.records import Judgement, Vote
from selfreward.report.html.calibration import calibrate, places


def judgement(prompt: str, response: str, score: float | None) -> Judgement:
    vote = Vote(score=score, fault=None if score is not None else "unreadable", text="")
    return Judgement(
        id=response, response_id=response, prompt_id=prompt, prompt="p", response="r", judge="m1", votes=(vote,),
        score=score, coverage=float(score is not None),
    )  # fmt: skip


def test_answers_are_grouped_by_their_score_and_prompts_count_alike() -> None:
    judged = [judgement("p", "a", 4.67), judgement("p", "b", 5.0), judgement("q", "c", 4.5), judgement("q", "d", 0.33)]
    found = calibrate(judged, {"a": 3.0, "b": 5.0, "c": 1.0, "d": 0.0})
    assert list(found) == [0, 5]
    assert found[5].num == 3
    assert found[5].truth["mean"] == pytest.approx((4.0 + 1.0) / 2)
    assert found[5].truth["n"] == 2


def test_answers_without_a_score_or_a_truth_say_nothing() -> None:
    assert calibrate([judgement("p", "a", None), judgement("p", "b", 3.0)], {"a": 1.0}) == {}


def test_the_place_of_an_answer_is_the_share_of_the_others_that_are_worse() -> None:
    assert places([0, 1, 2]) == [1.0, 0.5, 0.0]
    assert places([0, 0, 1]) == [0.75, 0.75, 0.0]
    assert places([0]) == [None]
