"""AlpacaEval's annotations made by a judge of one's own, and its file of outputs for a model of a run.

AlpacaEval shows each pair once, in an order drawn at random; here it is shown in both, and the preference is the mean: a judge
that prefers a place then says 1.5. An unreadable verdict leaves no preference.
"""

import hashlib
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.errors import BadInput
from selfreward.evaluation.answers import Answers, answer, identity, read_instructions
from selfreward.evaluation.match import meet
from selfreward.evaluation.pinned import EVALS, Pinned
from selfreward.judges.pairwise import Meeting
from selfreward.progress import Progress
from selfreward.records import digest

ANNOTATIONS_FILE = "annotations.json"


def annotate(model: Answers, reference: Answers, judge: Pinned, folder: Path, progress: Progress) -> Path:
    """Writes annotations.json of a model against a reference, in the order of the reference's outputs."""
    meetings = {meeting.prompt: meeting for meeting in meet((model, reference), judge, folder, progress)}
    path = folder / ANNOTATIONS_FILE
    rows = [_row(meetings[instruction], model, reference, judge) for instruction in reference.texts]
    store.write_json(path, rows)
    return path


def preference(meeting: Meeting) -> float | None:
    """1..2 of a meeting, 2 where model 1 is better; None where an order has no readable verdict."""
    shares = []
    for verdict in meeting.verdicts:
        if verdict.winner is None:
            return None
        shares.append({1: 1.0, 2: 0.0, 0: 0.5}[verdict.winner] if verdict.share is None else verdict.share)
    return 1 + sum(shares) / len(shares)


def write_outputs(side: Path, prompts: Path, target: Path, progress: Progress) -> int:
    """Writes model_outputs.json, a new file, with the answers of RUN/mK to a file of prompts; returns how many.

    The answers are kept under evals/, so that a writing that was interrupted goes on.
    """
    if target.exists():
        raise BadInput("is there already", target, "give a new file")
    asked = read_instructions(prompts)
    folder = EVALS / digest("outputs", identity(side), hashlib.sha256(prompts.read_bytes()).hexdigest())
    answers = answer(side, asked, folder, progress)
    rows: list[dict[str, Any]] = [
        {"instruction": text, "output": output, "generator": answers.name, "dataset": asked[text].category}
        for text, output in answers.texts.items()
    ]
    store.write_json(target, rows)
    return len(rows)


def _row(meeting: Meeting, model: Answers, reference: Answers, judge: Pinned) -> dict[str, Any]:
    return {
        "instruction": meeting.prompt,
        "output_1": meeting.answer_2,
        "generator_1": reference.name,
        "dataset": reference.kinds[meeting.prompt].category,
        "output_2": meeting.answer_1,
        "generator_2": model.name,
        "annotator": f"{judge.name} {digest(judge.pin)}",
        "preference": preference(meeting),
    }
