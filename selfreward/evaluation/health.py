"""The health of a judge, read off its judgements alone: what it says, whether it can be read, whether it holds.

A judge that always says 4 orders nothing; the paper met it as scores that cluster at 4 without EFT (section 3.2).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, get_args

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
    votes = [vote for judgement in judgements for vote in judgement.votes]
    readable = [_said(vote) for vote in votes if vote.score is not None]
    scores = [judgement.score for judgement in judgements if judgement.score is not None]
    by_prompt: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_prompt.setdefault(judgement.prompt_id, []).append(judgement)
    prompts = list(by_prompt.values())
    faults = [[vote.fault for judgement in group for vote in judgement.votes] for group in prompts]
    scored = [[judgement.score for judgement in group if judgement.score is not None] for group in prompts]
    distances = [_distances(scores) for scores in scored]
    repeated = [[distance for judgement in group for distance in _vote_distances(judgement)] for group in prompts]
    alike = [[a == b for judgement in group for a, b in combinations(_all_said(judgement), 2)] for group in prompts]
    health: dict[str, Any] = {
        "judgements": len(judgements),
        "unscored": len(judgements) - len(scores),
        "of_cut_responses": sum(judgement.cut > 0 for judgement in judgements),
        "votes": len(votes),
        "readable": _share([found is None for found in group] for group in faults),
        "faults": {fault: _share([found == fault for found in group] for group in faults) for fault in FAULTS},
        "vote_histogram": _histogram(readable),
        "score_histogram": _histogram(scores),
        "vote_entropy_bits": entropy(Counter(readable).values()),
        "score_entropy_bits": entropy(Counter(scores).values()),
        "mean_score": _mean(scored),
        "tie_rate": _share([distance == 0 for distance in group] for group in distances),
        "flat_prompts": _share([max(group) == 0] for group in distances if group),
        "self_agreement": _share(alike),
        "self_distance": _mean(repeated),
    }
    return {**health, "alarms": _alarms(health, Counter(readable))}


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


def _histogram(values: Iterable[float]) -> dict[str, int]:
    """Counts by value, two decimals, in ascending order."""
    return dict(Counter(f"{value:.2f}" for value in sorted(values)))


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


def _share(by_prompt: Iterable[Sequence[bool]]) -> dict[str, Any]:
    """The mean over prompts of the share that holds, with Wilson's interval, a prompt counting as one trial.

    The interval is never too narrow, however alike the votes or pairs of one prompt are: values in 0..1 with mean p
    vary by p (1 - p) at most. Nor is its width 0 where every prompt agrees, as a bootstrap's would be.
    """
    shares = prompt_means(by_prompt)
    total, n = math.fsum(shares), len(shares)
    return {"value": total / n if n else None, "ci95": wilson(total, n), "n": n}


def _mean(by_prompt: Iterable[Sequence[float]]) -> dict[str, Any]:
    """The mean over prompts of each prompt's mean."""
    return asdict(mean_ci(prompt_means(by_prompt)))
