"""Judging again: in another process, which says why it cannot, may die, and writes nothing into the run."""

import json
import sys
import time
from pathlib import Path

import pytest

from selfreward.records import Judgement, Vote
from selfreward.viewer import judging
from selfreward.viewer.judging import Question
from selfreward.viewer.workers import MOST_KEPT, Job, Workers

SAID = Judgement(
    id="j", response_id="r", prompt_id="p", prompt="p", response="r", judge="m1", votes=(Vote(score=4.0, fault=None, text="x"),),
    score=4.0, coverage=1.0,
)  # fmt: skip
QUESTION = Question(run=Path("runs/x"), model="m1", prompt="p", response="r", votes=1)
FAKE = f"""
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["response"] == "die":
        sys.exit(9)
    print(json.dumps({{"error": "no"}} if asked["response"] == "no" else {{"judgement": {SAID.model_dump()!r}}}), flush=True)
"""


def answered(workers: Workers, response: str) -> Job:
    job = workers.ask(QUESTION.model_copy(update={"response": response}), "m1")
    begin = time.monotonic()
    while not job.is_over and time.monotonic() - begin < 30:
        time.sleep(0.01)
    return job


def test_questions_are_answered_one_by_one_and_a_process_that_dies_is_started_again() -> None:
    workers = Workers([sys.executable, "-c", FAKE])
    try:
        assert answered(workers, "good").judgement == SAID
        assert answered(workers, "no").error == "no"
        assert answered(workers, "die").error == "the process that judges ended: exit code 9"
        assert answered(workers, "good").judgement == SAID
    finally:
        workers.close()


def test_no_process_is_started_before_the_first_question_and_old_answers_are_forgotten() -> None:
    workers = Workers([sys.executable, "-c", FAKE])
    try:
        assert workers._process is None
        jobs = [workers.ask(QUESTION.model_copy(update={"votes": n}), "m1") for n in range(MOST_KEPT + 1)]
        assert workers.job(jobs[0].id) is None and workers.job(jobs[-1].id) is jobs[-1]
        assert len({job.id for job in jobs}) == len(jobs)
    finally:
        workers.close()


def test_what_cannot_be_judged_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such run or model" in str(
        judging.answer(QUESTION.model_copy(update={"run": tmp_path / "none"}))["error"]
    )

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("in a\nmodel")

    monkeypatch.setattr(judging, "judge_one", broken)
    assert judging.answer(QUESTION) == {"error": "ZeroDivisionError: in a model"}


def test_a_judgement_is_what_the_ask_command_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "judge_one", lambda *asked: SAID)
    assert json.loads(json.dumps(judging.answer(QUESTION))) == {"judgement": json.loads(SAID.model_dump_json())}
