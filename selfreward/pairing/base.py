"""What all pairings give: pairs, and how many prompts were dropped for which reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from selfreward.records import Pair, digest

COUNTED = (
    "prompts",
    "pairs",
    "tie",  # prompts dropped: best and worst have the same score
    "too_few_scored",  # prompts dropped: fewer than two scored responses
    "small_margin",  # prompts dropped: best and worst are closer than the least margin
    "identical_text",  # prompts dropped: the best and the worst say the same
    "tied_best",  # prompts kept, where several responses share the highest score
    "tied_worst",  # prompts kept, where several responses share the lowest score
    "unscored_responses",
)

Side = tuple[str, str, float]  # id, text and score of a response


@dataclass(frozen=True)
class Pairing:
    """The pairs, and the counts of their making: `prompts` and `pairs` always, and what was dropped why."""

    pairs: Sequence[Pair]
    counts: dict[str, int]


def make_pair(prompt: tuple[str, str], chosen: Side, rejected: Side, weight: float = 1.0, whole: bool = True) -> Pair:
    """The pair of two responses to a prompt (id, text); ValueError unless the chosen one's score is the higher."""
    return Pair(
        id=digest("pair", prompt[0], chosen[0], rejected[0]),
        prompt_id=prompt[0],
        prompt=prompt[1],
        chosen_id=chosen[0],
        chosen=chosen[1],
        chosen_score=chosen[2],
        rejected_id=rejected[0],
        rejected=rejected[1],
        rejected_score=rejected[2],
        margin=chosen[2] - rejected[2],
        weight=weight,
        whole=whole,
    )


def joined(pairing: Pairing, others: Sequence[Pair], name: str) -> Pairing:
    """A pairing with more pairs behind its own, counted under a name; those it has already are left out."""
    held = {pair.id for pair in pairing.pairs}
    more = [pair for pair in others if pair.id not in held]
    pairs = [*pairing.pairs, *more]
    return Pairing(pairs, pairing.counts | {"pairs": len(pairs), name: len(more)})
