"""Tasks: reading is the inverse of writing, and every instruction has one split for ever."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfreward.micro.tasks import (
    FAMILIES,
    Task,
    draw_instruction,
    draw_task,
    read_instruction,
    split_of,
    write_instruction,
)
from selfreward.micro.words import MARKS, TOPICS

FISH = "Write a sentence about animals."


@given(st.integers(min_value=0))
def test_reading_is_the_inverse_of_writing(seed: int) -> None:
    rng = Random(seed)
    task = draw_task(rng)
    assert read_instruction(write_instruction(task, rng)) == task


def test_every_family_and_phrasing_is_written() -> None:
    rng = Random(0)
    drawn = [draw_task(rng) for _ in range(2000)]
    families = Counter(task.family for task in drawn)
    assert set(families) == set(FAMILIES)
    assert {task.topic for task in drawn} == {*TOPICS, None}
    assert {task.ending for task in drawn} == {*MARKS, None}
    words = [
        "Tell",
        "Name",
        "Make",
        "Repeat",
        "Copy",
        "Put",
        "Turn",
        "What",
        "exactly",
        "long",
        "after",
        "Include",
        "contain",
        "Leave",
        "use",
        "End",
        "Finish",
    ]
    texts = " ".join(write_instruction(task, rng) for task in drawn)
    assert [word for word in words if word not in texts] == []


@pytest.mark.parametrize(
    ("text", "task", "complexity"),
    [
        ("Tell me something about animals.", Task("sentence", topic="animals"), 1),
        (
            "Write a sentence about foods. Finish with a period. It must contain the word fox. Make it 7 words long.",
            Task("sentence", topic="foods", count=7, include="fox", ending="."),
            4,
        ),
        (
            "Make a list of jobs. Stop after 3 items. Leave out the word king. Include the word baker. End with a period.",
            Task("list", topic="jobs", count=3, include="baker", leave_out="king", ending="."),
            5,
        ),
        ("Copy these words as they are: fox, hat, king.", Task("order", words=("fox", "hat", "king")), 1),
        (
            "Turn these words around: fox, hat, king. End with a question mark.",
            Task("order", words=("fox", "hat", "king"), reverse=True, ending="?"),
            3,
        ),
        ("What is the animal of Baeldara?", Task("fact", town="Baeldara", attribute="animal"), 1),
    ],
)
def test_a_task_is_what_the_english_says_and_its_complexity_counts_the_constraints(
    text: str, task: Task, complexity: int
) -> None:
    assert read_instruction(text) == task
    assert task.complexity == complexity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Fish.",
        "Write a sentence about animals",
        f"{FISH} ",
        f" {FISH}",
        "Write a sentence about fish.",
        f"{FISH} Use exactly 5 words. Make it 6 words long.",
        f"{FISH} End with a period. End with a period.",
        f"{FISH} Give exactly 3 items.",
        f"{FISH} Leave out the word fox.",
        f"{FISH} Use exactly five words.",
        f"{FISH} Include the word shark.",
        f"{FISH} {FISH}",
        f"{FISH} Be brief.",
        "Name some animals. Include the word fox. Leave out the word fox.",
        "Copy these words as they are: fox, hat, fox.",
        "Copy these words as they are: fox, the, hat.",
        "Copy these words as they are: .",
        "What is the animal of Paris?",
        "What is the age of Baeldara?",
        "Use exactly 5 words.",
        f"{FISH} Use exactly {'9' * 5000} words.",
    ],
)
def test_what_is_no_task_or_contradicts_itself_is_none(text: str) -> None:
    assert read_instruction(text) is None


@given(st.text(alphabet=st.sampled_from("Wa e.?!:,1²٣\n{}\\<|>"), max_size=60) | st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    for whole in (text, f"{FISH} {text}", f"Name some {text}.", f"Name some jobs. Stop after {text} items."):
        assert isinstance(read_instruction(whole), Task | None)


def test_a_split_holds_for_ever() -> None:
    """M0 has read the training split: were one of these to change, nothing would be held out from it any longer."""
    pinned = {
        "Write a sentence about animals.": "test",
        "Tell me something about animals.": "train",
        "Name some animals.": "train",
        "Tell me something about jobs. Use exactly 9 words. End with a period.": "dev",
        "Make a list of tools. Include the word knife. Give exactly 5 items.": "test",
    }
    assert {text: split_of(text) for text in pinned} == pinned


@given(st.integers(min_value=0), st.sampled_from(["train", "dev", "test"]))
@settings(max_examples=30)
def test_an_instruction_is_drawn_from_the_split_that_is_asked_for(seed: int, split: str) -> None:
    task, text = draw_instruction(Random(seed), split)  # type: ignore[arg-type]
    assert split_of(text) == split
    assert read_instruction(text) == task


@given(st.integers(min_value=0))
def test_letter_case_and_spacing_do_not_change_the_split(seed: int) -> None:
    text = write_instruction(draw_task(Random(seed)), Random(seed))
    assert len({split_of(form) for form in (text, text.upper(), text.replace(" ", "\n  "), f" {text} ")}) == 1


def test_one_in_sixteen_is_dev_and_one_in_sixteen_is_test() -> None:
    rng = Random(0)
    texts = {write_instruction(draw_task(rng), rng) for _ in range(4000)}
    splits = Counter(split_of(text) for text in texts)
    for held_out in ("dev", "test"):
        assert 0.04 < splits[held_out] / len(texts) < 0.09
