"""Head to head from pairwise verdicts in both orders (arXiv 2401.10020, section 3.1.2).

Every prompt is judged twice, each model's answer shown first once. A model wins a prompt where both verdicts name it; where
they differ, or both call a tie, the prompt is a tie. A prompt without two readable verdicts is missing: it is counted and
enters no share.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import field_validator

from selfreward.errors import BadInput
from selfreward.evaluation.given import Row, read_given
from selfreward.evaluation.kinds import PARTS, Kind, by_kind
from selfreward.judges.pairwise import Order, Winner
from selfreward.statistics import head_to_head, paired_bootstrap, prompt_means, wilson


class Verdict(Row):
    """What a judge said of one prompt in one order."""

    id: str  # the prompt's; a whole number is read as its digits
    order: Order
    winner: Winner | None  # None: the verdict could not be read
    category: str | None = None
    complexity: str | None = None
    expected_length: str | None = None
    judge: str | None = None

    @property
    def kind(self) -> Kind:
        """What is said of the prompt."""
        return Kind(self.category, self.complexity, self.expected_length)

    @field_validator("id", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if type(value) is int else value

    @field_validator("order", "winner", mode="before")
    @classmethod
    def _whole_number(cls, value: object) -> object:
        if value is not None and type(value) is not int:
            raise ValueError("a whole number is wanted, or null for a winner that could not be read")
        return value


def read_verdicts(path: Path, force: bool = False) -> list[Verdict]:
    """The verdicts in a file, one {"id", "order", "winner"} a line, with the parts of a `Kind` and `judge` where they are known.

    BadInput for a row that is no verdict, an order of a prompt that stands twice, a prompt of two kinds, and, unless
    forced, for verdicts of several judges.
    """
    places: dict[tuple[str, int], str] = {}
    kinds: dict[str, Kind] = {}
    verdicts = []
    for place, verdict in read_given(path, Verdict):
        before = places.setdefault((verdict.id, verdict.order), place)
        if before != place:
            raise BadInput(f"order {verdict.order} of {verdict.id} stands twice, first at {before}", place)
        known = kinds.setdefault(verdict.id, verdict.kind)
        if other := [part for part in PARTS if getattr(known, part) != getattr(verdict, part)]:
            raise BadInput(f"{verdict.id} has another {other[0]} before", place)
        verdicts.append(verdict)
    refuse_mixed("judges", (verdict.judge for verdict in verdicts), path, force)
    return verdicts


def refuse_mixed(what: str, found: Iterable[str | None], where: object, force: bool) -> None:
    """BadInput where figures of several judges, or models, would be counted as if they were of one, unless forced."""
    several = list(dict.fromkeys(found))
    if len(several) > 1 and not force:
        named = ", ".join("none named" if name is None else name for name in several[:3])
        raise BadInput(f"{len(several)} {what}: {named}", where, "these do not compare; --force takes them together")


def tally(verdicts: Sequence[Verdict], seed: int = 0) -> dict[str, Any]:
    """`shares` of the prompts that verdicts in both orders decide, by kind of prompt too where any is known.

    Of the `missing` prompts (`missing_ids`), `unreadable` ones have verdicts in both orders and `one_order` ones do not.
    `disagree` are the ties in which the verdicts differ. `position_bias` is how often the answer shown first was preferred,
    0..1, 0.5 where the place does not matter: the mean over prompts of each prompt's readable verdicts that name a winner,
    with Wilson's interval.
    """
    kinds = [verdict.kind for verdict in verdicts]
    missing = [
        id for id, group in _by_prompt(verdicts).items() if outcome([verdict.winner for verdict in group]) is None
    ]
    return {
        **_tally(verdicts, seed),
        "missing_ids": missing,
        **by_kind(verdicts, kinds, lambda group: _tally(group, seed)),
    }


def shares(outcomes: Sequence[Winner | None], seed: int = 0) -> dict[str, Any]:
    """Wins, ties and losses of model 1 against model 2 as counts, and in percent of the n prompts that are not missing.

    The intervals, of net in `ci95`, are `statistics.head_to_head`'s; `bootstrap_ci95` is net's by resampling prompts.
    """
    counts = Counter(outcomes)
    # points of the two sides, as a game's: 1 for a win, 0 for a tie or a loss
    ours, theirs = ([None if won is None else float(won == model) for won in outcomes] for model in (1, 2))
    found = asdict(head_to_head(ours, theirs))
    decided = [100.0 * ((won == 1) - (won == 2)) for won in outcomes if won is not None]
    return {
        "prompts": len(outcomes),
        "n": found["n"],
        "missing": counts[None],
        "wins": counts[1],
        "ties": counts[0],
        "losses": counts[2],
        **{name: found[name] for name in ("win", "tie", "lose", "net", "win_ci95", "tie_ci95", "lose_ci95", "ci95")},
        "bootstrap_ci95": paired_bootstrap(decided, [0.0] * len(decided), seed).ci95,
    }


def outcome(winners: Sequence[Winner | None]) -> Winner | None:
    """Who wins a prompt by the verdicts of its orders; None where it is missing."""
    if len(winners) != 2 or None in winners:
        return None
    return winners[0] if winners[0] == winners[1] else 0


def higher(ours: float | None, theirs: float | None) -> Winner | None:
    """Who wins a prompt by the scores of both answers; None where one has no score."""
    if ours is None or theirs is None:
        return None
    return 0 if ours == theirs else 1 if ours > theirs else 2


def _by_prompt(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    prompts: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        prompts.setdefault(verdict.id, []).append(verdict)
    return prompts


def _tally(verdicts: Sequence[Verdict], seed: int) -> dict[str, Any]:
    prompts = _by_prompt(verdicts)
    winners = [[verdict.winner for verdict in group] for group in prompts.values()]
    return {
        **shares([outcome(pair) for pair in winners], seed),
        "disagree": sum(len(set(pair)) == 2 and None not in pair for pair in winners),
        "unreadable": sum(len(pair) == 2 and None in pair for pair in winners),
        "one_order": sum(len(pair) == 1 for pair in winners),
        "unreadable_verdicts": sum(verdict.winner is None for verdict in verdicts),
        "position_bias": share_of(
            [verdict.winner == verdict.order + 1 for verdict in group if verdict.winner] for group in prompts.values()
        ),
    }


def share_of(by_prompt: Iterable[Sequence[bool]]) -> dict[str, Any]:
    """The mean over prompts of the share that holds, with Wilson's interval, a prompt counting as one trial."""
    found = prompt_means(by_prompt)
    total, n = math.fsum(found), len(found)
    return {"value": total / n if n else None, "ci95": wilson(total, n), "n": n}
