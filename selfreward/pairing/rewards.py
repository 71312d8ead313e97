"""What responses are worth by other numbers than a judge's points, as judgements that pairings take.

Implicit rewards (Rafailov et al. 2023, arXiv 2305.18290, equation 5; DICE, arXiv 2406.09760), their consistency (CREAM, arXiv
2410.12735) and win probabilities (SPPO, arXiv 2405.00675).
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from scipy.stats import kendalltau

from selfreward.judges.votes import make_judgement
from selfreward.pairing.best_vs_worst import by_prompt
from selfreward.records import Judgement, Response, Vote

MOST_STEPS = 200  # of the search for a length penalty


def implicit_rewards(
    responses: Sequence[Response], policy: Mapping[str, float], base: Mapping[str, float], judge: str
) -> list[Judgement]:
    """Judgements whose score is log p(response) under the policy minus that under its base, nats, by response id."""
    return [_scored(one, policy[one.id] - base[one.id], judge) for one in responses]


def consistency(judgements: Sequence[Judgement], before: Sequence[Judgement]) -> float:
    """How alike two models rank the responses to a prompt: mean over prompts of (Kendall's tau + 1) / 2, 0..1.

    Joined by response id. Prompts where either ranks nothing (all equal, or one response) say nothing; 1 where all do.
    """
    scores = {judgement.response_id: judgement.score for judgement in before}
    taus = []
    for group in by_prompt(judgements):
        tau = kendalltau([one.score for one in group], [scores[one.response_id] for one in group]).statistic
        if np.isfinite(tau):
            taus.append((float(tau) + 1) / 2)
    return fmean(taus) if taus else 1.0


def length_regularised(judgements: Sequence[Judgement]) -> tuple[list[Judgement], float]:
    """The judgements with score - penalty x characters, and the penalty: that at which the best responses to the prompts are
    on average as long as the worst (DICE, arXiv 2406.09760, section 3.2).

    The least such penalty at or above 0 is taken, by bisection; 0 where the best are no longer than the worst.
    """
    groups = [
        (np.array([one.score for one in group], float), np.array([len(one.response) for one in group], float))
        for group in by_prompt(judgements)
        if len(group) > 1 and all(one.score is not None for one in group)
    ]

    def longer(penalty: float) -> float:
        gaps = []
        for scores, chars in groups:
            worth = scores - penalty * chars
            gaps.append(chars[worth.argmax()] - chars[worth.argmin()])
        return fmean(gaps) if gaps else 0.0

    low, high = 0.0, 0.0
    if longer(0.0) > 0:
        high = 1e-3
        while longer(high) > 0 and high < 1e6:
            low, high = high, 2 * high
        for _ in range(MOST_STEPS):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            low, high = (middle, high) if longer(middle) > 0 else (low, middle)
    return [_rescored(one, -high * len(one.response)) for one in judgements], high


def win_probabilities(judgements: Sequence[Judgement], are_wins: bool = False) -> list[Judgement]:
    """Judgements whose score is the probability that a response beats one of those to its prompt, itself included.

    Every vote on the one is set against every vote on the other, equal ones count half; where votes `are_wins`, one against
    each of the others, they say it themselves. Responses without a readable vote have no score and beat nobody.
    """
    found = []
    for group in by_prompt(judgements):
        votes = [np.array([vote.score for vote in one.votes if vote.score is not None], float) for one in group]
        scored = [points for points in votes if len(points)]
        for one, points in zip(group, votes, strict=True):
            if not len(points):
                found.append(_with_score(one, None))
                continue
            if are_wins:
                wins = [*points, 0.5]  # the half is against itself
            else:
                wins = [(points[:, None] > others).mean() + (points[:, None] == others).mean() / 2 for others in scored]
            found.append(_with_score(one, float(np.mean(wins))))
    return found


def _scored(response: Response, score: float, judge: str) -> Judgement:
    """A judgement of one vote without words."""
    return make_judgement(response, [Vote(score=score, fault=None, text="")], judge)


def _with_score(judgement: Judgement, score: float | None) -> Judgement:
    return judgement.model_copy(update={"score": score})


def _rescored(judgement: Judgement, more: float) -> Judgement:
    return _with_score(judgement, None if judgement.score is None else judgement.score + more)
