"""The expected score: the judge's own probabilities of 0, 1 .. 5 where its points stand, in place of the points it drew.

Finer than drawn points, so it ties less. The mean is taken over the six candidates alone; where they hold less than half
of the probability, the judge was about to say something other than points, and the vote is unreadable.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from selfreward.engines.base import Engine, Probs, ask_for_tokens
from selfreward.errors import BadInput, StageFailed
from selfreward.judges.votes import before_points
from selfreward.records import Vote

T = TypeVar("T")

POINTS = ("0", "1", "2", "3", "4", "5")
LEAST_SHARE = 0.5  # of all probability


def expect(
    engine: Engine,
    asked: Sequence[tuple[str, Sequence[Vote]]],
    record_of: Callable[[int, list[Vote]], T],  # takes a response's place and its votes
) -> list[T]:
    """What `record_of` makes of each response's votes, with the mean of its points in place of those that a vote drew.

    `asked` are (what the judge was asked, its votes) of each response. A vote that has a fault keeps it: probabilities do not
    make words readable. Where the engine gives up, what it made of responses whose votes it had all read goes along in
    `StageFailed.made`.
    """
    places = [(i, j) for i, (_, votes) in enumerate(asked) for j, vote in enumerate(votes) if vote.fault is None]

    def vote_at(place: int, probs: Probs) -> tuple[tuple[int, int], Vote]:
        i, j = places[place]
        return places[place], expected_vote(probs, asked[i][1][j].text)

    failure: StageFailed | None = None
    try:
        read = dict(_probs(engine, [(asked[i][0], before_points(asked[i][1][j].text)) for i, j in places], vote_at))
    except StageFailed as failed:
        failure, read = failed, dict(failed.made)
    left = {i for i, j in places if (i, j) not in read}
    made = [
        record_of(i, [read.get((i, j), vote) for j, vote in enumerate(votes)])
        for i, (_, votes) in enumerate(asked)
        if i not in left
    ]
    if failure:
        raise StageFailed(str(failure), made=made) from failure
    return made


def expect_directly(
    engine: Engine, prompts: Sequence[str], begin: str, record_of: Callable[[int, list[Vote]], T]
) -> list[T]:
    """As `expect`, of one vote to a prompt without a justification, as the judge would go on after `begin`: its text is empty."""
    return _probs(
        engine, [(prompt, begin) for prompt in prompts], lambda i, probs: record_of(i, [expected_vote(probs, "")])
    )


def _probs(engine: Engine, asked: Sequence[tuple[str, str]], record_of: Callable[[int, Probs], T]) -> list[T]:
    """Of probabilities (items, 6) of the points; StageFailed where they are not one token each to the judge's tokenizer."""
    try:
        return ask_for_tokens(engine, asked, POINTS, record_of)
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
