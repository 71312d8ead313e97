"""New prompts: what an attempt is asked, and what becomes of what the model writes."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.prompts import FATES, Attempt, Filter, ask_for_one_more, few_shot, prompt_of
from selfreward.records import Prompt

SEED = [Prompt(id=f"s{i}", text=f"Write about the thing number {i}.", source="ift") for i in range(10)]
WRITTEN = [Prompt(id=f"g{i}", text=f"Tell me of item {i}.", source="m1") for i in range(5)]
HELD_OUT = "Name the tallest tower of the town."


def attempt(text: str, finished: bool = True) -> Attempt:
    return Attempt(id=text[:16], text=text, finished=finished, examples=())


def new_filter(*earlier: str, max_rouge_l: float = 0.7, min_words: int = 4, max_words: int = 12) -> Filter:
    return Filter(earlier, lambda text: text == HELD_OUT, min_words, max_words, max_rouge_l)


EARLIER = ("Describe a walk along the river in spring.", "Give three reasons to learn the piano.")


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("Explain why bread rises in the oven.", "accepted"),
        ("  Explain why bread rises in the oven.\n", "accepted"),
        ("Explain bread now.", "too_short"),
        ("", "too_short"),
        (" \n ", "too_short"),
        ("Explain " + "very " * 12, "too_long"),
        ("Describe the image of a fox.", "unservable"),
        ("Tell me to go to the hill.", "unservable"),
        ("Draw a fox with a hat.", "unservable"),
        ("Explain why drawing imagery is hard.", "accepted"),
        ("Write a program that sorts some words.", "programming"),
        ("write  a  PROGRAM that sorts some words.", "programming"),
        ("- Explain why bread rises.", "odd_start"),
        ("“Explain why bread rises.”", "odd_start"),
        ("Éxplain why bread rises slowly.", "odd_start"),
        (EARLIER[0], "in_seed"),
        (EARLIER[0].upper().replace(" ", "\n  "), "in_seed"),
        (HELD_OUT, "held_out"),
        (f" {HELD_OUT}\n", "held_out"),
        ("Describe a walk along the river in autumn.", "similar"),
        ("Give three reasons to learn the flute.", "similar"),
        ("Give three good reasons to learn all about the old violin.", "accepted"),
    ],
)
def test_what_becomes_of_an_attempt(text: str, fate: str) -> None:
    filter_ = new_filter(*EARLIER)
    assert filter_.fate(attempt(text)) == fate
    assert filter_.counts == {**dict.fromkeys(FATES, 0), fate: 1}


def test_a_cut_attempt_is_unfinished_whatever_it_says() -> None:
    assert new_filter().fate(attempt("Explain why bread rises in the oven.", finished=False)) == "unfinished"


def test_every_fate_can_be_met() -> None:
    texts = [
        "Explain why bread rises in the oven.", "Explain.", "Explain " + "very " * 12, "Describe the image of a fox.",
        "Write a program that sorts some words.", "- Explain why bread rises.", EARLIER[0], HELD_OUT,
        "explain why bread  rises in the oven.", "Explain why bread rises in the pan.",
    ]  # fmt: skip
    filter_ = new_filter(*EARLIER)
    met = [filter_.fate(attempt("cut", finished=False)), *(filter_.fate(attempt(text)) for text in texts)]
    assert sorted(met) == sorted(FATES)
    assert filter_.counts == dict.fromkeys(FATES, 1)


def test_f04_an_example_never_comes_back_as_a_new_prompt() -> None:
    filter_ = new_filter(*(prompt.text for prompt in SEED), max_rouge_l=1.0)
    for prompt in SEED:
        for form in (prompt.text, prompt.text.lower(), f"  {prompt.text}\n", prompt.text.replace(" ", "  ")):
            assert filter_.fate(attempt(form)) == "in_seed"
    assert filter_.accepted == {}


def test_of_two_that_say_the_same_the_first_is_taken() -> None:
    first, second = "Explain why bread rises in the oven.", "EXPLAIN why bread rises in  the oven."
    filter_ = new_filter()
    assert [filter_.fate(attempt(text)) for text in (first, second, first)] == ["accepted", "duplicate", "duplicate"]
    assert list(filter_.accepted.values()) == [first]


def test_what_was_turned_down_stands_in_nobodys_way() -> None:
    text = "Explain why bread rises in the oven."
    filter_ = new_filter()
    assert [filter_.fate(attempt(text, finished=False)), filter_.fate(attempt(text))] == ["unfinished", "accepted"]


def test_an_accepted_prompt_turns_down_what_is_like_it_from_then_on() -> None:
    filter_ = new_filter()
    like = "Explain why bread rises in the pan."
    assert new_filter().fate(attempt(like)) == "accepted"
    assert filter_.fate(attempt("Explain why bread rises in the oven.")) == "accepted"
    assert filter_.fate(attempt(like)) == "similar"


def test_a_threshold_of_one_lets_all_but_copies_through() -> None:
    filter_ = new_filter(*EARLIER, max_rouge_l=1.0)
    assert filter_.fate(attempt("in spring, a walk Along the river: describe")) == "accepted"
    assert filter_.fate(attempt(EARLIER[0])) == "in_seed"


def longest_common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Length of the longest common subsequence, by its definition."""

    @cache
    def length(i: int, j: int) -> int:
        if i == len(one) or j == len(other):
            return 0
        if one[i] == other[j]:
            return 1 + length(i + 1, j + 1)
        return max(length(i + 1, j), length(i, j + 1))

    return length(0, 0)


SENTENCES = st.lists(st.sampled_from(["ab", "bc", "cd", "de", "ef"]), min_size=1, max_size=9).map(tuple)


@given(
    SENTENCES, st.lists(SENTENCES, min_size=1, max_size=4), st.sampled_from([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
)
def test_rouge_l_is_that_of_the_longest_common_subsequence(
    written: tuple[str, ...], earlier: list[tuple[str, ...]], threshold: float
) -> None:
    """Equal to the threshold is not above it."""
    filter_ = Filter([" ".join(words) for words in earlier], lambda _: False, 1, 12, threshold)
    if written in earlier:
        assert filter_.fate(attempt(" ".join(written))) == "in_seed"
        return
    highest = max(2 * longest_common(written, words) / (len(written) + len(words)) for words in earlier)
    assert filter_.fate(attempt(" ".join(written))) == ("similar" if highest > threshold else "accepted")


def test_rouge_l_looks_at_words_and_neither_at_case_nor_at_marks() -> None:
    filter_ = new_filter("Describe, briefly: a WALK (in spring).", max_rouge_l=0.9)
    assert filter_.fate(attempt("describe briefly a walk in spring")) == "similar"


def test_f05_the_few_shot_prompt_is_a_function_of_its_tasks_alone() -> None:
    tasks = [prompt.text for prompt in SEED[:8]]
    first = ask_for_one_more("few_shot", tasks)
    for _ in range(3):
        ask_for_one_more("few_shot", [*tasks, "Another."])
        assert ask_for_one_more("few_shot", tasks) == first
    assert tasks == [prompt.text for prompt in SEED[:8]]


def test_f05_the_examples_are_a_function_of_their_inputs_alone() -> None:
    seed, written = list(SEED), list(WRITTEN)
    first = few_shot(seed, written, 6, 2, rng_seed=4)
    assert [few_shot(seed, written, 6, 2, rng_seed=4) for _ in range(3)] == [first] * 3
    assert (seed, written) == (SEED, WRITTEN)


@given(st.integers(min_value=0), st.integers(0, 5), st.integers(0, 6), st.integers(0, 4))
def test_examples_are_as_many_as_asked_all_different_and_from_both_sources(
    rng_seed: int, num_written: int, num_seed: int, num_generated: int
) -> None:
    examples = few_shot(SEED, WRITTEN[:num_written], num_seed, num_generated, rng_seed)
    assert len({prompt.id for prompt in examples}) == len(examples) == num_seed + num_generated
    assert sum(prompt.source == "m1" for prompt in examples) == min(num_written, num_generated)


def test_a_short_seed_gives_what_it_has() -> None:
    assert len(few_shot(SEED[:3], [], 6, 2, rng_seed=0)) == 3


def test_examples_stand_in_random_order() -> None:
    places = {[p.source for p in few_shot(SEED, WRITTEN, 6, 2, rng_seed)].index("m1") for rng_seed in range(40)}
    assert len(places) > 4


def test_a_prompts_id_is_a_hash_of_its_text() -> None:
    one, same, other = (prompt_of(attempt(text), "m1") for text in ("Name a fish.", " Name a fish.\n", "Name a bird."))
    assert one == same
    assert one.id != other.id
    assert (one.text, one.source) == ("Name a fish.", "m1")
