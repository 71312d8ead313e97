"""Grades taken together: by category, by turn, and in the paper's two groups of categories (arXiv 2401.10020, section 3.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from selfreward.evaluation.mt_bench.files import REFERENCED, Id, Question, Scores
from selfreward.statistics import mean_ci, prompt_means

HARD, OTHER = "math, coding, reasoning", "other categories"

Row = tuple[Question, int, float | None]  # the turn, from 1, and its score


def mt_bench(questions: Sequence[Question], scores: Scores) -> dict[str, Any]:
    """Means {mean, ci95, n} of scores, 1 to 10: whole, `by_group`, `by_category`, `by_turn`; and counts of turns.

    The unit is the question, whose turns are not independent: a mean is over questions of the mean of those of its turns
    that have a score, n their number. A turn whose score could not be read is `missing`, one without a judgement `unjudged`.
    """
    keys = [(question, turn) for question in questions for turn in range(1, len(question.turns) + 1)]
    rows = [(question, turn, scores.get((question.question_id, turn))) for question, turn in keys]
    groups = {HARD: [row for row in rows if _is_hard(row)], OTHER: [row for row in rows if not _is_hard(row)]}
    categories = list(dict.fromkeys(question.category for question in questions))
    num_turns = max((turn for _, turn in keys), default=0)
    num_judged = sum((question.question_id, turn) in scores for question, turn in keys)
    return {
        "questions": len(questions),
        "turns": len(rows),
        "missing": num_judged - sum(score is not None for _, _, score in rows),
        "unjudged": len(rows) - num_judged,
        "without_reference": sum(not question.reference_of(turn - 1) for question, turn, _ in groups[HARD]),
        "score": _mean(rows),
        "by_group": {name: _mean(some) for name, some in groups.items()},
        "by_category": {name: _mean(row for row in rows if row[0].category == name) for name in categories},
        "by_turn": {str(n): _mean(row for row in rows if row[1] == n) for n in range(1, num_turns + 1)},
    }


def _is_hard(row: Row) -> bool:
    return row[0].category in REFERENCED


def _mean(rows: Iterable[Row]) -> dict[str, Any]:
    """Over questions, of the mean score of each one's turns."""
    by_question: dict[Id, list[float]] = {}
    for question, _, score in rows:
        if score is not None:
            by_question.setdefault(question.question_id, []).append(score)
    return asdict(mean_ci(prompt_means(by_question.values())))
