"""Ranked sets that need nobody to rank them: an answer to the instruction, and one to an instruction that is a little different
(Self-Taught Evaluator, arXiv 2408.02666, section 3.3).

The paper has a large model write the other instruction. Here it is another prompt of the round, the most alike of all: what
a small model cannot be asked to do, its own prompts do.
"""

from collections.abc import Sequence

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel

from selfreward.records import Prompt, RankedResponse, RankedSet, Response, digest

CHUNK = 512  # prompts set against all others at once


def neighbours(texts: Sequence[str]) -> list[int | None]:
    """For each text the place of the one that is most like it, by shared characters in order; None for one that is alone."""
    if len(texts) < 2:
        return [None] * len(texts)
    nearest: list[int | None] = []
    for first in range(0, len(texts), CHUNK):
        alike = process.cdist(texts[first : first + CHUNK], texts, scorer=Indel.normalized_similarity)
        rows = np.arange(len(alike))
        alike[rows, first + rows] = -1  # not itself
        nearest += [int(place) for place in alike.argmax(axis=1)]
    return nearest


def ranked_by_making(
    prompts: Sequence[Prompt], responses: Sequence[Response], nearest: Sequence[int | None]
) -> tuple[list[RankedSet], dict[str, int]]:
    """For each prompt its first response, ranked above the first one to its neighbour, and the counts of their making.

    None where the two say the same, or there is no neighbour.
    """
    first = {one.prompt_id: one for one in reversed(responses)}
    counts = {"prompts": len(prompts), "sets": 0, "identical_text": 0, "without_neighbour": 0}
    sets = []
    for prompt, place in zip(prompts, nearest, strict=True):
        if place is None:
            counts["without_neighbour"] += 1
            continue
        good, bad = first[prompt.id].text, first[prompts[place].id].text
        if good.strip() == bad.strip():
            counts["identical_text"] += 1
            continue
        ranked = (RankedResponse(text=good, rank=0), RankedResponse(text=bad, rank=1))
        id = digest("self-ranked", prompt.text, good, bad)
        sets.append(RankedSet(id=id, prompt=prompt.text, responses=ranked))
    counts["sets"] = len(sets)
    return sets, counts
