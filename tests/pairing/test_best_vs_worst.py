"""Pairing: best against worst whatever the order, and never a pair that teaches nothing."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.pairing import COUNTED, best_vs_worst, positives
from selfreward.records import Judgement

SCORES = st.one_of(st.none(), st.integers(0, 15).map(lambda thirds: thirds / 3))
TEXTS = st.sampled_from(["a", "b", "c", " a", ""])
GROUPS = st.lists(st.lists(st.tuples(SCORES, TEXTS), min_size=1, max_size=6), max_size=5)


def judged(prompt: str, sample: int, score: float | None, text: str | None = None) -> Judgement:
    return Judgement(
        id=f"j-{prompt}-{sample}",
        response_id=f"r-{prompt}-{sample}",
        prompt_id=prompt,
        prompt=f"Prompt {prompt}?",
        response=f"Response {sample}." if text is None else text,
        judge="m1",
        votes=(),
        score=score,
        coverage=0.0 if score is None else 1.0,
    )


def judged_prompt(*scores: float | None, prompt: str = "p") -> list[Judgement]:
    return [judged(prompt, sample, score) for sample, score in enumerate(scores)]


def judged_groups(groups: list[list[tuple[float | None, str]]]) -> list[Judgement]:
    return [
        judged(f"p{number}", sample, score, text)
        for number, group in enumerate(groups)
        for sample, (score, text) in enumerate(group)
    ]


def test_the_best_is_chosen_and_the_worst_rejected_wherever_they_stand() -> None:
    (pair,) = best_vs_worst(judged_prompt(3.0, 4.5, 1.0, 2.0)).pairs
    assert (pair.chosen_id, pair.rejected_id) == ("r-p-1", "r-p-2")
    assert (pair.chosen_score, pair.rejected_score, pair.margin) == (4.5, 1.0, 3.5)
    assert (pair.prompt, pair.chosen, pair.rejected) == ("Prompt p?", "Response 1.", "Response 2.")


@given(st.integers(0, 15), st.integers(0, 15))
def test_f02_swapping_the_scores_of_two_responses_swaps_the_pair(a: int, b: int) -> None:
    pairing, swapped = best_vs_worst(judged_prompt(a / 3, b / 3)), best_vs_worst(judged_prompt(b / 3, a / 3))
    chosen_and_rejected = [(pair.chosen_id, pair.rejected_id) for pair in pairing.pairs]
    assert [(pair.rejected_id, pair.chosen_id) for pair in swapped.pairs] == chosen_and_rejected
    assert chosen_and_rejected == ([] if a == b else [("r-p-0", "r-p-1") if a > b else ("r-p-1", "r-p-0")])


@given(GROUPS, st.randoms(use_true_random=False), st.integers(0, 3))
def test_f21_no_order_of_the_judgements_changes_a_pair(
    groups: list[list[tuple[float | None, str]]], random: Random, seed: int
) -> None:
    judgements = judged_groups(groups)
    shuffled = list(judgements)
    random.shuffle(shuffled)
    pairing, again = best_vs_worst(judgements, seed=seed), best_vs_worst(shuffled, seed=seed)
    assert {pair.id: pair for pair in pairing.pairs} == {pair.id: pair for pair in again.pairs}
    assert pairing.counts == again.counts


@given(GROUPS, st.floats(0, 2))
def test_f21_no_response_of_the_prompt_beats_the_chosen_or_is_beaten_by_the_rejected(
    groups: list[list[tuple[float | None, str]]], min_margin: float
) -> None:
    judgements = judged_groups(groups)
    pairing = best_vs_worst(judgements, min_margin)
    for pair in pairing.pairs:
        scores = [j.score for j in judgements if j.prompt_id == pair.prompt_id and j.score is not None]
        assert (pair.chosen_score, pair.rejected_score) == (max(scores), min(scores))
        assert pair.margin >= min_margin
        assert pair.chosen.strip() != pair.rejected.strip()
    counts = pairing.counts
    dropped = sum(counts[reason] for reason in ("tie", "too_few_scored", "small_margin", "identical_text"))
    assert counts["prompts"] == len(groups) == len(pairing.pairs) + dropped
    assert counts["pairs"] == len(pairing.pairs)
    assert tuple(counts) == COUNTED


def test_f10_equal_scores_are_dropped_and_counted() -> None:
    pairing = best_vs_worst(judged_prompt(4.0, 4.0, None, 4.0))
    assert pairing.pairs == []
    assert (pairing.counts["tie"], pairing.counts["unscored_responses"]) == (1, 1)


def test_f10_identical_texts_never_pair() -> None:
    pairing = best_vs_worst([judged("p", 0, 5.0, "Same."), judged("p", 1, 1.0, "Same.\n")])
    assert pairing.pairs == []
    assert pairing.counts["identical_text"] == 1


@pytest.mark.parametrize("seed", range(8))
def test_f10_an_equally_good_response_with_another_text_takes_the_place_of_an_identical_one(seed: int) -> None:
    judgements = [judged("p", 0, 5.0, "Same."), judged("p", 1, 5.0, "Other."), judged("p", 2, 1.0, "Same.")]
    (pair,) = best_vs_worst(judgements, seed=seed).pairs
    assert (pair.chosen, pair.rejected) == ("Other.", "Same.")


def test_f01_an_unscored_response_is_neither_chosen_nor_rejected() -> None:
    (pair,) = best_vs_worst(judged_prompt(None, 2.0, None, 3.0)).pairs
    assert {pair.chosen_id, pair.rejected_id} == {"r-p-1", "r-p-3"}
    assert best_vs_worst(judged_prompt(None, 5.0, None)).counts["too_few_scored"] == 1


def test_f29_means_that_differ_by_a_third_of_a_point_make_a_pair() -> None:
    assert len(best_vs_worst(judged_prompt(13 / 3, 4.0)).pairs) == 1


def test_a_margin_below_the_least_is_dropped_and_counted() -> None:
    assert best_vs_worst(judged_prompt(4.0, 3.5), min_margin=1.0).counts["small_margin"] == 1
    assert len(best_vs_worst(judged_prompt(4.0, 3.0), min_margin=1.0).pairs) == 1


def test_ties_among_the_best_are_counted_and_every_one_of_them_is_chosen_under_some_seed() -> None:
    judgements = judged_prompt(5.0, 5.0, 5.0, 1.0)
    pairings = [best_vs_worst(judgements, seed=seed) for seed in range(40)]
    assert {pairing.pairs[0].chosen_id for pairing in pairings} == {"r-p-0", "r-p-1", "r-p-2"}
    assert (pairings[0].counts["tied_best"], pairings[0].counts["tied_worst"]) == (1, 0)


def test_pairs_follow_the_order_of_their_prompts() -> None:
    judgements = [judgement for prompt in "cab" for judgement in judged_prompt(1.0, 2.0, prompt=prompt)]
    assert [pair.prompt_id for pair in best_vs_worst(judgements).pairs] == ["c", "a", "b"]


def test_two_judgements_of_one_response_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match="two judgements"):
        best_vs_worst([judged("p", 0, 5.0), judged("p", 0, 1.0)])
    assert best_vs_worst([judged("p", 0, 5.0)] * 2 + [judged("p", 1, 1.0)]).counts["pairs"] == 1


def test_positives_are_the_responses_with_full_points_each_text_once() -> None:
    judgements = [*judged_prompt(5.0, 14 / 3, None), judged("p", 3, 5.0, "Response 0."), judged("q", 0, 5.0)]
    examples = positives(judgements)
    assert [(example.prompt, example.response) for example in examples] == [
        ("Prompt p?", "Response 0."),
        ("Prompt q?", "Response 0."),
    ]
    assert {example.source for example in examples} == {"positive"}
    assert len(positives(judgements, score=4.5)) == 3
