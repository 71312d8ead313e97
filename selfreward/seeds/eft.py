"""The EFT seed, built as in the paper (section 3.1.1): the SFT baseline judges responses that people ranked, a set is kept where
the order of its scores is the people's, and the most common score is thinned out.
"""

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from selfreward.judges.shown import judge_prompt
from selfreward.judges.votes import split_verdict
from selfreward.records import Example, Judgement, RankedSet, Vote, VoteFault, digest
from selfreward.responses import ranked_response_id

STEPS = (
    "votes", *(f"votes_{fault}" for fault in get_args(VoteFault)), "votes_without_reasons", "sets",
    "sets_unusable", "sets_disagreeing", "sets_kept", "judgements_kept", "judgements_cut", "judgements_thinned_out",
)  # fmt: skip


def build_eft(
    sets: Sequence[RankedSet], judgements: Sequence[Judgement], template: str, max_share: float, min_words: int = 0
) -> tuple[list[Example], dict[str, int]]:
    """The EFT seed and the counts of its making.

    `judgements` hold several votes for each response of the sets. Of those that can be read and give `min_words` words of
    reasons, the first of every response make a first try, the second a second; the first try whose order is the people's
    is kept. What a judge wrote after the line of its verdict is no part of an example. Then examples of the most common
    score are left out until they are at most `max_share` of all.
    """
    by_response = {judgement.response_id: judgement for judgement in judgements}
    counts: Counter[str] = Counter(dict.fromkeys(STEPS, 0))
    kept: list[tuple[Example, float]] = []
    for ranked_set in sets:
        judged = [by_response[ranked_response_id(ranked_set, i)] for i in range(len(ranked_set.responses))]
        usable = [_usable_votes(judgement, min_words, counts) for judgement in judged]
        tries = list(zip(*usable, strict=False))  # as many as the response with the fewest has
        ranks = [response.rank for response in ranked_set.responses]
        agreeing = next((votes for votes in tries if agrees(ranks, [v.score or 0.0 for v in votes])), None)
        counts["sets"] += 1
        if agreeing is None:
            counts["sets_disagreeing" if tries else "sets_unusable"] += 1
            continue
        counts["sets_kept"] += 1
        for judgement, vote in zip(judged, agreeing, strict=True):
            prompt = judge_prompt(template, judgement.prompt, judgement.response, judgement.cut, judgement.evidence)
            reasons, verdict = split_verdict(vote.text)
            counts["judgements_cut"] += len((reasons + verdict).rstrip()) < len(vote.text.rstrip())
            text = (reasons + verdict).strip()
            kept.append(
                (Example(id=digest("eft", prompt), prompt=prompt, response=text, source="eft"), vote.score or 0.0)
            )
    thinned = _thin(kept, max_share)
    counts["judgements_kept"] = len(kept)
    counts["judgements_thinned_out"] = len(kept) - len(thinned)
    return thinned, dict(counts)


def _usable_votes(judgement: Judgement, min_words: int, counts: Counter[str]) -> list[Vote]:
    """The votes with a score and enough reasons; counts all."""
    usable = []
    for vote in judgement.votes:
        counts["votes"] += 1
        if vote.score is None:
            counts[f"votes_{vote.fault}"] += 1
        elif len(split_verdict(vote.text)[0].split()) < min_words:
            counts["votes_without_reasons"] += 1
        else:
            usable.append(vote)
    return usable


def agrees(ranks: Sequence[int], scores: Sequence[float]) -> bool:
    """Whether of any two responses of different rank the better one has the strictly higher score."""
    return all(scores[i] > scores[j] for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j])


def _thin(kept: list[tuple[Example, float]], max_share: float) -> list[Example]:
    """All examples but some of the most common score, which ones by their ids."""
    if not kept:
        return []
    num_of = Counter(score for _, score in kept)
    common = max(num_of, key=lambda score: (num_of[score], score))
    others = len(kept) - num_of[common]
    allowed = num_of[common]
    if max_share < 1 and others:
        allowed = min(allowed, int(max_share * others / (1 - max_share)))
    chosen = set(sorted(example.id for example, score in kept if score == common)[:allowed])
    return [example for example, score in kept if score != common or example.id in chosen]
