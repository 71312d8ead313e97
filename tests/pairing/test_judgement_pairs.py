"""Pairs of judgements: who is compared, the rating, and the liking of places."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.judges.votes import make_judgement
from selfreward.pairing.judging import debiased, elo, judgement_pair, least_agreed, readable_votes
from selfreward.records import Judgement, Pair, Response, Vote


def judged(prompt: str, i: int, *votes: tuple[str, float | None]) -> Judgement:
    response = Response(
        id=f"{prompt}{i}", prompt_id=prompt, prompt=prompt, text=f"text {i}", model="m1", sample=i, num_tokens=1, finished=True
    )  # fmt: skip
    return make_judgement(
        response, [Vote(score=s, fault=None if s is not None else "unreadable", text=t) for t, s in votes], "m1"
    )


def test_the_response_whose_votes_vary_most_is_taken_and_none_where_all_agree() -> None:
    calm, torn = judged("p", 0, ("a", 3.0), ("b", 4.0)), judged("p", 1, ("a", 1.0), ("b", 5.0))
    sure = judged("q", 0, ("a", 3.0), ("b", 3.0))
    assert least_agreed([calm, torn, sure]) == [torn]


def test_unreadable_and_wordless_votes_and_repeated_texts_are_not_compared() -> None:
    one = judged("p", 0, ("a", 3.0), ("a", 3.0), ("", 1.0), ("hm", None), ("b", 4.0))
    assert [vote.text for vote in readable_votes(one)] == ["a", "b"]


def test_a_rating_is_the_log_odds_of_winning() -> None:
    ratings = elo(np.array([[0.0, 3000.0], [1000.0, 0.0]]))
    assert ratings[0] - ratings[1] == pytest.approx(log(3), abs=1e-3)


@given(st.permutations(range(4)))
def test_ratings_follow_the_one_who_wins_always_and_names_do_not_matter(order: list[int]) -> None:
    wins = np.triu(np.ones((4, 4)), 1)  # 0 beats all, 1 beats 2 and 3 ...
    ratings = elo(wins[np.ix_(order, order)])
    assert [order[i] for i in np.argsort(-ratings)] == [0, 1, 2, 3]


def test_a_judge_that_always_says_the_first_rates_all_alike() -> None:
    first, second = np.ones((3, 3)) - np.eye(3), np.zeros((3, 3))
    assert np.allclose(elo(debiased(first, second, first.sum(), second.sum())), 0)


def test_a_win_in_the_place_that_wins_less_counts_more() -> None:
    first, second = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    battles = debiased(first, second, 30.0, 10.0)
    assert battles[0, 1] == 0.25 and battles[1, 0] == 0.75


def test_the_best_judgement_is_chosen_against_the_worst_unless_it_is_over_long() -> None:
    one = judged("p", 0, ("good", 4.0), ("bad", 1.0))
    battles = np.array([[0.0, 2.0], [0.0, 0.0]])
    pair = judgement_pair(one, readable_votes(one), battles, "judge this")
    assert isinstance(pair, Pair) and (pair.prompt, pair.chosen, pair.rejected) == ("judge this", "good", "bad")
    long = judged("p", 0, ("word " * 101, 4.0), ("bad", 1.0))
    assert judgement_pair(long, readable_votes(long), battles, "judge this") == "over_long"
    assert judgement_pair(one, readable_votes(one), np.zeros((2, 2)), "judge this") == "tie"
