"""Votes by agreement."""

import pytest

from selfreward.pairing.consistency import last_line, last_number, most_vs_least_consistent, whole
from selfreward.records import Response


def sampled(*texts: str, prompt: str = "p") -> list[Response]:
    return [
        Response(
            id=f"{prompt}{i}", prompt_id=prompt, prompt=prompt, text=text, model="m1", sample=i, num_tokens=1, finished=True
        )
        for i, text in enumerate(texts)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "text", "found"),
    [
        (whole, " The  River. ", "the river"),
        (whole, "saw, rake.", "saw , rake"),
        (last_line, "so it is\n\n42 apples.\n  ", "42 apples"),
        (last_line, "", ""),
        (last_number, "3 and 4 make 1,204.50.", "1204.50"),
        (last_number, "minus -7", "-7"),
        (last_number, "none", ""),
    ],
)
def test_what_counts_as_the_answer(answer: object, text: str, found: str) -> None:
    assert answer(text) == found  # type: ignore[operator]


def test_the_commonest_answer_is_chosen_and_the_weight_is_the_difference_of_the_shares() -> None:
    (pair,) = most_vs_least_consistent(sampled("Blue.", "red", "blue", "blue "), whole, 0.5).pairs
    assert whole(pair.chosen) == "blue" and pair.rejected == "red"
    assert (pair.chosen_score, pair.rejected_score, pair.weight, pair.margin) == (0.75, 0.25, 0.5, 0.5)


def test_prompts_without_majority_and_with_equal_votes_are_dropped_and_counted() -> None:
    responses = sampled("a", "a", "b", "b", prompt="p") + sampled("a", "a", "b", "c", "d", prompt="q")
    pairing = most_vs_least_consistent(responses, whole, 0.5)
    assert pairing.counts == {"prompts": 2, "pairs": 0, "tie": 1, "no_majority": 1} and not pairing.pairs


def test_who_answers_nothing_has_no_vote_and_can_be_rejected() -> None:
    (pair,) = most_vs_least_consistent(sampled("I do not know", "it is 4", "4"), last_number, 0.5).pairs
    assert pair.rejected == "I do not know" and pair.weight == pytest.approx(2 / 3)
