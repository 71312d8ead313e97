"""Best against worst per prompt, and perfect responses as examples to imitate (arXiv 2401.10020, section 2.3).

A response without a score is neither chosen nor rejected. What the paper leaves open is settled here: ties among the
highest are broken by a hash of the response id, which no order of the judgements can change.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import overload

import numpy as np

from selfreward.pairing.base import COUNTED, Pairing, make_pair
from selfreward.records import Example, Judgement, Pair, digest
from selfreward.store import Lazy

Filter = Callable[[Judgement], bool]


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


def best_vs_worst(
    judgements: Sequence[Judgement], min_margin: float = 0.0, seed: int = 0, rho: float = 0.0,
    may_choose: Filter | None = None, may_reject: Filter | None = None,
) -> Pairing:  # fmt: skip
    """One pair per prompt: the highest score is chosen, the lowest is rejected.

    With `rho` above 0 length is held down (Wu et al. 2024, arXiv 2407.19594, section 2.3): the shortest response is chosen
    of those whose score is among the upper `rho` of the prompt's range, the longest rejected of the lower. Which responses
    may be chosen or rejected at all can be told.

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
        outcome = _pair_of(group, min_margin, seed, rho, may_choose, may_reject)
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


def _pair_of(
    group: Mapping[int, Judgement], min_margin: float, seed: int, rho: float, may_choose: Filter | None,
    may_reject: Filter | None,
) -> tuple[int, int] | str:  # fmt: skip
    """The places of the chosen and the rejected of one prompt, or the reason why there is no pair."""
    scored = {place: judgement.score for place, judgement in group.items() if judgement.score is not None}
    if len(scored) < 2:
        return "too_few_scored"
    ups = {place: score for place, score in scored.items() if may_choose is None or may_choose(group[place])}
    downs = {place: score for place, score in scored.items() if may_reject is None or may_reject(group[place])}
    if not ups or not downs:
        return "too_few_scored"
    highest, lowest = max(ups.values()), min(downs.values())
    if highest <= lowest:
        return "tie"
    if highest - lowest < min_margin:
        return "small_margin"

    def order(place: int, sign: int) -> tuple[int, str]:
        chars = sign * len(group[place].response) if rho else 0
        return chars, digest("tie", seed, group[place].response_id)

    reach = rho * (highest - lowest)
    best = sorted((place for place, score in ups.items() if score >= highest - reach), key=lambda p: order(p, 1))
    worst = sorted((place for place, score in downs.items() if score <= lowest + reach), key=lambda p: order(p, -1))
    for chosen in best:
        for rejected in worst:
            apart = scored[chosen] - scored[rejected]
            # white space at the ends is no difference that a model could learn from
            if 0 < apart >= min_margin and group[chosen].response.strip() != group[rejected].response.strip():
                return chosen, rejected
    return "identical_text"


def _pair(chosen: Judgement, rejected: Judgement) -> Pair:
    """The pair of two judgements that have scores."""
    return make_pair(
        (chosen.prompt_id, chosen.prompt),
        (chosen.response_id, chosen.response, chosen.score or 0.0),
        (rejected.response_id, rejected.response, rejected.score or 0.0),
    )
