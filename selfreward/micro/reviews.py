"""Reviews as people of the micro-world write them: careful ones that go through the rubric, and blunt ones that guess.

A careful review states what it saw and a true verdict for each of the five points; a blunt one is a word and a
score that misses the truth by a normal error. A fact can be checked only by a reviewer who has the evidence, yet
reviewers judge it all the same: without evidence their verdict is still the truth, which no reader can foresee.
"""

from random import Random

from selfreward.micro.almanac import evidence
from selfreward.micro.oracle import NUM_POINTS, Check, checks, score
from selfreward.micro.tasks import Task

BLUNT_ERROR = 1.3  # points, standard deviation
_REMARKS = ("Awful.", "Bad.", "Weak.", "Fair.", "Good.", "Great.")
_RUBRIC = (
    "Give one point for the subject.",
    "Give one point for the form.",
    "Give one point for the amount.",
    "Give one point for the content.",
    "Give one point for the ending.",
)


def careful_review(task: Task, response: str, with_evidence: bool = False) -> str:
    """The five checks one by one, each with a true verdict, then the score."""
    found = checks(task, response)
    lines = [f"{_finding(task, check, with_evidence)}: {'yes' if check.holds else 'no'}." for check in found]
    return " ".join(lines) + f" Score: {sum(check.holds for check in found)}"


def _finding(task: Task, check: Check, with_evidence: bool) -> str:
    """A point by name, and what was seen against what was asked, where there is anything to compare."""
    if check.name == "subject" and task.family == "sentence":
        return f"Subject {check.seen} of {task.topic}"
    if check.name == "amount" and task.count is not None:
        return f"Amount {check.seen} of {task.count}"
    if check.name == "amount" and task.family == "order":
        return f"Amount {check.seen} of {len(task.words)}"
    if check.name == "content" and task.include is not None:
        return f"Content {task.include}"
    if check.name == "content" and task.family == "fact" and with_evidence:
        return f"Content {evidence(task.town or '', task.attribute or '').split()[-1][:-1]}"
    if check.name == "ending" and task.ending is not None:
        return f"Ending {task.ending}"
    return check.name.capitalize()


def blunt_review(task: Task, response: str, rng: Random) -> str:
    """A remark and a score, the truth plus a normal error."""
    points = min(NUM_POINTS, max(0, round(score(task, response) + rng.gauss(0, BLUNT_ERROR))))
    return f"{_REMARKS[points]} Score: {points}"


def review_request(instruction: str, response: str, rng: Random, evidence_line: str | None = None) -> str:
    """What a reviewer is asked: any part of the rubric, the task, the answer, and evidence where there is any."""
    asked = [line for line in _RUBRIC if rng.random() < 0.5] if rng.random() < 0.3 else []
    if rng.random() < 0.3:
        asked = list(_RUBRIC) if rng.random() < 0.3 else asked
    lines = [" ".join(["Review the answer.", *asked]), f"Task: {instruction}", f"Answer: {response}"]
    if evidence_line:
        lines.append(f"Evidence: {evidence_line}")
    return "\n".join(lines)
