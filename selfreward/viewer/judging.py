"""The process that judges again: it alone loads models, and writes nothing into a run.

    python -m selfreward.viewer.judging

reads a `Question` as a line of JSON from its input, answers with a line, `{"judgement": ...}` or `{"error": ...}`, and ends
with its input, so that it does not outlive the server.
"""

import json
import os
import sys
from pathlib import Path
from typing import IO

from selfreward.asking import judge_one
from selfreward.errors import BadInput, StageFailed
from selfreward.records import Record


class Question(Record):
    """What is to be judged, and by which model."""

    run: Path
    model: str  # m1, m2 ...
    prompt: str
    response: str
    votes: int


def answer(question: Question) -> dict[str, object]:
    """The judgement, or in one line why there is none."""
    try:
        judgement = judge_one(question.run / question.model, question.prompt, question.response, question.votes)
    except (BadInput, StageFailed) as error:
        return {"error": str(error)}
    except Exception as error:  # a model that does not load must not end the process
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    return {"judgement": judgement.model_dump()}


def _answers() -> IO[str]:
    """Where answers go; whatever else is printed, by a library of a model's, goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def main() -> None:
    """The command above."""
    with _answers() as answers:
        for line in sys.stdin:
            print(json.dumps(answer(Question.model_validate_json(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
