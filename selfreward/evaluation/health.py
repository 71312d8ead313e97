"""The health of a judge, read off its judgements alone: what it says, whether it can be read, whether it holds.

A judge that always says 4 orders nothing; the paper met it as scores that cluster at 4 without EFT (section 3.2).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, get_args

from selfreward.records import Judgement, VoteFault
from selfreward.statistics import entropy

# An alarm is a hint to look, not a verdict; the limits are chosen by hand.
MOST_SHARE = 0.8  # of readable votes for one score
MOST_TIES = 0.5  # of the pairs of responses to one prompt
LEAST_READABLE = 0.9  # of all votes


def judge_health(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Histograms, entropies in bits, and shares in 0..1 (None where there is nothing to divide by).

    `tie_rate` is over pairs of scored responses to one prompt; `flat_prompts` are those where all scores are equal, out
    of those with two scored responses; `self_agreement` is over pairs of readable votes on one response, and
    `self_distance` is their mean difference in points.
    """
    votes = [vote for judgement in judgements for vote in judgement.votes]
    readable = [vote.score for vote in votes if vote.score is not None]
    scores = [judgement.score for judgement in judgements if judgement.score is not None]
    faults = Counter(vote.fault for vote in votes if vote.fault is not None)
    by_prompt: dict[str, list[float]] = {}
    for judgement in judgements:
        if judgement.score is not None:
            by_prompt.setdefault(judgement.prompt_id, []).append(judgement.score)
    compared = [group for group in by_prompt.values() if len(group) > 1]
    ties, pairs = _equal_pairs(compared)
    repeated = [[vote.score for vote in judgement.votes if vote.score is not None] for judgement in judgements]
    agreeing, vote_pairs = _equal_pairs(repeated)
    distance = math.fsum(abs(a - b) for group in repeated for a, b in combinations(group, 2))
    health: dict[str, Any] = {
        "judgements": len(judgements),
        "unscored": len(judgements) - len(scores),
        "votes": len(votes),
        "readable": _share(len(readable), len(votes)),
        "faults": {fault: _share(faults[fault], len(votes)) for fault in get_args(VoteFault)},
        "vote_histogram": _histogram(readable),
        "score_histogram": _histogram(scores),
        "vote_entropy_bits": entropy(Counter(readable).values()),
        "score_entropy_bits": entropy(Counter(scores).values()),
        "mean_score": _share(math.fsum(scores), len(scores)),
        "tie_rate": _share(ties, pairs),
        "flat_prompts": _share(sum(min(group) == max(group) for group in compared), len(compared)),
        "self_agreement": _share(agreeing, vote_pairs),
        "self_distance": _share(distance, vote_pairs),
    }
    return {**health, "alarms": _alarms(health, Counter(readable))}


def _alarms(health: dict[str, Any], votes: Counter[float]) -> list[str]:
    """One sentence for each thing that a person should look at."""
    alarms = []
    if health["readable"] is not None and health["readable"] < LEAST_READABLE:
        alarms.append(f"only {health['readable']:.0%} of the votes could be read")
    if votes:
        score, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
        if count > MOST_SHARE * votes.total():
            alarms.append(f"{count / votes.total():.0%} of the votes say {score:g}")
    if health["tie_rate"] is not None and health["tie_rate"] > MOST_TIES:
        alarms.append(f"{health['tie_rate']:.0%} of the pairs of responses are tied")
    return alarms


def _histogram(values: Iterable[float]) -> dict[str, int]:
    """Counts by value, two decimals, in ascending order."""
    return dict(Counter(f"{value:.2f}" for value in sorted(values)))


def _equal_pairs(groups: Iterable[Sequence[float]]) -> tuple[int, int]:
    """Pairs within groups: those that are equal, and all."""
    pairs = [a == b for group in groups for a, b in combinations(group, 2)]
    return sum(pairs), len(pairs)


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
