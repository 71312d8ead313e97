"""What an engine is: the smallest interface that sampling, judging and likelihoods need.

Answers come in the order of the questions. A sample is a function of (model, prompt, sampling, seed, sample index):
neighbours, order and batch size do not enter (arXiv 2401.10020, section 2: N candidates per prompt, several
judgements per candidate).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from selfreward.errors import StageFailed
from selfreward.text import whole

T = TypeVar("T")
Probs = tuple[float, ...] | None  # (candidates,) of an item; None: no room in the model's context


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float  # 0 is greedy
    top_p: float  # 0 < top_p <= 1: the smallest set of likeliest tokens that holds this probability
    max_tokens: int  # >= 1; a completion that reaches it is cut, and says so

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_tokens < 1:
            raise ValueError(f"temperature >= 0, 0 < top_p <= 1 and max_tokens >= 1 are needed, not {self}")


@dataclass(frozen=True)
class Request:
    """Samples asked for one prompt."""

    id: str
    prompt: str  # content of the user's turn, the last where there are several
    num_samples: int
    seed: int  # 0 .. 2**63 - 1, from `records.seed_of`
    history: tuple[tuple[str, str], ...] = ()  # what the user said before and what the assistant answered, oldest first


@dataclass(frozen=True)
class Completion:
    """One sample."""

    text: str
    num_tokens: int | None  # tokens drawn, the end token included; None: a server that did not say
    finished: bool  # False: cut at max_tokens or, with fewer tokens than that, at the end of the context; or refused
    refused: bool = False  # the model or a filter before it declined to answer


class Engine(Protocol):
    """Holds one model from its making to `close`."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """Completions (requests, num_samples).

        A prompt that leaves no room in the model's context gets empty, unfinished ones.
        """
        ...

    def room(self, prompts: Sequence[str]) -> list[int | None]:
        """Tokens that the model's context leaves for an answer to each prompt, below 1 for none; None: not known."""
        ...

    def score_tokens(self, items: Sequence[tuple[str, str]], candidates: Sequence[str]) -> list[Probs]:
        """Probability (items, candidates) of each candidate as the next token, of all tokens there are.

        An item is (prompt, what the assistant has said so far); a space before a candidate may belong to its token.
        None for an item that leaves no room in the model's context. ValueError when a candidate is not one token.
        """
        ...

    def loglik(self, items: Sequence[tuple[str, str]]) -> list[float]:
        """Sum of log p(response tokens and end of turn | prompt) of each (prompt, response), nats.

        ValueError when one does not fit.
        """
        ...

    def close(self) -> None:
        """Free the model; a second time does nothing."""
        ...


@runtime_checkable
class Metered(Protocol):
    """An engine whose use is counted, as that of an endpoint which somebody pays for."""

    def usage(self) -> dict[str, Any]:
        """What was asked and answered since the engine was opened; plain values for the metrics of a run."""
        ...


class Unanswered(StageFailed):
    """An engine gave up on some requests: `answers` holds completions (requests, num_samples), None where there are none.

    Raised by `score_tokens`, it holds its answers to the items, each in a tuple of its own, since they may be None.
    """

    def __init__(self, what: str, where: object, todo: str, answers: Sequence[Any]) -> None:
        super().__init__(what, where, todo)
        self.answers = answers


def ask(
    engine: Engine,
    requests: Sequence[Request],
    sampling: Sampling,
    record_of: Callable[[int, list[Completion]], T],  # takes a request's place and its completions
) -> list[T]:
    """What `record_of` makes of each request's completions, in order; their texts are made `whole`.

    Where the engine gives up on some requests, what it made of the others goes along in `StageFailed.made`.
    """

    def record(place: int, answer: list[Completion]) -> T:
        return record_of(place, [replace(completion, text=whole(completion.text)) for completion in answer])

    try:
        answers = engine.generate(requests, sampling)
    except Unanswered as failed:
        made = [record(i, answer) for i, answer in enumerate(failed.answers) if answer is not None]
        raise StageFailed(str(failed), made=made) from failed
    if len(answers) != len(requests):
        raise StageFailed(f"the engine answered {len(answers)} of {len(requests)} requests")
    for request, answer in zip(requests, answers, strict=True):
        if len(answer) != request.num_samples:
            what = f"the engine gave {len(answer)} samples where {request.num_samples} were asked for"
            raise StageFailed(what, f"request {request.id}")
    return [record(i, answer) for i, answer in enumerate(answers)]


def ask_for_tokens(
    engine: Engine,
    items: Sequence[tuple[str, str]],
    candidates: Sequence[str],
    record_of: Callable[[int, Probs], T],  # takes an item's place and its probabilities
) -> list[T]:
    """What `record_of` makes of the candidates' probabilities after each item, in order; an engine that gives up as in `ask`."""
    try:
        found = engine.score_tokens(items, candidates)
    except Unanswered as failed:
        made = [record_of(i, answer[0]) for i, answer in enumerate(failed.answers) if answer is not None]
        raise StageFailed(str(failed), made=made) from failed
    if len(found) != len(items):
        raise StageFailed(f"the engine answered {len(found)} of {len(items)} items")
    return [record_of(i, probs) for i, probs in enumerate(found)]
