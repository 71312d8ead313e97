"""Pairs of judgements, which teach a judge (Wu et al. 2024, arXiv 2407.19594, section 2.2).

Of the responses to a prompt, the one on which the judge agrees least with itself is taken, its judgements are compared two by
two, and the best, by an Elo rating that allows for a liking of places, is chosen against the worst.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from selfreward.pairing.base import make_pair
from selfreward.pairing.best_vs_worst import by_prompt
from selfreward.records import Judgement, Pair, Vote, digest

PRIOR = 1e-3  # of the ratings, so that one that won or lost always stays finite; the order is not touched
MOST_WORDS = 100  # of a chosen judgement: what the judge is asked for (arXiv 2401.10020, figure 2)


def least_agreed(judgements: Sequence[Judgement]) -> list[Judgement]:
    """For each prompt the judgement whose votes vary most, where any do; a hash decides between equals."""
    found = []
    for group in by_prompt(judgements):
        spread = {one.id: _variance(one) for one in group}
        most = max(group, key=lambda one: (spread[one.id], digest("spread", one.id)))
        if spread[most.id] > 0:
            found.append(most)
    return found


def readable_votes(judgement: Judgement) -> list[Vote]:
    """The votes of a judgement that can be read and say more than points, each text once."""
    return list({vote.text: vote for vote in judgement.votes if vote.score is not None and vote.text.strip()}.values())


def elo(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratings (n,) whose mean is 0, of battles `wins` (n, n): w[i, j] is the weight of what i won against j.

    They maximise sum w[i, j] log sigmoid(e_i - e_j) less a prior (equation 3).
    """

    def loss(e: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        apart = e[:, None] - e[None, :]
        pull = wins * expit(-apart)
        return (
            float(-(wins * log_expit(apart)).sum() + PRIOR * (e @ e) / 2),
            -(pull.sum(1) - pull.sum(0)) + PRIOR * e,
        )

    found = minimize(loss, np.zeros(len(wins)), jac=True, method="L-BFGS-B").x
    centred: NDArray[np.float64] = found - found.mean()
    return centred


def debiased(
    first: NDArray[np.float64], second: NDArray[np.float64], in_first: float, in_second: float
) -> NDArray[np.float64]:
    """Battles (n, n) from wins in the first place and in the second (n, n): a win in the place that wins more counts less.

    `first[i, j]` is how often i, shown first, won against j; `second[i, j]` how often i won against it when shown second. With
    n1 = `in_first` and n2 = `in_second` wins of all that the judge compared, they weigh n2 / (n1 + n2) and n1 / (n1 + n2)
    (equations 1 and 2).
    """
    if in_first + in_second == 0:
        return first + second
    return (in_second * first + in_first * second) / (in_first + in_second)


def judgement_pair(
    judgement: Judgement, votes: Sequence[Vote], battles: NDArray[np.float64], prompt: str
) -> Pair | str:
    """The best of a judgement's votes against the worst as answers to the judge's `prompt`; or why there is no pair."""
    ratings = elo(battles)
    best, worst = int(ratings.argmax()), int(ratings.argmin())
    if not ratings[best] - ratings[worst] > 1e-6:
        return "tie"
    if len(votes[best].text.split()) > MOST_WORDS:
        return "over_long"
    sides = [(vote_id(judgement, votes[i]), votes[i].text, float(ratings[i])) for i in (best, worst)]
    return make_pair((judgement.id, prompt), sides[0], sides[1])


def vote_id(judgement: Judgement, vote: Vote) -> str:
    """The id of a vote, as a response to a judge's prompt."""
    return digest("vote", judgement.id, vote.text)


def _variance(judgement: Judgement) -> float:
    scores = [vote.score for vote in readable_votes(judgement) if vote.score is not None]
    return float(np.var(scores)) if len(scores) > 1 else 0.0
