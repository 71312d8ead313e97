"""Responses by other numbers than points: implicit rewards, consistency, length penalties, win probabilities."""

from itertools import permutations
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.judges.votes import make_judgement
from selfreward.pairing import best_vs_worst
from selfreward.pairing.rewards import consistency, implicit_rewards, length_regularised, win_probabilities
from selfreward.records import Judgement, Response, Vote


def response(prompt: str, i: int, text: str | None = None) -> Response:
    return Response(
        id=f"{prompt}{i}", prompt_id=prompt, prompt=prompt, text=text or f"text {i}", model="m1", sample=i, num_tokens=2,
        finished=True,
    )  # fmt: skip


def judged(prompt: str, i: int, votes: list[float | None], text: str | None = None) -> Judgement:
    read = [Vote(score=v, fault=None if v is not None else "unreadable", text="") for v in votes]
    return make_judgement(response(prompt, i, text), read, "m1")


def rated(prompt: str, scores: list[float], texts: list[str] | None = None) -> list[Judgement]:
    return [judged(prompt, i, [s], texts[i] if texts else None) for i, s in enumerate(scores)]


def test_f20_an_implicit_reward_is_joined_by_id_and_not_by_place() -> None:
    responses = [response("p", i) for i in range(3)]
    policy = {"p2": -1.0, "p0": -5.0, "p1": -3.0}
    base = {"p1": -4.0, "p2": -4.0, "p0": -4.0}
    assert [one.score for one in implicit_rewards(responses, policy, base, "m1 over m0")] == [-1.0, 1.0, 3.0]


def test_consistency_is_1_for_the_same_order_0_for_the_other_and_half_by_chance() -> None:
    now = rated("a", [1, 2, 3, 4]) + rated("b", [4, 1, 2, 3])
    same = rated("a", [10, 20, 30, 40]) + rated("b", [0.4, 0.1, 0.2, 0.3])
    assert consistency(now, same) == 1.0
    assert consistency(now, rated("a", [4, 3, 2, 1]) + rated("b", [1, 4, 3, 2])) == 0.0
    every = [consistency(rated("a", [1, 2, 3, 4]), rated("a", list(order))) for order in permutations([1.0, 2, 3, 4])]
    assert fmean(every) == pytest.approx(0.5)


def test_consistency_does_not_depend_on_the_order_of_the_records_and_skips_prompts_that_rank_nothing() -> None:
    now, before = rated("a", [1, 2, 3]) + rated("b", [1, 1, 1]), rated("a", [1, 3, 2]) + rated("b", [1, 2, 3])
    expected = consistency(now, before)
    Random(0).shuffle(before)
    assert consistency(now, before) == expected == pytest.approx((1 / 3 + 1) / 2)


def test_a_length_penalty_makes_the_best_as_long_as_the_worst_and_no_more() -> None:
    rng = Random(1)
    judgements = []
    for p in range(60):
        lengths = [rng.randint(5, 60) for _ in range(6)]
        scores = [0.2 * n + rng.gauss(0, 2) for n in lengths]
        judgements += rated(f"p{p}", scores, ["x" * n for n in lengths])
    regular, penalty = length_regularised(judgements)
    assert 0.1 < penalty < 0.3  # the slope is 0.2
    pairs = best_vs_worst(regular).pairs
    before = best_vs_worst(judgements).pairs
    assert abs(fmean(len(p.chosen) - len(p.rejected) for p in pairs)) < 2
    assert fmean(len(p.chosen) - len(p.rejected) for p in before) > 20


def test_where_the_best_are_not_the_longer_there_is_no_penalty() -> None:
    judgements = rated("a", [3.0, 1.0], ["short", "much longer than that"])
    regular, penalty = length_regularised(judgements)
    assert penalty == 0 and regular == judgements


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=2, max_size=5))
def test_win_probabilities_average_a_half_and_order_as_certain_votes_do(votes: list[list[int]]) -> None:
    found = win_probabilities([judged("p", i, [float(v) for v in some]) for i, some in enumerate(votes)])
    scores = [one.score for one in found]
    assert all(score is not None and 0 <= score <= 1 for score in scores)
    assert fmean(s for s in scores if s is not None) == pytest.approx(0.5)
    for i, mine in enumerate(votes):
        for j, theirs in enumerate(votes):
            if min(mine) > max(theirs):
                assert (scores[i] or 0) > (scores[j] or 0)


def test_votes_that_are_wins_already_say_the_probability() -> None:
    first, second, third = judged("p", 0, [1, 1]), judged("p", 1, [0, 1]), judged("p", 2, [0, 0])
    found = win_probabilities([first, second, third, judged("q", 0, [None])], are_wins=True)
    assert [one.score for one in found] == [pytest.approx(2.5 / 3), 0.5, pytest.approx(0.5 / 3), None]


def test_who_has_no_readable_vote_neither_wins_nor_loses() -> None:
    found = win_probabilities([judged("p", 0, [5.0]), judged("p", 1, [None]), judged("p", 2, [1.0])])
    assert [one.score for one in found] == [0.75, None, 0.25]
