"""Which of two answers a judge prefers: every pair is shown twice, each answer first once (section 3.1.2 of the paper).

A verdict is read as a vote is: from the judge's own words alone, the last label decides, nothing is guessed. It can be read
from probabilities instead: those of the two numbers where the verdict stands, as AlpacaEval 2.0 weighs its verdicts.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from selfreward.engines.base import Completion, Engine, Request, Sampling, ask, ask_for_tokens
from selfreward.errors import BadInput, StageFailed
from selfreward.records import Record, VoteFault, digest, seed_of
from selfreward.templates import beginning, render

Order = Literal[0, 1]  # 0: model 1 was shown first; 1: model 2 was
Winner = Literal[0, 1, 2]  # a model, whichever place it was shown in; 0: a tie
Read = Literal["written", "probabilities"]
ORDERS: tuple[Order, Order] = (0, 1)
NUMBERS = ("1", "2")  # the answers, as the judge names them: by their places
LEAST_SHARE = 0.5  # of all probability; where the numbers hold less, the judge was about to say something else
SAMPLING = Sampling(temperature=0, top_p=1, max_tokens=256)  # greedy: the same verdict each time

_LABEL = re.compile(r"\bbetter[ \t*_`]{0,8}:[ \t*_`]{0,8}", re.IGNORECASE)
_VERDICT = re.compile(r"(?:answer[ \t-]?)?(?P<named>[0-9]{1,3}|tie)[ \t.*_`]{0,8}(?P<end>[\r\n]|\Z)", re.IGNORECASE)


class PairVerdict(Record):
    """What a judge said of one pair in one order."""

    order: Order
    winner: Winner | None  # a model, whichever place its answer was shown in; 0: a tie
    fault: VoteFault | None  # None exactly when there is a winner
    text: str  # the whole verdict, as the judge wrote it; empty where nothing was written
    share: float | None = None  # of model 1 in the probability of the two numbers, 0..1, where these were read


class Meeting(Record):
    """Two answers to one prompt and the verdicts on them: one line, so that a pair is never half judged."""

    id: str
    prompt: str
    answer_1: str
    answer_2: str
    verdicts: tuple[PairVerdict, PairVerdict]  # order 0 and order 1


@dataclass(frozen=True)
class Pair:
    """Two answers to be compared."""

    prompt: str
    answer_1: str
    answer_2: str

    @property
    def id(self) -> str:
        """Of its content alone."""
        return digest("meeting", self.prompt, self.answer_1, self.answer_2)


Shown = tuple[Pair, Order]


def compare(engine: Engine, pairs: Sequence[Pair], template: str, read: Read) -> list[Meeting]:
    """The meetings of pairs, in order. Answers that say the same are tied without being shown to the judge.

    BadInput for a template that cannot be used; StageFailed where the engine gives up, with the meetings that were `made`.
    """
    differ = [pair for pair in pairs if pair.answer_1 != pair.answer_2]
    shown = [(pair, order) for pair in differ for order in ORDERS]
    try:
        found = dict(_verdicts(engine, shown, template, read))
    except StageFailed as failed:
        found = dict(failed.made)
        whole = [
            pair for pair in pairs if pair.answer_1 == pair.answer_2 or all((pair, order) in found for order in ORDERS)
        ]
        raise StageFailed(str(failed), made=_meetings(whole, found)) from failed
    return _meetings(pairs, found)


def _verdicts(engine: Engine, shown: Sequence[Shown], template: str, read: Read) -> list[tuple[Shown, PairVerdict]]:
    """The judge's verdicts on what it is shown; StageFailed where the engine gives up, with those that were `made`."""
    prompts = [_prompt(template, pair, order) for pair, order in shown]
    if read == "probabilities":
        begin = begin_of(template)
        items = [(prompt, begin) for prompt in prompts]
        try:
            return ask_for_tokens(
                engine, items, NUMBERS, lambda place, probs: (shown[place], _weighed(probs, shown[place][1]))
            )
        except ValueError as error:  # the numbers are not one token each
            raise BadInput(
                f"cannot be read from probabilities: {error}", template, "read verdicts as written"
            ) from error
    requests = [
        Request(f"{pair.id}-{order}", prompt, 1, seed_of("verdict", pair.id, order))
        for (pair, order), prompt in zip(shown, prompts, strict=True)
    ]
    return ask(engine, requests, SAMPLING, lambda place, said: (shown[place], _written(said[0], shown[place][1])))


def compare_with(prefer: Callable[[Pair], Winner], pairs: Sequence[Pair]) -> list[Meeting]:
    """The meetings of pairs by a rule that does not see places."""
    found = {
        (pair, order): PairVerdict(order=order, winner=prefer(pair), fault=None, text="")
        for pair in pairs
        for order in ORDERS
    }
    return _meetings(pairs, found)


def longer(pair: Pair) -> Winner:
    """The control that looks at nothing but length, in characters."""
    one, two = len(pair.answer_1), len(pair.answer_2)
    return 0 if one == two else 1 if one > two else 2


def begin_of(template: str) -> str:
    """What a judge whose probabilities are read says before its verdict. BadInput where the template does not tell."""
    begin = beginning(template, "pairwise")
    if begin is None:
        raise BadInput(
            "does not say what stands before the verdict", template, "begin it with: {% set begin = 'Better: ' -%}"
        )
    return begin


def read_verdict(text: str, finished: bool) -> tuple[int | None, VoteFault | None]:
    """The place that a judge prefers, 1 or 2, 0 for a tie; or None and why there is none.

    `out_of_range` where it names a third answer, `truncated` where it was cut before the verdict was whole, `unreadable`
    where a finished one has no clear verdict.
    """
    label = None
    for label in _LABEL.finditer(text):  # noqa: B007 - the last one decides
        pass
    if label is None:
        return None, "unreadable" if finished else "truncated"
    verdict = _VERDICT.match(text, label.end())
    if verdict is None:
        cut = not finished and not text[label.end() :].strip()
        return None, "truncated" if cut else "unreadable"
    if not finished and not verdict["end"]:
        return None, "truncated"  # the 1 may be the beginning of `1 and 2 are alike`
    named = verdict["named"].lower()
    if named == "tie":
        return 0, None
    return (int(named), None) if named in NUMBERS else (None, "out_of_range")


def _prompt(template: str, pair: Pair, order: Order) -> str:
    first, second = (pair.answer_1, pair.answer_2) if order == 0 else (pair.answer_2, pair.answer_1)
    return render("pairwise", template, prompt=pair.prompt, first=first, second=second)


def _model_at(place: int, order: Order) -> Winner:
    """The model whose answer stood at a place; a tie stays one."""
    if place == 0:
        return 0
    return 1 if (place == 1) == (order == 0) else 2


def _written(completion: Completion, order: Order) -> PairVerdict:
    place, fault = read_verdict(completion.text, completion.finished)
    if completion.refused:
        place, fault = None, "refused"
    elif fault == "truncated" and completion.num_tokens is not None and completion.num_tokens < SAMPLING.max_tokens:
        fault = "too_long"  # the end of the context cut it off
    winner = None if place is None else _model_at(place, order)
    return PairVerdict(order=order, winner=winner, fault=fault, text=completion.text)


def _weighed(probs: Sequence[float] | None, order: Order) -> PairVerdict:
    """The verdict that the probabilities (2,) of the numbers give."""
    if probs is None:
        return PairVerdict(order=order, winner=None, fault="too_long", text="")
    if math.fsum(probs) < LEAST_SHARE:
        return PairVerdict(order=order, winner=None, fault="unreadable", text="")
    first = probs[0] / math.fsum(probs)
    place = 0 if first == 0.5 else 1 if first > 0.5 else 2
    share = first if order == 0 else 1 - first
    return PairVerdict(order=order, winner=_model_at(place, order), fault=None, text="", share=share)


def _meetings(pairs: Sequence[Pair], found: dict[tuple[Pair, Order], PairVerdict]) -> list[Meeting]:
    return [
        Meeting(
            id=pair.id, prompt=pair.prompt, answer_1=pair.answer_1, answer_2=pair.answer_2,
            verdicts=(_verdict_on(pair, 0, found), _verdict_on(pair, 1, found)),
        )
        for pair in pairs
    ]  # fmt: skip


def _verdict_on(pair: Pair, order: Order, found: dict[tuple[Pair, Order], PairVerdict]) -> PairVerdict:
    if pair.answer_1 == pair.answer_2:
        return PairVerdict(order=order, winner=0, fault=None, text="", share=0.5)
    return found[pair, order]
