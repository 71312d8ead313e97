"""Which pairs to show: a few of each kind from every round, so that a reader sees what taught the model, the doubtful too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import combinations
from statistics import median

from selfreward import store
from selfreward.records import Judgement, Pair, digest
from selfreward.report.html.run import Run

NUM_SHOWN = 10
_LONGEST_INSTRUCTION = (
    1000  # letters; the micro-world has none that is longer, and reading one takes the square of its length
)
_MOST_LOOKED_AT = 2000  # pairs of a round, chosen by a hash of their ids

# Kinds in the order in which they are shown, with the reason that a reader is given.
KINDS = {
    "widest": "The widest margin: the clearest difference of the round.",
    "typical": "A typical margin: half of the round's pairs are wider, half narrower.",
    "unsure": "The judge contradicts itself: its votes on one response are far apart.",
    "wrong": "The judge is wrong: the oracle gives the rejected response as many points or more.",
    "narrowest": "The narrowest margin: little speaks for the chosen response.",
}


@dataclass(frozen=True)
class Telling:
    """A pair, its judgements, and why it is shown."""

    model: str  # that was taught it
    kind: str  # one of KINDS
    pair: Pair
    chosen: Judgement | None  # None: not in the round's file
    rejected: Judgement | None
    truth: (
        tuple[float, float] | None
    )  # the oracle's points of chosen and rejected; None: it has none, or there is no oracle
    has_oracle: bool


def telling(run: Run) -> list[Telling]:
    """NUM_SHOWN pairs of the run at most, rounds in order."""
    by_round = {name: _candidates(run, name) for name in run.rounds}
    shown: list[Telling] = []
    for one in _in_turn(list(by_round.values())):
        if len(shown) == NUM_SHOWN:
            break
        if one.pair.id not in {other.pair.id for other in shown}:
            shown.append(one)
    return sorted(shown, key=lambda one: (run.rounds.index(one.model), list(KINDS).index(one.kind)))


def _in_turn(rounds: Sequence[dict[str, list[Telling]]]) -> Iterator[Telling]:
    """One of each kind in every turn, each from another round; a round's best first, then its second best."""
    for turn in range(NUM_SHOWN * len(rounds)):
        place = turn // len(rounds)
        for shift, kind in enumerate(KINDS):
            some = rounds[(turn + shift) % len(rounds)].get(kind, [])
            if place < len(some):
                yield some[place]


def _candidates(run: Run, name: str) -> dict[str, list[Telling]]:
    """Pairs of one round by kind, the most telling first."""
    pairs = nsmallest(
        _MOST_LOOKED_AT, run.records(f"{name}/{store.PAIRS_FILE}", Pair), key=lambda pair: digest(pair.id)
    )
    if not pairs:
        return {}
    wanted = {id for pair in pairs for id in (pair.chosen_id, pair.rejected_id)}
    judged = {
        judgement.response_id: judgement
        for judgement in run.records(f"{name}/{store.JUDGEMENTS_FILE}", Judgement)
        if judgement.response_id in wanted
    }
    middle = median(pair.margin for pair in pairs)
    spread = {
        pair.id: max(_spread(judged.get(pair.chosen_id)), _spread(judged.get(pair.rejected_id))) for pair in pairs
    }
    truth = {pair.id: _truth(run, pair) for pair in pairs}
    wrong = {id: points[1] - points[0] for id, points in truth.items() if points is not None}
    ranked = {
        "widest": nsmallest(NUM_SHOWN, pairs, key=lambda pair: -pair.margin),
        "typical": nsmallest(NUM_SHOWN, pairs, key=lambda pair: abs(pair.margin - middle)),
        "unsure": [p for p in nsmallest(NUM_SHOWN, pairs, key=lambda pair: -spread[pair.id]) if spread[p.id] > 1],
        "wrong": [
            p for p in nsmallest(NUM_SHOWN, pairs, key=lambda p: -wrong.get(p.id, -9)) if wrong.get(p.id, -9) >= 0
        ],
        "narrowest": nsmallest(NUM_SHOWN, pairs, key=lambda pair: pair.margin),
    }
    return {
        kind: [
            Telling(
                name, kind, pair, judged.get(pair.chosen_id), judged.get(pair.rejected_id), truth[pair.id],
                run.recipe.seeds.is_micro,
            )
            for pair in some
        ]
        for kind, some in ranked.items()
    }  # fmt: skip


def _spread(judgement: Judgement | None) -> float:
    """How far apart the readable votes on a response are at most, in points."""
    scores = [vote.score for vote in judgement.votes if vote.score is not None] if judgement else []
    return max((abs(a - b) for a, b in combinations(scores, 2)), default=0.0)


def _truth(run: Run, pair: Pair) -> tuple[float, float] | None:
    """The oracle's points; None where there is no oracle, or none for this prompt."""
    if not run.recipe.seeds.is_micro or len(pair.prompt) > _LONGEST_INSTRUCTION:
        return None
    from selfreward.evaluation.micro import points_of

    try:
        return points_of(pair.prompt, pair.chosen), points_of(pair.prompt, pair.rejected)
    except ValueError:  # a model's own prompt need not be an instruction of the micro-world
        return None
