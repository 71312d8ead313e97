"""Pairs that part in one step: what followed the same beginning, better against worse (process-based self-rewarding, arXiv
2503.03746).

The paper has a judge compare next steps, written one after the other. Here whole responses were sampled and scored, and a
step is worth the mean score of the responses that take it, as in the roll-outs of Math-Shepherd (arXiv 2312.08935): no judge
has to read half a response.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean

from selfreward.pairing.base import Pairing, Side, make_pair
from selfreward.pairing.best_vs_worst import by_prompt
from selfreward.records import Judgement, Pair, digest

_STEP = re.compile(r".*?(?:[,;:.!?](?=\s|\Z)\s*|\n+|\Z)", re.DOTALL)


def steps(response: str) -> list[str]:
    """A response in parts that end in a line or at punctuation; together they are the response."""
    return [part for part in _STEP.findall(response) if part]


def step_vs_step(judgements: Sequence[Judgement], min_margin: float = 0.0) -> Pairing:
    """One pair a prompt: two responses that begin alike, cut after the step in which they part, the better step chosen.

    Of all places where responses part, that is taken where the best and the worst next step are furthest apart, the earliest
    of several. Dropped: prompts whose scores are all the same, or that part in nothing that makes a difference.
    """
    counts: Counter[str] = Counter({"prompts": 0, "pairs": 0, "too_few_scored": 0, "tie": 0, "small_margin": 0})
    pairs: list[Pair] = []
    for group in by_prompt(judgements):
        counts["prompts"] += 1
        outcome = _pair([one for one in group if one.score is not None], min_margin)
        if isinstance(outcome, Pair):
            pairs.append(outcome)
        else:
            counts[outcome] += 1
    counts["pairs"] = len(pairs)
    return Pairing(pairs, dict(counts))


def _pair(judged: Sequence[Judgement], min_margin: float) -> Pair | str:
    if len(judged) < 2:
        return "too_few_scored"
    worth: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)  # beginning -> scores of those that take it
    for one in judged:
        parts = steps(one.response)
        for length in range(1, len(parts) + 1):
            worth[tuple(parts[:length])].append(one.score or 0.0)
    following: defaultdict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for beginning in worth:
        following[beginning[:-1]].append(beginning)
    found: tuple[float, tuple[str, ...], tuple[str, ...]] | None = None
    for before in sorted(following, key=lambda parts: (len(parts), parts)):
        ways = sorted(following[before], key=lambda parts: (fmean(worth[parts]), parts))
        gap = fmean(worth[ways[-1]]) - fmean(worth[ways[0]])
        # white space at the ends is no difference that a model could learn from
        if gap > (found[0] if found else 0.0) and len({"".join(parts).strip() for parts in (ways[0], ways[-1])}) == 2:
            found = gap, ways[-1], ways[0]
    if found is None:
        return "tie"
    if found[0] < min_margin:
        return "small_margin"
    ends = {tuple(steps(one.response)) for one in judged}
    sides: list[Side] = [
        (digest("step", judged[0].prompt_id, *parts), "".join(parts), fmean(worth[parts])) for parts in found[1:]
    ]
    is_end = all(parts in ends for parts in found[1:])
    return make_pair((judged[0].prompt_id, judged[0].prompt), sides[0], sides[1], whole=is_end)
