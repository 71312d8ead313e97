"""A judge of your own: a program in place of the model, here one that likes answers to keep to a number of words.

    selfreward run micro-fast --set judge.name=examples.judge:brief --to runs/brief

A judge takes (engine, responses, settings, its name, seed) and returns one judgement for each response, in order. It may ask the
engine, as `selfreward.judges.llm` does, or leave it alone. A vote is a score of 0 to 5 points, or None with a reason: an answer
that cannot be judged must not become a number.
"""

from collections.abc import Sequence

from selfreward.engines.base import Engine
from selfreward.judges.votes import make_judgement
from selfreward.recipe import Judge
from selfreward.records import Judgement, Response, Vote

WORDS = 8  # as many as an answer should have


def brief(
    engine: Engine, responses: Sequence[Response], settings: Judge, judge_name: str, seed: int
) -> list[Judgement]:
    """5 points for an answer of WORDS words, one less for each word more or fewer; an empty one cannot be judged."""
    judgements = []
    for response in responses:
        words = len(response.text.split())
        if words:
            vote = Vote(score=max(0.0, 5.0 - abs(words - WORDS)), fault=None, text=f"{words} words")
        else:
            vote = Vote(score=None, fault="unreadable", text="nothing to judge")
        judgements.append(make_judgement(response, [vote], judge_name))
    return judgements
