"""Pairs that people's data give without a judge: of responses that they ranked, and of theirs against a model's."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from selfreward.pairing.base import Pairing, make_pair
from selfreward.records import Example, Pair, RankedSet, Response, digest
from selfreward.responses import ranked_response_id


def human_pairs(sets: Sequence[RankedSet]) -> Pairing:
    """Every two responses of a set that have different ranks, as a reward model would learn from them; a score is minus a rank."""
    counts: Counter[str] = Counter({"prompts": len(sets), "pairs": 0, "tie": 0, "identical_text": 0})
    pairs: list[Pair] = []
    for ranked in sets:
        sides = [
            (ranked_response_id(ranked, place), one.text, -float(one.rank))
            for place, one in enumerate(ranked.responses)
        ]
        for one, other in combinations(sides, 2):
            if one[2] == other[2] or one[1].strip() == other[1].strip():
                counts["tie" if one[2] == other[2] else "identical_text"] += 1
                continue
            better, worse = (one, other) if one[2] > other[2] else (other, one)
            pairs.append(make_pair((ranked.id, ranked.prompt), better, worse))
    counts["pairs"] = len(pairs)
    return Pairing(pairs, dict(counts))


def person_vs_model(examples: Sequence[Example], responses: Sequence[Response]) -> Pairing:
    """A person's response is chosen, each of the model's to the same prompt rejected (Chen et al. 2024, arXiv 2401.01335).

    Nobody judges: the scores are 1 and 0. Responses join examples by the id of the prompt.
    """
    people = {example.id: example for example in examples}
    counts: Counter[str] = Counter({"prompts": len(examples), "pairs": 0, "identical_text": 0})
    pairs: list[Pair] = []
    for response in responses:
        example = people[response.prompt_id]
        if example.response.strip() == response.text.strip():
            counts["identical_text"] += 1
            continue
        person = (person_id(example), example.response, 1.0)
        pairs.append(make_pair((response.prompt_id, response.prompt), person, (response.id, response.text, 0.0)))
    counts["pairs"] = len(pairs)
    return Pairing(pairs, dict(counts))


def person_id(example: Example) -> str:
    """The id of a person's response, as the side of a pair."""
    return digest("person", example.id)
