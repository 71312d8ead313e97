"""From judgements to lessons: best against worst per prompt, and perfect responses as examples to imitate.

Pure functions of records (arXiv 2401.10020, section 2.3). A response without a score is neither chosen nor rejected.
What the paper leaves open is settled here: ties among the highest are broken by a hash of the response id, which no
order of the judgements can change.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from selfreward.records import Example, Judgement, Pair, digest

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


@dataclass(frozen=True)
class Pairing:
    """The pairs, and how many prompts were dropped for which reason (keys are COUNTED)."""

    pairs: list[Pair]
    counts: dict[str, int]


def best_vs_worst(judgements: Sequence[Judgement], min_margin: float = 0.0, seed: int = 0) -> Pairing:
    """One pair per prompt: the highest score is chosen, the lowest is rejected.

    A prompt is dropped, and counted, where the two scores are equal or closer than `min_margin` points, where fewer
    than two responses have a score, and where the best and the worst have the same text. `seed` changes only which of
    several equally good (or bad) responses is taken. Pairs stand in the order in which their prompts first appear.
    ValueError when one response has two judgements that differ.
    """
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    pairs = []
    for group in by_prompt(judgements):
        counts["prompts"] += 1
        counts["unscored_responses"] += sum(judgement.score is None for judgement in group)
        outcome = _pair_of(group, min_margin, seed)
        if isinstance(outcome, Pair):
            counts["pairs"] += 1
            counts["tied_best"] += sum(judgement.score == outcome.chosen_score for judgement in group) > 1
            counts["tied_worst"] += sum(judgement.score == outcome.rejected_score for judgement in group) > 1
            pairs.append(outcome)
        else:
            counts[outcome] += 1
    return Pairing(pairs, dict(counts))


def positives(judgements: Sequence[Judgement], score: float = 5.0) -> list[Example]:
    """The responses with at least `score` points as SFT examples ("positives only", section 3.2), each text once."""
    examples: dict[str, Example] = {}
    for judgement in judgements:
        if judgement.score is not None and judgement.score >= score:
            id = digest("positive", judgement.prompt, judgement.response)
            examples.setdefault(
                id, Example(id=id, prompt=judgement.prompt, response=judgement.response, source="positive")
            )
    return list(examples.values())


def by_prompt(judgements: Sequence[Judgement]) -> Iterator[list[Judgement]]:
    """The judgements of each prompt, one per response; prompts in order of appearance.

    One prompt's are in memory at a time where the judgements are read from a file. ValueError when one response has two
    judgements that differ.
    """
    hashes = np.fromiter((hash(judgement.prompt_id) for judgement in judgements), np.int64, len(judgements))
    _, first, prompt = np.unique(hashes, return_index=True, return_inverse=True)
    appeared = first[prompt]  # where the prompt of each judgement has its first
    for _, places in groupby(np.argsort(appeared, kind="stable"), key=appeared.__getitem__):
        group: dict[str, Judgement] = {}
        for place in places:
            judgement = judgements[int(place)]
            if group.setdefault(judgement.response_id, judgement) != judgement:
                raise ValueError(f"Response {judgement.response_id} has two judgements that differ.")
        yield list(group.values())


def _pair_of(group: Sequence[Judgement], min_margin: float, seed: int) -> Pair | str:
    """The pair of one prompt, or the reason why there is none."""
    scores = [judgement.score for judgement in group if judgement.score is not None]
    if len(scores) < 2:
        return "too_few_scored"
    highest, lowest = max(scores), min(scores)
    if highest == lowest:
        return "tie"
    if highest - lowest < min_margin:
        return "small_margin"

    def drawn(judgement: Judgement) -> str:
        return digest("tie", seed, judgement.response_id)

    best = sorted((judgement for judgement in group if judgement.score == highest), key=drawn)
    worst = sorted((judgement for judgement in group if judgement.score == lowest), key=drawn)
    for chosen in best:
        for rejected in worst:
            # white space at the ends is no difference that a model could learn from
            if chosen.response.strip() != rejected.response.strip():
                return _pair(chosen, highest, rejected, lowest)
    return "identical_text"


def _pair(chosen: Judgement, chosen_score: float, rejected: Judgement, rejected_score: float) -> Pair:
    return Pair(
        id=digest("pair", chosen.prompt_id, chosen.response_id, rejected.response_id),
        prompt_id=chosen.prompt_id,
        prompt=chosen.prompt,
        chosen_id=chosen.response_id,
        chosen=chosen.response,
        chosen_score=chosen_score,
        rejected_id=rejected.response_id,
        rejected=rejected.response,
        rejected_score=rejected_score,
        margin=chosen_score - rejected_score,
    )
