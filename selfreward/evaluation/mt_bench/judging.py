"""Grades of answers, 1 to 10, by a judge that sees the chat so far, and references where the category has them."""

import re
from collections.abc import Sequence

from selfreward.engines.base import Completion, Engine, Request, Sampling, ask
from selfreward.evaluation.mt_bench.files import Answer, Grade, Question
from selfreward.records import VoteFault, seed_of
from selfreward.templates import render

SAMPLING = Sampling(temperature=0.0, top_p=1.0, max_tokens=1024)  # greedy, as published
_VERDICT = re.compile(r"[*_]*Grade: \[(\d{1,4}(?:\.\d{1,4})?)\][*_.]*")

Asked = tuple[Question, Answer, int]  # the turn, from 1


def turns_to_judge(questions: Sequence[Question], answers: Sequence[Answer]) -> list[Asked]:
    """Every turn of every question with its answer."""
    pairs = zip(questions, answers, strict=True)
    return [(question, answer, turn + 1) for question, answer in pairs for turn in range(len(question.turns))]


def grade_id(asked: Asked) -> str:
    """The id of the grade of a turn."""
    question, _, turn = asked
    return f"{question.question_id} turn {turn}"


def grade(engine: Engine, asked: Sequence[Asked], judge: str, template: str) -> list[Grade]:
    """One grade for each turn, in order; StageFailed where the engine gives up, with those that were `made`."""
    requests = [
        Request(grade_id(one), judge_prompt(one, template), 1, seed_of("mt-bench", judge, grade_id(one)))
        for one in asked
    ]
    return ask(engine, requests, SAMPLING, lambda i, completions: _grade(asked[i], completions[0], judge))


def judge_prompt(asked: Asked, template: str) -> str:
    """What the judge is asked of a turn: the chat up to it."""
    question, answer, turn = asked
    said = zip(question.turns, answer.choices[0].turns, strict=True)
    turns = [
        {"prompt": prompt, "response": response, "reference": question.reference_of(i)}
        for i, (prompt, response) in enumerate(said)
    ]
    return render("turn", template, turns=turns[:turn])


def read_grade(text: str, finished: bool) -> tuple[float | None, VoteFault | None]:
    """(score, fault) of a judge's completion; only its last line that is not blank can be a verdict: `Grade: [7]`.

    Nothing else is taken for one: a number elsewhere may be a quotation, a reference's or the answer's own.
    """
    lines = text.split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    found = _VERDICT.fullmatch(last)
    if found is None:
        return None, "unreadable" if finished else "truncated"
    score = float(found[1])
    return (score, None) if 1 <= score <= 10 else (None, "out_of_range")


def _grade(asked: Asked, completion: Completion, judge: str) -> Grade:
    question, answer, turn = asked
    score, fault = read_grade(completion.text, completion.finished)
    if completion.refused:
        score, fault = None, "refused"
    elif fault == "truncated" and completion.num_tokens is not None and completion.num_tokens < SAMPLING.max_tokens:
        fault = "too_long"  # the end of the judge's context cut it off
    return Grade(
        id=grade_id(asked),
        question_id=question.question_id,
        turn=turn,
        model_id=answer.model_id,
        judge=judge,
        score=score,
        fault=fault,
        text=completion.text,
    )
