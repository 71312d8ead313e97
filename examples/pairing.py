"""A pairing of your own: only prompts on which the judge is sure, by the spread of its votes.

    selfreward run micro-fast --set pairs.name=examples.pairing:sure --to runs/sure

A pairing takes (judgements, the recipe's `pairs`, the run seed) and returns pairs with the counts of their making: whatever is
dropped is counted under a name, and shown.
"""

from collections.abc import Sequence

from selfreward.pairing import Pairing, best_vs_worst
from selfreward.recipe import Pairs
from selfreward.records import Judgement

MOST_APART = 1.0  # points between two votes on one response


def sure(judgements: Sequence[Judgement], settings: Pairs, seed: int) -> Pairing:
    """Best against worst among the responses whose votes lie close together."""
    kept = [one for one in judgements if one.score is not None and _spread(one) <= MOST_APART]
    pairing = best_vs_worst(kept, settings.min_margin, seed, settings.rho)
    return Pairing(pairing.pairs, pairing.counts | {"unsure_responses": len(judgements) - len(kept)})


def _spread(judgement: Judgement) -> float:
    scores = [vote.score for vote in judgement.votes if vote.score is not None]
    return max(scores) - min(scores)
