"""Responses as records: the N candidates that a model gives to each prompt (section 2.2), and those that people ranked."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import overload

from selfreward.engines.base import Completion, Engine, Request, Sampling, ask
from selfreward.records import Prompt, RankedSet, Record, Response, digest, seed_of
from selfreward.store import Lazy

SOURCE = "ranked"  # stands where a sampled response names its model


class Responses(Record):
    """All samples of one prompt: one line of responses.jsonl, so that a prompt is never half sampled."""

    id: str  # the prompt's
    samples: tuple[Response, ...]


class Samples(Lazy[Response]):
    """The responses in lines of `responses.jsonl`, one after the other; what is in memory is what the lines hold there."""

    def __init__(self, lines: Sequence[Responses]) -> None:
        self._lines = lines
        self._ends = list(accumulate(len(line.samples) for line in lines))
        self._read: tuple[int, Responses] | None = None  # neighbours are mostly asked for together

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> Response: ...
    @overload
    def __getitem__(self, place: slice) -> list[Response]: ...
    def __getitem__(self, place: int | slice) -> Response | list[Response]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        line = bisect_right(self._ends, place)
        if self._read is None or self._read[0] != line:
            self._read = line, self._lines[line]
        return self._read[1].samples[place - self._ends[line]]


def sample(
    engine: Engine,
    prompts: Sequence[Prompt],
    num_samples: int,
    sampling: Sampling,
    model: str,
    seed: int,
    stream: str | None = None,
) -> list[Responses]:
    """`num_samples` responses to each prompt by one model; each depends on seed, model and prompt, not on its neighbours.

    Models that are compared may share a `stream`: to prompts of one text they then draw the same random numbers.
    """
    drawn = [(model, p.id) if stream is None else (stream, p.text) for p in prompts]
    requests = [
        Request(p.id, p.text, num_samples, seed_of(seed, "sample", *parts))
        for p, parts in zip(prompts, drawn, strict=True)
    ]

    def line(place: int, completions: list[Completion]) -> Responses:
        prompt = prompts[place]
        samples = (
            Response(
                id=digest("response", model, prompt.id, i),
                prompt_id=prompt.id,
                prompt=prompt.text,
                text=completion.text,
                model=model,
                sample=i,
                num_tokens=completion.num_tokens,
                finished=completion.finished,
            )
            for i, completion in enumerate(completions)
        )
        return Responses(id=prompt.id, samples=tuple(samples))

    return ask(engine, requests, sampling, line)


def ranked_responses(sets: Sequence[RankedSet]) -> list[Response]:
    """The responses of the ranked sets as records that a judge takes; their ids do not depend on the ranks."""
    return [
        Response(
            id=ranked_response_id(ranked, sample),
            prompt_id=ranked.id,
            prompt=ranked.prompt,
            text=response.text,
            model=SOURCE,
            sample=sample,
            num_tokens=None,  # these were not sampled
            finished=True,
        )
        for ranked in sets
        for sample, response in enumerate(ranked.responses)
    ]


def ranked_response_id(ranked: RankedSet, sample: int) -> str:
    """The id of a ranked response: its set, its place there and its text."""
    return digest("ranked", ranked.id, sample, ranked.responses[sample].text)
