"""The human seed of the micro-world: the same people each time, average writers, and rankings that err."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfreward.micro.oracle import score
from selfreward.micro.people import draw_held_out, rank_responses, write_ift
from selfreward.micro.tasks import Task, read_instruction, split_of
from selfreward.records import RankedSet, digest

ROOT = Path(__file__).parents[2]


def task_of(instruction: str) -> Task:
    task = read_instruction(instruction)
    assert task is not None
    return task


@pytest.fixture(scope="module")
def ranked() -> list[RankedSet]:
    return rank_responses(200, 3, seed=0, split="train", taken=set())


def test_people_are_the_same_in_every_process() -> None:
    """Whatever the order in which sets of strings are walked."""
    said = (
        "from selfreward.micro.people import *; from selfreward.records import digest;"
        "print(digest(write_ift(20, 3), rank_responses(20, 3, 3, 'dev', set()), draw_held_out(20, 3, 'test')))"
    )
    here = digest(write_ift(20, 3), rank_responses(20, 3, 3, "dev", set()), draw_held_out(20, 3, "test"))
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", said]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == here


def test_another_seed_is_other_people() -> None:
    assert not {e.prompt for e in write_ift(50, 0)} & {e.prompt for e in write_ift(50, 1)}
    assert draw_held_out(20, 0, "test") != draw_held_out(20, 1, "test")


def test_there_are_as_many_as_asked_and_no_instruction_twice(ranked: list[RankedSet]) -> None:
    ift = write_ift(300, 0)
    held_out = draw_held_out(100, 0, "test")
    for texts, num in (
        ([example.prompt for example in ift], 300),
        ([one.prompt for one in ranked], 200),
        ([text for _, text in held_out], 100),
    ):
        assert len(texts) == len(set(texts)) == num
    assert len({example.id for example in ift}) == 300
    assert len({one.id for one in ranked}) == 200


def test_a_smaller_seed_is_the_beginning_of_a_larger_one() -> None:
    assert write_ift(10, 0) == write_ift(30, 0)[:10]


def test_the_parts_stay_in_their_splits_and_out_of_what_is_taken(ranked: list[RankedSet]) -> None:
    taken = {one.prompt for one in ranked[:50]}
    others = rank_responses(100, 3, seed=0, split="train", taken=taken)
    assert not taken & {one.prompt for one in others}
    assert {split_of(one.prompt) for one in ranked} == {"train"}
    assert {split_of(example.prompt) for example in write_ift(100, 0)} == {"train"}
    assert {split_of(one.prompt) for one in rank_responses(20, 3, 0, "dev", set())} == {"dev"}
    assert {split_of(text) for _, text in draw_held_out(50, 0, "test")} == {"test"}


def test_a_set_has_different_responses_in_a_strict_order(ranked: list[RankedSet]) -> None:
    for one in ranked:
        assert len({response.text for response in one.responses}) == 3
        assert [response.rank for response in one.responses] == [0, 1, 2]


def test_people_prefer_the_better_response_mostly_but_not_always(ranked: list[RankedSet]) -> None:
    right = wrong = 0
    for one in ranked:
        points = [score(task_of(one.prompt), response.text) for response in one.responses]
        for i in range(3):
            for j in range(i + 1, 3):
                right += points[i] > points[j]
                wrong += points[i] < points[j]
    assert 0.8 < right / (right + wrong) < 0.97


def test_the_writers_of_the_seed_leave_room_for_improvement() -> None:
    ift = write_ift(400, 0)
    mean = sum(score(task_of(example.prompt), example.response) for example in ift) / len(ift)
    assert 2.5 < mean < 3.7
