"""Judges: what gives a response its score. `llm.py` asks a model, `shown.py` says what it is shown, `votes.py` reads what it
answers and `expected.py` its probabilities; `grounded.py` shows it what a database says (`evidence.py`). `pairwise.py` asks which
of two texts is better.

A judge takes (engine, responses, settings, judge_name, seed) and returns one judgement for each response, in order.
One of a user's own is named in the recipe as `package.module:function`.
"""

from collections.abc import Callable, Sequence

from selfreward.engines.base import Engine
from selfreward.judges import grounded, llm
from selfreward.named import find
from selfreward.recipe import Judge
from selfreward.records import Judgement, Response

JUDGES: dict[str, Callable[[Engine, Sequence[Response], Judge, str, int], list[Judgement]]] = {
    "llm": llm.judge,
    "grounded": grounded.judge,
}


def open_judge(name: str) -> Callable[[Engine, Sequence[Response], Judge, str, int], list[Judgement]]:
    """The judge of this name; BadInput where there is none."""
    return find(name, JUDGES, "judge.name")
