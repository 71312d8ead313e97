"""From judgements to lessons: best against worst per prompt, and perfect responses as examples to imitate.

Pure functions of records (arXiv 2401.10020, section 2.3). A response without a score is neither chosen nor rejected.
What the paper leaves open is settled here: ties among the highest are broken by a hash of the response id, which no
order of the judgements can change.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import overload

import numpy as np

from selfreward.records import Example, Judgement, Pair, digest
from selfreward.store import Lazy

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


class Pairs(Lazy[Pair]):
    """Pairs that are put together when they are asked for; in memory are the places of their judgements."""

    def __init__(self, judgements: Sequence[Judgement]) -> None:
        self._judgements = judgements
        self._chosen, self._rejected = array("q"), array("q")

    def add(self, chosen: int, rejected: int) -> None:
        """One more pair, by the places of its judgements."""
        self._chosen.append(chosen)
        self._rejected.append(rejected)

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> list[Pair]: ...
    def __getitem__(self, place: int | slice) -> Pair | list[Pair]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return _pair(self._judgements[self._chosen[place]], self._judgements[self._rejected[place]])


@dataclass(frozen=True)
class Pairing:
    """The pairs, and how many prompts were dropped for which reason (keys are COUNTED)."""

    pairs: Sequence[Pair]
    counts: dict[str, int]


def best_vs_worst(judgements: Sequence[Judgement], min_margin: float = 0.0, seed: int = 0) -> Pairing:
    """One pair per prompt: the highest score is chosen, the lowest is rejected.

    A prompt is dropped, and counted, where the two scores are equal or closer than `min_margin` points, where fewer
    than two responses have a score, and where the best and the worst have the same text. `seed` changes only which of
    several equally good (or bad) responses is taken. Pairs stand in the order in which their prompts first appear.
    ValueError when one response has two judgements that differ.
    """
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    pairs = Pairs(judgements)
    for places in _places_by_prompt(judgements):
        group = _one_each(judgements, places)
        scores = [judgement.score for judgement in group.values() if judgement.score is not None]
        counts["prompts"] += 1
        counts["unscored_responses"] += len(group) - len(scores)
        outcome = _pair_of(group, min_margin, seed)
        if isinstance(outcome, str):
            counts[outcome] += 1
            continue
        counts["pairs"] += 1
        counts["tied_best"] += scores.count(max(scores)) > 1
        counts["tied_worst"] += scores.count(min(scores)) > 1
        pairs.add(*outcome)
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
    """The judgements of each prompt; prompts in order of appearance. In memory is one prompt's, where they are in a file."""
    for places in _places_by_prompt(judgements):
        yield [judgements[place] for place in places]


def _places_by_prompt(judgements: Sequence[Judgement]) -> Iterator[list[int]]:
    """Where the judgements of each prompt are."""
    hashes = np.fromiter((hash(judgement.prompt_id) for judgement in judgements), np.int64, len(judgements))
    _, first, prompt = np.unique(hashes, return_index=True, return_inverse=True)
    appeared = first[prompt]  # where the prompt of each judgement has its first
    for _, places in groupby(np.argsort(appeared, kind="stable"), key=appeared.__getitem__):
        yield [int(place) for place in places]


def _one_each(judgements: Sequence[Judgement], places: Sequence[int]) -> dict[int, Judgement]:
    """One judgement of each response, by its place."""
    found: dict[str, int] = {}
    group: dict[int, Judgement] = {}
    for place in places:
        judgement = judgements[place]
        earlier = found.setdefault(judgement.response_id, place)
        if group.setdefault(earlier, judgement) != judgement:
            raise ValueError(f"Response {judgement.response_id} has two judgements that differ.")
    return group


def _pair_of(group: Mapping[int, Judgement], min_margin: float, seed: int) -> tuple[int, int] | str:
    """The places of the chosen and the rejected of one prompt, or the reason why there is no pair."""
    scores = [judgement.score for judgement in group.values() if judgement.score is not None]
    if len(scores) < 2:
        return "too_few_scored"
    highest, lowest = max(scores), min(scores)
    if highest == lowest:
        return "tie"
    if highest - lowest < min_margin:
        return "small_margin"

    def drawn(place: int) -> str:
        return digest("tie", seed, group[place].response_id)

    best = sorted((place for place, judgement in group.items() if judgement.score == highest), key=drawn)
    worst = sorted((place for place, judgement in group.items() if judgement.score == lowest), key=drawn)
    for chosen in best:
        for rejected in worst:
            # white space at the ends is no difference that a model could learn from
            if group[chosen].response.strip() != group[rejected].response.strip():
                return chosen, rejected
    return "identical_text"


def _pair(chosen: Judgement, rejected: Judgement) -> Pair:
    """The pair of two judgements that have scores."""
    scores = (chosen.score or 0.0, rejected.score or 0.0)
    return Pair(
        id=digest("pair", chosen.prompt_id, chosen.response_id, rejected.response_id),
        prompt_id=chosen.prompt_id,
        prompt=chosen.prompt,
        chosen_id=chosen.response_id,
        chosen=chosen.response,
        chosen_score=scores[0],
        rejected_id=rejected.response_id,
        rejected=rejected.response,
        rejected_score=scores[1],
        margin=scores[0] - scores[1],
    )
