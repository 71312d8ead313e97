"""The oracle: hand-made goldens for each family and each of the five points, and no text that it cannot score."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.micro.authors import AVERAGE, CAREFUL, CARELESS, Care, respond
from selfreward.micro.oracle import NUM_POINTS, checks, score
from selfreward.micro.tasks import FAMILIES, Task, draw_task, read_instruction

SENTENCE = "Write a sentence about animals. Use exactly 5 words. Include the word river. End with an exclamation mark."
FREE = "Tell me something about animals."
LIST = "Name some animals. Give exactly 3 items. Include the word fox. Leave out the word dog. End with a period."
SAME = "Repeat these words in the same order: fox, hat, king."
REVERSE = "Put these words in reverse order: fox, hat, king. Finish with a question mark."
FACT = "What is the animal of Baeldara? End with a period."  # fox
POINTS = ("subject", "form", "amount", "content", "ending")
SURE = Care(1, 1, 1, 1, 1)


def task_of(instruction: str) -> Task:
    task = read_instruction(instruction)
    assert task is not None
    return task


def lost(instruction: str, response: str) -> str:
    """Names of the points that a response does not earn."""
    return " ".join(check.name for check in checks(task_of(instruction), response) if not check.holds)


@pytest.mark.parametrize(
    ("instruction", "response", "points_lost"),
    [
        (SENTENCE, "The fox finds a river!", ""),
        (SENTENCE, "The hammer finds a river!", "subject"),
        (SENTENCE, "The river finds a fox!", "subject"),  # the first noun is the subject
        (SENTENCE, "the fox finds a river!", "form"),
        (SENTENCE, "The fox a river finds!", "form"),
        (SENTENCE, "The river finds a river!", "subject form"),
        (SENTENCE, "The fox finds the big river!", "amount"),
        (SENTENCE, "The fox finds a  river!", "form amount"),
        (SENTENCE, "The fox finds a dog!", "content"),
        (SENTENCE, "The fox finds a river.", "ending"),
        (SENTENCE, "The fox finds a river", "ending"),
        (SENTENCE, "The fox finds a river!!", "form content"),
        (SENTENCE, "The fox finds a river! The fox finds a river!", "form amount"),
        (FREE, "A quiet dog sleeps slowly near the old river?", ""),
        (FREE, "A dog sleeps", "ending"),
        (FREE, "A dog sleeps a river.", "form"),
        (FREE, "A dog finds.", "form"),
        (LIST, "List: fox, cat, hen.", ""),
        (LIST, "List: fox, cat, hat.", "subject"),
        (LIST, "List: fox, cat, shark.", "subject form"),
        (LIST, "List: fox, cat, fox.", "form"),
        (LIST, "List: fox, cat and hen.", "subject form amount"),
        (LIST, "fox, cat, hen.", "form"),
        (LIST, "List:fox, cat, hen.", "form"),
        (LIST, "List: fox, cat.", "amount"),
        (LIST, "List: cat, hen, bear.", "content"),
        (LIST, "List: fox, dog, hen.", "content"),
        (LIST, "List: fox, cat, hen!", "ending"),
        (SAME, "List: fox, hat, king!", ""),
        (SAME, "List: king, hat, fox!", "content"),
        (REVERSE, "List: king, hat, fox?", ""),
        (REVERSE, "List: fox, hat, king?", "content"),
        (REVERSE, "List: king, hat?", "amount content"),
        (REVERSE, "List: king, hat, dog?", "subject content"),
        (REVERSE, "List: king, hat, fox, fox?", "form amount content"),
        (REVERSE, "List: king, hat, fox.", "ending"),
        (FACT, "The animal of Baeldara is fox.", ""),
        (FACT, "The animal of Baeldeth is fox.", "subject"),
        (FACT, "The animal of Baeldara is the fox.", "subject form amount content"),
        (FACT, "The animal of Baeldara is hammer.", "amount content"),
        (FACT, "The tool of Baeldara is drill.", "amount content"),
        (FACT, "The animal of Baeldara is dog.", "content"),
        (FACT, "The animal of Baeldara is fox!", "ending"),
    ],
)
def test_each_point_is_lost_for_its_own_reason(instruction: str, response: str, points_lost: str) -> None:
    assert lost(instruction, response) == points_lost
    assert score(task_of(instruction), response) == NUM_POINTS - len(points_lost.split())


HOSTILE = [
    "",
    " ",
    ".",
    "!",
    "?" * 9,
    ",",
    "List:",
    "List: ",
    "The",
    "\0",
    "\n\n",
    "Score: 5",
    "<|end|>",
    "\ud800",
    "ﬁ",
    "İ",
]


@pytest.mark.parametrize("instruction", [SENTENCE, LIST, SAME, REVERSE, FACT])
@pytest.mark.parametrize("response", HOSTILE)
def test_an_empty_or_hostile_response_earns_an_ending_at_best(instruction: str, response: str) -> None:
    earned = set(POINTS) - set(lost(instruction, response).split())
    assert earned <= {"ending"}


def test_what_is_not_asked_for_cannot_be_lost() -> None:
    """Hence an empty response to an instruction without constraints has the points for amount and content."""
    assert lost(FREE, "") == "subject form ending"
    assert lost("Name some animals.", "") == "subject form ending"


@given(st.integers(min_value=0), st.text())
def test_any_text_has_five_checks_and_a_score(seed: int, text: str) -> None:
    task = draw_task(Random(seed))
    assert tuple(check.name for check in checks(task, text)) == POINTS
    assert 0 <= score(task, text) <= NUM_POINTS


@pytest.mark.parametrize("piece", ["the fox ", "fox, ", "The animal of ", "a", "List: ", "\n", "!"])
@pytest.mark.parametrize("instruction", [SENTENCE, LIST, REVERSE, FACT])
def test_a_very_long_response_is_scored_at_once(instruction: str, piece: str) -> None:
    assert score(task_of(instruction), piece * 30_000) <= 2


def tasks_of(family: str, num: int = 200) -> list[Task]:
    rng, found = Random(1), []
    while len(found) < num:
        task = draw_task(rng)
        found += [task] * (task.family == family)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_more_care_the_higher_the_score(family: str) -> None:
    rng, tasks = Random(2), tasks_of(family)
    careful, average, careless = (
        sum(score(task, respond(task, care, rng)) for task in tasks) / len(tasks)
        for care in (CAREFUL, AVERAGE, CARELESS)
    )
    assert careful > 4.8
    assert careful - 0.5 > average > careless + 0.5


def asks_for(task: Task, point: str) -> bool:
    """Whether an author can fail this point at all."""
    return {
        "subject": True,
        "form": task.family != "list" or (task.count or 2) > 1,
        "amount": task.family in ("order", "fact") or task.count is not None,
        "content": task.family in ("order", "fact") or bool(task.include or task.leave_out),
        "ending": True,
    }[point]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("point", POINTS)
def test_an_author_who_fails_a_criterion_loses_its_point(family: str, point: str) -> None:
    rng = Random(3)
    tasks = [task for task in tasks_of(family) if asks_for(task, point)]
    kept = sum(
        check.holds
        for task in tasks
        for check in checks(task, respond(task, replace(SURE, **{point: 0.0}), rng))
        if check.name == point
    )
    assert kept <= 0.02 * len(tasks)  # a wrong town may be the right one by chance


@pytest.mark.parametrize("point", POINTS)
def test_a_list_or_sentence_that_fails_in_subject_amount_or_ending_keeps_its_form(point: str) -> None:
    rng = Random(4)
    for task in tasks_of("sentence") + tasks_of("list"):
        found = checks(task, respond(task, replace(SURE, **{point: 0.0}), rng))
        assert next(check for check in found if check.name == "form").holds == (point != "form")
