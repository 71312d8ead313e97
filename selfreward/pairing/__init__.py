"""From judgements to pairs and examples: pure functions of records, one small file for each way.

`best_vs_worst` is the paper's (arXiv 2401.10020, section 2.3); `people` has pairs that people's data give, `rewards` what
other numbers than votes are worth, `consistency` votes by agreement, `judging` pairs of judgements, `steps` pairs that part in
one step.
"""

from collections.abc import Callable, Sequence

from selfreward import recipe
from selfreward.pairing.base import COUNTED, Pairing, joined, make_pair
from selfreward.pairing.best_vs_worst import best_vs_worst, by_prompt, positives
from selfreward.records import Judgement


def _best_vs_worst(judgements: Sequence[Judgement], settings: recipe.Pairs, seed: int) -> Pairing:
    return best_vs_worst(judgements, settings.min_margin, seed, settings.rho)


# A pairing takes (judgements, the recipe's `pairs`, the run seed). One of a user's own is named as `package.module:function`.
PAIRINGS: dict[str, Callable[[Sequence[Judgement], recipe.Pairs, int], Pairing]] = {"best_vs_worst": _best_vs_worst}

__all__ = ["COUNTED", "PAIRINGS", "Pairing", "best_vs_worst", "by_prompt", "joined", "make_pair", "positives"]
