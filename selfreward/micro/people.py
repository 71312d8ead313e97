"""The human seed of the micro-world: average people who write responses, and people who rank them.

What they write is below what M0 can do at its best, and what they prefer is the truth seen through noise; this seed
is the only way by which the truth reaches the training loop.
"""

from random import Random

from selfreward.micro.authors import AVERAGE, CAREFUL, CARELESS, Care, respond
from selfreward.micro.oracle import score
from selfreward.micro.tasks import Split, Task, draw_instruction
from selfreward.records import Example, RankedResponse, RankedSet, digest

PEOPLE = Care(0.60, 0.65, 0.45, 0.50, 0.60)  # who writes the IFT seed
_WRITERS = ((CAREFUL, 0.3), (AVERAGE, 0.4), (CARELESS, 0.3))  # whose responses people rank
RANKING_ERROR = 0.7  # points, standard deviation of a person's impression of a response


def write_ift(num: int, seed: int) -> list[Example]:
    """`num` instructions of the training split with the response of an average person, no instruction twice."""
    rng = Random(f"ift/{seed}")
    examples: dict[str, Example] = {}
    while len(examples) < num:
        task, text = draw_instruction(rng)
        examples.setdefault(
            text, Example(id=digest("ift", text), prompt=text, response=respond(task, PEOPLE, rng), source="ift")
        )
    return list(examples.values())


def rank_responses(num: int, num_responses: int, seed: int, split: Split, taken: set[str]) -> list[RankedSet]:
    """`num` prompts outside `taken`, each with different responses that people ranked, best first; people never tie."""
    rng = Random(f"ranked/{split}/{seed}")
    sets: dict[str, RankedSet] = {}
    while len(sets) < num:
        task, text = draw_instruction(rng, split)
        responses = {respond(task, rng.choices([c for c, _ in _WRITERS], [p for _, p in _WRITERS])[0], rng)
                     for _ in range(num_responses)}  # fmt: skip
        impressions = {response: score(task, response) + rng.gauss(0, RANKING_ERROR) for response in sorted(responses)}
        if text in taken or text in sets or len(responses) < num_responses:
            continue
        best_first = sorted(impressions, key=lambda response: -impressions[response])
        ranked = tuple(RankedResponse(text=response, rank=rank) for rank, response in enumerate(best_first))
        sets[text] = RankedSet(id=digest("ranked", split, seed, text), prompt=text, responses=ranked)
    return list(sets.values())


def draw_held_out(num: int, seed: int, split: Split) -> list[tuple[Task, str]]:
    """`num` different instructions of a held-out split, with their tasks."""
    rng = Random(f"held-out/{split}/{seed}")
    drawn: dict[str, Task] = {}
    while len(drawn) < num:
        task, text = draw_instruction(rng, split)
        drawn.setdefault(text, task)
    return [(task, text) for text, task in drawn.items()]
