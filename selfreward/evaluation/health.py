"""The health of a judge, read off its judgements alone: what it says, whether it can be read, whether it holds.

A judge that always says 4 orders nothing; the paper met it as scores that cluster at 4 without EFT (section 3.2).
"""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, get_args

from selfreward.pairing import by_prompt
from selfreward.records import Judgement, Vote, VoteFault
from selfreward.statistics import entropy, mean_ci, prompt_means, wilson

FAULTS: tuple[VoteFault, ...] = get_args(VoteFault)

# An alarm is a hint to look, not a verdict; the limits are chosen by hand.
MOST_SHARE = 0.8  # of readable votes for one score
MOST_TIES = 0.5  # of the pairs of responses to one prompt
LEAST_READABLE = 0.9  # of all votes


def judge_health(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Counts, histograms of counts, entropies in bits, and shares in 0..1, as {value, ci95, n}.

    The unit is the prompt: a share is the mean over prompts of each prompt's share, of its votes (`readable`,
    `faults`), of the pairs of its scored responses (`tie_rate`), of the pairs of readable votes on one response that say
    the same (`self_agreement`); `flat_prompts` are those with two scored responses or more whose scores are all equal. n is the
    number of prompts that have any of these, and the value is None where that is 0. `mean_score` and `self_distance`,
    how far apart two votes on one response are, are means over prompts in points, as {mean, ci95, n}. What a vote says are
    its points; of one that was read from probabilities, the likeliest.
    """
    readable: Counter[float] = Counter()
    points: Counter[float] = Counter()
    counts = Counter(judgements=0, unscored=0, of_cut_responses=0, votes=0)
    means: defaultdict[str, array[float]] = defaultdict(
        lambda: array("d")
    )  # of each prompt that has any; not its texts
    for group in by_prompt(judgements):
        votes = [vote for judgement in group for vote in judgement.votes]
        scores = [judgement.score for judgement in group if judgement.score is not None]
        distances = _distances(scores)
        readable.update(_said(vote) for vote in votes if vote.score is not None)
        points.update(scores)
        counts.update(
            judgements=len(group), unscored=len(group) - len(scores), votes=len(votes),
            of_cut_responses=sum(judgement.cut > 0 for judgement in group),
        )  # fmt: skip
        of_prompt: dict[str, Sequence[float]] = {
            "readable": [vote.fault is None for vote in votes],
            **{fault: [vote.fault == fault for vote in votes] for fault in FAULTS},
            "mean_score": scores,
            "tie_rate": [distance == 0 for distance in distances],
            "flat_prompts": [max(distances) == 0] if distances else [],
            "self_agreement": [a == b for judgement in group for a, b in combinations(_all_said(judgement), 2)],
            "self_distance": [distance for judgement in group for distance in _vote_distances(judgement)],
        }
        for name, values in of_prompt.items():
            means[name].extend(prompt_means([values]))
    health: dict[str, Any] = {
        **counts,
        "readable": _share(means["readable"]),
        "faults": {fault: _share(means[fault]) for fault in FAULTS},
        "vote_histogram": _histogram(readable),
        "score_histogram": _histogram(points),
        "vote_entropy_bits": entropy(readable.values()),
        "score_entropy_bits": entropy(points.values()),
        "mean_score": asdict(mean_ci(means["mean_score"])),
        "tie_rate": _share(means["tie_rate"]),
        "flat_prompts": _share(means["flat_prompts"]),
        "self_agreement": _share(means["self_agreement"]),
        "self_distance": asdict(mean_ci(means["self_distance"])),
    }
    return {**health, "alarms": _alarms(health, readable)}


def _alarms(health: dict[str, Any], votes: Counter[float]) -> list[str]:
    """One sentence for each thing that a person should look at."""
    alarms = []
    readable, ties = health["readable"]["value"], health["tie_rate"]["value"]
    if readable is not None and readable < LEAST_READABLE:
        alarms.append(f"only {readable:.0%} of the votes could be read")
    if votes:
        score, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
        if count > MOST_SHARE * votes.total():
            alarms.append(f"{count / votes.total():.0%} of the votes say {score:g}")
    if ties is not None and ties > MOST_TIES:
        alarms.append(f"{ties:.0%} of the pairs of responses are tied")
    return alarms


def _histogram(values: Counter[float]) -> dict[str, int]:
    """Counts by value, two decimals, in ascending order."""
    found: Counter[str] = Counter()
    for value in sorted(values):
        found[f"{value:.2f}"] += values[value]
    return dict(found)


def _distances(points: Sequence[float]) -> list[float]:
    """How far apart the two of every pair are."""
    return [abs(a - b) for a, b in combinations(points, 2)]


def _said(vote: Vote) -> float:
    """The points of a readable vote; where they are a mean, the likeliest."""
    if vote.probs is not None:
        return float(max(range(len(vote.probs)), key=vote.probs.__getitem__))
    return vote.score or 0.0


def _all_said(judgement: Judgement) -> list[float]:
    return [_said(vote) for vote in judgement.votes if vote.score is not None]


def _vote_distances(judgement: Judgement) -> list[float]:
    return _distances([vote.score for vote in judgement.votes if vote.score is not None])


def _share(shares: Sequence[float]) -> dict[str, Any]:
    """The mean of the shares of prompts, with Wilson's interval, a prompt counting as one trial.

    The interval is never too narrow, however alike the votes or pairs of one prompt are: values in 0..1 with mean p
    vary by p (1 - p) at most. Nor is its width 0 where every prompt agrees, as a bootstrap's would be.
    """
    total, n = math.fsum(shares), len(shares)
    return {"value": total / n if n else None, "ci95": wilson(total, n), "n": n}
