"""The EFT seed: judgements whose order is the people's, whole and with their reasons, and a count of every other."""

from collections import Counter
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.judges.votes import make_judgement, read_vote
from selfreward.records import Judgement, RankedResponse, RankedSet, Vote, VoteFault
from selfreward.responses import ranked_responses
from selfreward.seeds import agrees, build_eft
from selfreward.seeds.eft import STEPS


@pytest.mark.parametrize(
    ("ranks", "scores", "agree"),
    [
        ((0, 1, 2), (5, 3, 1), True),
        ((0, 1, 2), (5, 3, 3), False),  # a tie is no agreement
        ((0, 1, 2), (3, 5, 1), False),
        ((2, 0, 1), (1, 5, 3), True),
        ((0, 0, 1), (3, 5, 1), True),  # people tied the first two: any order will do
        ((0, 0, 1), (5, 1, 1), False),
        ((0, 0), (1, 2), True),
        ((0,), (0,), True),
        ((0, 1), (3.5, 3.4), True),
    ],
)
def test_scores_agree_where_the_better_is_strictly_higher(
    ranks: tuple[int, ...], scores: tuple[float, ...], agree: bool
) -> None:
    assert agrees(ranks, scores) == agree


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=5), st.randoms())
def test_f21_agreement_does_not_depend_on_the_order_of_the_responses(
    responses: list[tuple[int, int]], random: Random
) -> None:
    shuffled = random.sample(responses, len(responses))
    assert agrees(*zip(*responses, strict=True)) == agrees(*zip(*shuffled, strict=True))


def ranked_set(name: str, num: int = 2) -> RankedSet:
    responses = tuple(RankedResponse(text=f"Answer {rank} to {name}.", rank=rank) for rank in range(num))
    return RankedSet(id=name, prompt=f"Question {name}?", responses=responses)


def judged(sets: list[RankedSet], votes: dict[str, list[str]]) -> list[Judgement]:
    """Judgements of the sets' responses; `votes` holds what the judge says of the responses of each set, `4 3` is two votes."""
    return [
        make_judgement(
            response,
            [read_vote(f"Vote. Score: {vote}", True) for vote in votes[response.prompt_id][response.sample].split()],
            "sft",
        )
        for response in ranked_responses(sets)
    ]


def test_a_set_is_kept_where_the_order_of_its_scores_is_the_peoples() -> None:
    sets = [ranked_set(name) for name in ("right", "wrong", "tied", "unread")]
    votes = {"right": ["5", "2"], "wrong": ["2", "5"], "tied": ["3", "3"], "unread": ["5", "x"]}
    eft, counts = build_eft(sets, judged(sets, votes), "micro", max_share=1)
    assert {name: n for name, n in counts.items() if n} == {
        "votes": 8, "votes_unreadable": 1, "sets": 4, "sets_unusable": 1, "sets_disagreeing": 2, "sets_kept": 1,
        "judgements_kept": 2,
    }  # fmt: skip
    assert [example.response for example in eft] == ["Vote. Score: 5", "Vote. Score: 2"]
    assert {example.source for example in eft} == {"eft"}


@pytest.mark.parametrize("fault", get_args(VoteFault))
def test_f01_a_vote_without_a_score_is_counted_under_its_fault_and_makes_no_example(fault: VoteFault) -> None:
    sets = [ranked_set("a")]
    good, bad = judged(sets, {"a": ["5", "2"]})
    bad = bad.model_copy(update={"votes": (Vote(score=None, fault=fault, text="Score: 2"),), "score": None})
    eft, counts = build_eft(sets, [good, bad], "micro", max_share=1)
    assert eft == []
    assert {name: n for name, n in counts.items() if n} == {
        "votes": 2, f"votes_{fault}": 1, "sets": 1, "sets_unusable": 1
    }  # fmt: skip
    assert tuple(counts) == STEPS  # all, in their order, whatever was found


def test_an_example_is_the_judge_prompt_with_the_judges_words() -> None:
    sets = [ranked_set("right")]
    (first, second), _ = build_eft(sets, judged(sets, {"right": ["4", "1"]}), "micro", max_share=1)
    assert "Task: Question right?\nAnswer: Answer 0 to right." in first.prompt
    assert "Answer: Answer 1 to right." in second.prompt
    assert first.id != second.id


def test_the_first_try_that_agrees_is_kept_whole() -> None:
    """The first usable votes of all responses are one try; the second try agrees, and is taken for both responses."""
    sets = [ranked_set("a")]
    eft, counts = build_eft(sets, judged(sets, {"a": ["1 5 5", "3 2 1"]}), "micro", max_share=1)
    assert [example.response[-1] for example in eft] == ["5", "2"]
    assert counts["sets_kept"] == 1


def test_f01_an_unreadable_vote_is_passed_over_and_a_score_of_0_is_a_score() -> None:
    sets = [ranked_set("a"), ranked_set("b")]
    eft, counts = build_eft(sets, judged(sets, {"a": ["x 5", "0 0"], "b": ["x x", "1 1"]}), "micro", max_share=1)
    assert [example.response[-1] for example in eft] == ["5", "0"]
    assert (counts["sets_kept"], counts["sets_unusable"]) == (1, 1)


def test_a_judgement_without_reasons_is_no_example() -> None:
    sets = [ranked_set("a")]
    for min_words, num_kept in ((1, 1), (2, 0)):  # "Vote." is one word
        _, counts = build_eft(sets, judged(sets, {"a": ["5", "2"]}), "micro", max_share=1, min_words=min_words)
        assert (counts["sets_kept"], counts["sets_unusable"]) == (num_kept, 1 - num_kept)


def said(ranked: RankedSet, *texts: str, finished: bool = True) -> list[Judgement]:
    """One vote for each response, in the judge's own words."""
    responses = ranked_responses([ranked])
    return [
        make_judgement(response, [read_vote(text, finished)], "sft")
        for response, text in zip(responses, texts, strict=True)
    ]


@pytest.mark.parametrize("verdict", ["Score: 5", "**Final score:** 5", "score: 5", "SCORE:\n5"])
def test_reasons_are_what_stands_before_the_verdict_however_it_is_written(verdict: str) -> None:
    one = ranked_set("a")
    for min_words, num_kept in ((4, 1), (7, 0)):
        votes = said(one, f"It scores well\non relevance. {verdict}", "Wrong and short, my verdict. Score: 1")
        _, counts = build_eft([one], votes, "micro", 1, min_words)
        assert (counts["sets_kept"], counts["votes_without_reasons"]) == (num_kept, 0 if num_kept else 2)


def test_an_example_ends_with_the_line_of_its_verdict() -> None:
    """Some judges go on after the verdict, and may be cut there in the middle of a word."""
    one = ranked_set("a")
    votes = said(one, "Good.\n\nScore: 5 (of 5)\nNow the next resp", "Bad: Score: 3? No.\nScore: 1\n\n", finished=False)
    eft, counts = build_eft([one], votes, "micro", 1)
    assert [example.response for example in eft] == ["Good.\n\nScore: 5 (of 5)", "Bad: Score: 3? No.\nScore: 1"]
    assert counts["judgements_cut"] == 1


@given(
    st.lists(st.lists(st.lists(st.sampled_from("0135x"), min_size=2, max_size=2), min_size=2, max_size=3), max_size=6),
    st.sampled_from([0.3, 0.5, 1.0]),
)
def test_the_counts_of_the_steps_add_up(votes: list[list[list[str]]], max_share: float) -> None:
    sets = [ranked_set(f"s{i}", num=len(of_a_set)) for i, of_a_set in enumerate(votes)]
    words = {f"s{i}": [" ".join(two) for two in of_a_set] for i, of_a_set in enumerate(votes)}
    eft, counts = build_eft(sets, judged(sets, words), "micro", max_share)
    assert counts["sets"] == len(sets) == counts["sets_unusable"] + counts["sets_disagreeing"] + counts["sets_kept"]
    assert counts["votes"] == sum(2 * len(one.responses) for one in sets)
    assert counts["votes_unreadable"] == sum(word.count("x") for of_a_set in words.values() for word in of_a_set)
    assert len(eft) == counts["judgements_kept"] - counts["judgements_thinned_out"]


def test_f19_judgements_join_their_sets_by_id() -> None:
    sets = [ranked_set("a"), ranked_set("b", num=3)]
    judgements = judged(sets, {"a": ["4", "1"], "b": ["5", "3", "2"]})
    assert build_eft(sets, judgements[::-1], "micro", 1) == build_eft(sets, judgements, "micro", 1)


@pytest.mark.parametrize("max_share", [0.2, 0.4, 0.5, 0.7, 1.0])
def test_the_most_common_score_is_thinned_to_its_share(max_share: float) -> None:
    sets = [ranked_set(f"s{i}") for i in range(30)]
    votes = {f"s{i}": ["5", str(i % 5)] for i in range(30)}  # 30 of 60 are a 5
    eft, counts = build_eft(sets, judged(sets, votes), "micro", max_share)
    scores = Counter(example.response[-1] for example in eft)
    assert scores["5"] <= max(max_share, 0) * len(eft)
    assert scores["5"] + 1 > max_share * (len(eft) + 1) or scores["5"] == 30  # and no further than that
    assert [scores[str(i)] for i in range(5)] == [6] * 5
    assert counts["judgements_kept"] == 60
    assert counts["judgements_thinned_out"] == 60 - len(eft)


def test_which_examples_are_thinned_out_depends_on_them_alone() -> None:
    sets = [ranked_set(f"s{i}") for i in range(20)]
    votes = {f"s{i}": ["5", "1" if i % 2 else "2"] for i in range(20)}
    forward = build_eft(sets, judged(sets, votes), "micro", 0.3)[0]
    backward = build_eft(sets[::-1], judged(sets, votes), "micro", 0.3)[0]
    assert {example.id for example in forward} == {example.id for example in backward}
    assert len(forward) < 40


def test_of_two_scores_that_are_equally_common_the_higher_is_thinned_whatever_comes_first() -> None:
    sets = [ranked_set(f"s{i}") for i in range(6)]
    judgements = judged(sets, {one.id: ["5", "2"] for one in sets})
    for ordered in (sets, sets[::-1]):
        scores = Counter(example.response[-1] for example in build_eft(ordered, judgements, "micro", 0.4)[0])
        assert scores == {"5": 4, "2": 6}


def test_a_judge_that_agrees_with_nobody_leaves_no_eft() -> None:
    sets = [ranked_set("a")]
    assert build_eft(sets, judged(sets, {"a": ["1", "1"]}), "micro", 0.4)[0] == []
