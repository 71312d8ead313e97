"""MT-Bench of one model, in a folder: its answers, made or given, a judge's grades, and the result."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.engines.opening import opened
from selfreward.evaluation.answers import identity
from selfreward.evaluation.mt_bench.answering import answer
from selfreward.evaluation.mt_bench.files import Answer, Grade, Question, read_answers, read_questions
from selfreward.evaluation.mt_bench.judging import Asked, grade, grade_id, turns_to_judge
from selfreward.evaluation.mt_bench.table import mt_bench
from selfreward.evaluation.pinned import Pinned, open_folder
from selfreward.progress import Progress
from selfreward.store import RunFolder

PIN_FILE = "mt_bench.json"
ANSWERS_FILE = "answers.jsonl"
GRADES_FILE = "grades.jsonl"
RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Job:
    """Whose answers to what are graded."""

    questions: Path
    references: Path | None
    side: Path  # a file of answers, or RUN/mK


def folder_of(job: Job, judge: Pinned, to: Path | None) -> Path:
    """The folder of a job and a judge; see `pinned.open_folder`."""
    said = {
        "questions": _hash(job.questions),
        "references": None if job.references is None else _hash(job.references),
        "answers": identity(job.side),
        "judge": judge.pin,
    }
    return open_folder(PIN_FILE, said, to)


def measure(job: Job, judge: Pinned, to: Path | None, progress: Progress) -> dict[str, Any]:
    """See `mt_bench`; besides `model`, `judge` (its pin), `folder`, `unfinished` and `blank` answers, `faults` of the judge.

    Answers and grades are kept in the folder, and only what it does not hold is made.
    """
    questions = read_questions(job.questions, job.references)
    is_file = job.side.is_file() or job.side.suffix == ".jsonl"  # a mistyped file is no run
    given = read_answers(job.side, questions) if is_file else None
    folder = folder_of(job, judge, to)
    answers = _answers(job.side, questions, folder, progress) if given is None else given
    grades = _grades(turns_to_judge(questions, answers), judge, folder, progress)
    found = {
        **mt_bench(questions, {(one.question_id, one.turn): one.score for one in grades}),
        "model": answers[0].model_id or job.side.stem,
        "unfinished": sum(one.unfinished for one in answers),
        "blank": sum(not text.strip() for one in answers for text in one.choices[0].turns),
        "faults": dict(Counter(one.fault for one in grades if one.fault)),
        "judge": judge.pin,
        "folder": str(folder),
    }
    store.write_json(folder / RESULT_FILE, found)
    return found


def _answers(model: Path, questions: list[Question], folder: Path, progress: Progress) -> list[Answer]:
    run = RunFolder(model.parent)
    recipe, weights = run.recipe(), run.model_path(model.name)
    with opened(recipe.engine) as engines:
        return list(
            store.fill(
                folder / ANSWERS_FILE,
                Answer,
                questions,
                lambda question: str(question.question_id),
                lambda batch: answer(engines.of(weights), batch, model.name, recipe.seed),
                recipe.engine.batch_size,
                progress,
            )
        )


def _grades(asked: list[Asked], judge: Pinned, folder: Path, progress: Progress) -> list[Grade]:
    with opened(judge.engine) as engines:
        return list(
            store.fill(
                folder / GRADES_FILE,
                Grade,
                asked,
                grade_id,
                lambda batch: grade(engines.of(judge.folder), batch, judge.name, judge.template),
                judge.engine.batch_size,
                progress,
            )
        )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
