"""Strict and loose accuracy of responses (arXiv 2311.07911), by prompt and by instruction."""

from collections.abc import Sequence
from typing import Any

from selfreward.evaluation.ifeval.base import Instruction
from selfreward.evaluation.ifeval.reading import Task
from selfreward.statistics import wilson

_READINGS = ("strict", "loose")


def ifeval(tasks: Sequence[Task], responses: Sequence[str]) -> dict[str, Any]:
    """`{strict, loose}`, each with `prompt` and `instruction` as {value, ci95, n}; the latter also `by_group`, `by_instruction`.

    A prompt counts where all its instructions are followed. Shares are in 0..1. ValueError where the numbers of tasks and
    responses differ.
    """
    followed = {
        "strict": [_followed(task, [text]) for task, text in zip(tasks, responses, strict=True)],
        "loose": [_followed(task, variants(text)) for task, text in zip(tasks, responses, strict=True)],
    }
    ids = [[id for id, _ in task.instructions] for task in tasks]
    groups = [[id.partition(":")[0] for id in names] for names in ids]
    counts = {"prompts": len(tasks), "instructions": sum(map(len, ids)), "blank": sum(not r.strip() for r in responses)}
    return counts | {
        reading: {
            "prompt": _share([[all(one)] for one in followed[reading]]),
            "instruction": _share(followed[reading]),
            "by_group": _by(groups, followed[reading]),
            "by_instruction": _by(ids, followed[reading]),
        }
        for reading in _READINGS
    }


def variants(response: str) -> list[str]:
    """The eight forms of a response of which one must follow an instruction for it to be followed loosely.

    With and without stars, each whole, without its first line, without its last, and without both.
    """
    lines = response.split("\n")
    parts = [response, *("\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*parts, *(part.replace("*", "") for part in parts)]


def _followed(task: Task, forms: Sequence[str]) -> list[bool]:
    return [_is_followed(instruction, forms) for _, instruction in task.instructions]


def _is_followed(instruction: Instruction, forms: Sequence[str]) -> bool:
    """Whether one of the forms follows it; what is blank follows nothing."""
    return any(form.strip() and instruction.is_followed(form) for form in forms)


def _by(names: Sequence[Sequence[str]], followed: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """A share for each name, in alphabetical order."""
    rows = [list(zip(*pair, strict=True)) for pair in zip(names, followed, strict=True)]
    every = sorted({name for some in names for name in some})
    return {name: _share([[holds for other, holds in row if other == name] for row in rows]) for name in every}


def _share(by_prompt: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """The share of instructions that are followed, with an interval in which no prompt counts twice.

    Instructions of one prompt are followed or not by one response, so the interval is Wilson's for as many trials as Kish's
    effective number (1965) of prompts, which is their number where all have equally many: never too narrow on that account,
    nor of width 0 where all are followed.
    """
    sizes = [len(some) for some in by_prompt]
    n, right = sum(sizes), sum(map(sum, by_prompt))
    if not n:
        return {"value": None, "ci95": None, "n": 0}
    trials = n * n // sum(size * size for size in sizes)
    return {"value": right / n, "ci95": wilson(right / n * trials, trials), "n": n}
