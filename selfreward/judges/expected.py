"""The expected score: the judge's own probabilities of 0, 1 .. 5 where its points stand, in place of the points it drew.

Finer than drawn points, so it ties less. The mean is taken over the six candidates alone; where they hold less than half
of the probability, the judge was about to say something other than points, and the vote is unreadable.
"""

import math
from collections.abc import Sequence

from selfreward.engines.base import Engine
from selfreward.errors import BadInput, StageFailed
from selfreward.judges.votes import before_points
from selfreward.records import Vote

POINTS = ("0", "1", "2", "3", "4", "5")
LEAST_SHARE = 0.5  # of all probability


def expect(engine: Engine, prompts: Sequence[str], votes: Sequence[Vote]) -> list[Vote]:
    """Each vote with the mean of its points in place of those it drew; `prompts` are what each was an answer to.

    A vote that has a fault keeps it: probabilities do not make words readable.
    """
    asked = [
        (prompt, before_points(vote.text)) for prompt, vote in zip(prompts, votes, strict=True) if vote.fault is None
    ]
    found = iter(_probs(engine, asked))
    return [vote if vote.fault is not None else expected_vote(next(found), vote.text) for vote in votes]


def expect_directly(engine: Engine, prompts: Sequence[str], begin: str) -> list[Vote]:
    """One vote to a prompt without a justification, as the judge would go on after `begin`: its text is empty."""
    return [expected_vote(probs, "") for probs in _probs(engine, [(prompt, begin) for prompt in prompts])]


def _probs(engine: Engine, asked: Sequence[tuple[str, str]]) -> list[tuple[float, ...] | None]:
    """Probabilities (items, 6) of the points; StageFailed where they are not one token each to the judge's tokenizer."""
    try:
        return engine.score_tokens(asked, POINTS)
    except BadInput:
        raise
    except ValueError as error:
        what = f"the judge's tokenizer has no tokens for points: {error}"
        raise StageFailed(what, "judge.read", "read votes (judge.read: votes)") from error


def expected_vote(probs: Sequence[float] | None, text: str) -> Vote:
    """The vote that probabilities (6,) of the points give; `too_long` where there are none, as the prompt did not fit."""
    if probs is None:
        return Vote(score=None, fault="too_long", text=text)
    if not math.fsum(probs) >= LEAST_SHARE:  # nan is no share either
        return Vote(score=None, fault="unreadable", text=text, probs=tuple(probs))
    score = math.fsum(p * points for points, p in enumerate(probs)) / math.fsum(probs)
    return Vote(score=score, fault=None, text=text, probs=tuple(probs))
