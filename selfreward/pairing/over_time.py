"""Pairs over time: the past may give the worst response, the future the best (Temporal Self-Rewarding, arXiv 2508.06026).

As a model improves, its best and worst responses come to resemble one another, and DPO has less to learn from; older and newer
models' keep them apart.
"""

from collections.abc import Iterable, Sequence

from selfreward.pairing.base import Pairing
from selfreward.pairing.best_vs_worst import best_vs_worst
from selfreward.recipe import Pairs
from selfreward.records import Judgement, Response


def past_vs_future(
    judgements: Sequence[Judgement],
    past: Iterable[Response],
    future: Iterable[Response],
    settings: Pairs,
    seed: int = 0,
) -> Pairing:
    """One pair a prompt: the best of present and future against the worst of present and past, by the recipe's `pairs`.

    `judgements` are of all three; a response of the past is never chosen, one of the future never rejected.
    """
    old, new = {one.id for one in past}, {one.id for one in future}
    return best_vs_worst(
        judgements, settings.min_margin, seed, settings.rho, may_choose=lambda one: one.response_id not in old,
        may_reject=lambda one: one.response_id not in new,
    )  # fmt: skip
