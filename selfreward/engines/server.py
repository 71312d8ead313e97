"""The server engine: any endpoint of the OpenAI API. It checks what it gets, since servers drop settings in silence.

Sample j of a request is asked for with a seed of its own, the request's plus j, which is what vLLM does with `n` samples
of one request; so a server that honours seeds gives the same samples together and one by one.
"""

import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from selfreward.chat import turns
from selfreward.engines.base import Completion, Probs, Request, Sampling, Unanswered
from selfreward.engines.endpoint import Endpoint, Passing, Rejected
from selfreward.errors import BadInput, StageFailed

log = logging.getLogger(__name__)

SEED_BITS = 31  # what every server takes; llama.cpp's seeds have 32 bits, of which the highest value means random
TOP_LOGPROBS = 20  # the most that OpenAI gives, and vLLM unless told otherwise
COUNTED = ("answers", "prompt_tokens", "completion_tokens", "unfinished", "refused", "too_long", "equal_samples")

# Temperature 2 spreads the choices even of a model that is sure at 1. One whose likeliest answer to a probe still has
# probability 0.75 then is taken for greedy once in 2,000 times; a greedy server of which one probe in ten differs by
# chance of rounding passes once in 60.
PROBE_TEMPERATURES = (2.0, 1.0)  # the second where a server refuses the first
PROBE = "probe"  # the id of its requests
PROBE_TOKENS = 32
PROBE_SAMPLES = 4
PROBES = 16
PROBES_THAT_MUST_VARY = 5

Messages = list[dict[str, str]]

_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum model length|max_model_len|(prompt|input) is too long", re.IGNORECASE
)
_DATE = re.compile(r"-(\d{4}|\d{6}|\d{8}|\d{4}-\d\d-\d\d)")
_REFUSALS = ("content_filter", "content_policy_violation")
_ONE_AT_A_TIME = re.compile(r"['\"`]n['\"`]|\bn must\b|\bn >", re.IGNORECASE)


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Token(BaseModel):
    token: str
    logprob: float = Field(le=1e-3)  # 0 but for rounding


class _Place(BaseModel):
    token: str  # that was drawn
    top_logprobs: list[_Token]


class _Logprobs(BaseModel):
    content: list[_Place] | None = None


class _Choice(BaseModel):
    index: int | None = None  # None: its place in the list
    message: _Message
    finish_reason: str | None
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(0, ge=0)
    completion_tokens: int | None = Field(None, ge=0)


class _Answer(BaseModel):
    """The part of a chat completion that is read."""

    model: str
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class ServerEngine:
    """An `Engine` over an endpoint; `model` is the name under which it serves the model."""

    def __init__(self, model: str, endpoint: Endpoint) -> None:
        self.model = model
        self.endpoint = endpoint
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self.answered_by: Counter[str] = Counter()  # names that the server gave itself
        self._takes_n = True  # until it gives one choice where several were asked for
        self._samples_differ = False

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine`. Unanswered where the server fails, or refuses what is asked; what it had answered goes along."""
        if sampling.temperature > 0 and any(request.num_samples for request in requests):
            self.check_that_samples_differ()
        tasks = [
            partial(self._samples, r.id, turns(r.prompt, r.history), r.num_samples, r.seed, sampling) for r in requests
        ]
        answers, failed = self.endpoint.run_all(tasks)
        if failed:
            raise Unanswered(str(failed), "", "", answers) from failed
        return [answer or [] for answer in answers]

    def room(self, prompts: Sequence[str]) -> list[int | None]:
        """See `Engine`: a server tells it to nobody."""
        return [None] * len(prompts)

    def score_tokens(self, items: Sequence[tuple[str, str]], candidates: Sequence[str]) -> list[Probs]:
        """See `Engine`. A candidate that is not among the 20 likeliest tokens has probability 0 here.

        What was said is sent as an unfinished turn of the assistant's, which vLLM and SGLang go on with and OpenAI
        refuses; the space at its end is left to the server, whose tokenizer may join it to the candidate or not.
        Unanswered as in `generate`, also where the server gives no probabilities.
        """
        tasks = [partial(self._score, prompt, said, candidates) for prompt, said in items]
        scores, failed = self.endpoint.run_all(tasks)
        if failed:
            raise Unanswered(str(failed), "", "", scores) from failed
        return [score[0] if score else None for score in scores]

    def loglik(self, items: Sequence[tuple[str, str]]) -> list[float]:
        """No endpoint gives the likelihood of a given text: BadInput."""
        raise BadInput("a server gives no likelihoods of given responses", "engine.name", "use the engine local")

    def usage(self) -> dict[str, Any]:
        """See `Metered`: counts of requests, tokens and faults, and by whom the answers were, as the server says."""
        return {"url": self.endpoint.url, **self.endpoint.counts, **self.counts, "answered_by": dict(self.answered_by)}

    def close(self) -> None:
        """End the connections."""
        self.endpoint.close()

    def check_that_samples_differ(self) -> None:
        """StageFailed for a server that decodes greedily, or at one temperature, whatever is asked.

        `transformers serve` is greedy unless the model's own settings say do_sample, and with continuous batching it keeps
        the temperature of its first request; nothing says so. Samples that are equal prove nothing, since a sure model
        gives such; so, once, the server is asked for 32 tokens at temperature 2, four samples to a prompt. It samples if
        the four of one prompt all differ, or if those of at least five out of sixteen prompts are not all equal: a
        greedy server whose arithmetic depends on the batch may differ here and there. Then four seeds at temperature 0
        must not give four texts.
        """
        if self._samples_differ:
            return
        (found,), failed = self.endpoint.run_all([self._probe])
        if failed or found is None:
            raise failed or StageFailed("gives no sample", self.endpoint.url)
        temperature, answers = found
        if (num_equal := sum(len(set(texts)) == 1 for texts in answers)) > PROBES - PROBES_THAT_MUST_VARY:
            raise StageFailed(
                f"does not sample: {num_equal} of {PROBES} prompts got {PROBE_SAMPLES} equal answers at temperature "
                f"{temperature:g}, such as {answers[-1][0][:40]!r}",
                self.endpoint.url,
                "it may need do_sample: true in the model's generation_config.json, or another server",
            )
        (greedy,), failed = self.endpoint.run_all([self._probe_greedy])
        if failed or greedy is None:
            raise failed or StageFailed("gives no sample", self.endpoint.url)
        if len(greedy) == PROBE_SAMPLES:
            raise StageFailed(
                f"ignores the temperature: at 0, {PROBE_SAMPLES} seeds gave {PROBE_SAMPLES} different answers",
                self.endpoint.url,
                "transformers serve keeps that of its first request with --continuous-batching: start it without",
            )
        self._samples_differ = True

    async def _probe_greedy(self) -> set[str]:
        """The texts that different seeds give at temperature 0."""
        texts: set[str] = set()
        for number in range(PROBE_SAMPLES):
            sampling = Sampling(0.0, 1.0, PROBE_TOKENS)
            probe = turns("Write down 2 words.")
            texts |= {c.text for c in await self._samples(PROBE, probe, 1, 1000 * number, sampling)}
        return texts

    async def _probe(self) -> tuple[float, list[list[str]]]:
        """The temperature, and the texts (prompts, PROBE_SAMPLES) of as many probes as it takes to know."""
        temperature, *others = PROBE_TEMPERATURES
        answers: list[list[str]] = []
        while len(answers) < PROBES:
            sampling = Sampling(temperature, 1.0, PROBE_TOKENS)
            probe = turns(f"Write down {len(answers) + 2} words.")
            try:
                samples = await self._samples(PROBE, probe, PROBE_SAMPLES, 1000 * len(answers), sampling)
            except Rejected:
                if not others:
                    raise
                temperature, *others = others
                continue
            answers.append([sample.text for sample in samples])
            num_varied = sum(len(set(texts)) > 1 for texts in answers)
            if len(set(answers[-1])) == PROBE_SAMPLES or num_varied >= PROBES_THAT_MUST_VARY:
                break
        return temperature, answers

    async def _samples(self, id: str, messages: Messages, num: int, seed: int, sampling: Sampling) -> list[Completion]:
        """The samples of one request: together where the server can, else one by one."""
        if num == 0:
            return []
        seed %= 2**SEED_BITS
        greedy = sampling.temperature == 0  # all equal, and vLLM refuses to give several
        at_once = 1 if greedy or not self._takes_n else num
        try:
            found = await self._complete(messages, at_once, seed, sampling)
        except Rejected as rejected:
            if _is_too_long(rejected):
                log.warning("request %s: does not fit the model's context: %s", id, rejected.message)
                self.counts["too_long"] += 1
                return [Completion("", 0, False)] * num
            if rejected.code in _REFUSALS:
                self.counts["refused"] += num
                return [Completion("", 0, False, refused=True)] * num
            if at_once == 1 or not _ONE_AT_A_TIME.search(rejected.message):
                raise
            found = []
        if greedy:
            return found[:1] * num
        if len(found) < num:
            self._takes_n = False
            for sample in range(len(found), num):
                found += await self._complete(messages, 1, seed + sample, sampling)
        if num > 1 and id != PROBE:
            self.counts["equal_samples"] += len({completion.text for completion in found}) == 1
        return found

    async def _complete(self, messages: Messages, num: int, seed: int, sampling: Sampling) -> list[Completion]:
        """At most `num` samples, as many as the server gives at once."""
        body: dict[str, Any] = {
            "messages": messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        }
        answer = await self._ask(body | ({"n": num} if num > 1 else {}))
        if len(answer.choices) > num:
            what = f"gave {len(answer.choices)} choices where {num} were asked for"
            raise StageFailed(what, self.endpoint.url, "serve the model with another server")
        # The tokens of several choices are counted together alone.
        num_tokens = answer.usage.completion_tokens if answer.usage and len(answer.choices) == 1 else None
        return [self._completion(choice, num_tokens) for choice in answer.choices]

    async def _score(self, prompt: str, said: str, candidates: Sequence[str]) -> tuple[Probs]:
        """The candidates' probabilities as the next token, in a tuple of their own; see `score_tokens`."""
        messages = turns(prompt)
        body: dict[str, Any] = {
            "temperature": 0,  # of the drawn token alone; probabilities are those at 1
            "top_p": 1,
            "max_tokens": 1 if said == said.rstrip() else 2,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }
        if said.strip():
            # Without the space at its end: it may belong to the token that is asked for, and templates trim it.
            messages.append({"role": "assistant", "content": said.rstrip()})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        try:
            answer = await self._ask({"messages": messages, **body})
        except Rejected as rejected:
            if not _is_too_long(rejected):
                raise
            log.warning("a prompt does not fit the model's context: %s", rejected.message)
            self.counts["too_long"] += 1
            return (None,)
        logprobs = answer.choices[0].logprobs
        places = (logprobs and logprobs.content) or []
        if not places or not places[0].top_logprobs:
            what = "gives no probabilities: it ignores top_logprobs"
            raise StageFailed(
                what, self.endpoint.url, "read votes (judge.read: votes), or use the engine vllm or local"
            )
        first = _probs(places[0])
        probs = [first.get(candidate, 0.0) for candidate in candidates]
        if len(places) > 1 and not places[0].token.strip():  # the space is a token of its own
            after = _probs(places[1])
            probs = [p + first.get("", 0.0) * after.get(c, 0.0) for p, c in zip(probs, candidates, strict=True)]
        return (tuple(probs),)

    async def _ask(self, body: dict[str, Any]) -> _Answer:
        """One request for a chat completion, its choices in order, and what can be checked of every answer."""
        answer = await self.endpoint.post("/chat/completions", {"model": self.model, **body}, self._read)
        if not _is_same_model(self.model, answer.model):
            what = f"was asked for the model {self.model!r}, and {answer.model!r} answered"
            raise StageFailed(what, self.endpoint.url, "serve the right one, or write its name there as server.model")
        self.answered_by[answer.model] += 1
        if answer.usage:
            self.counts["prompt_tokens"] += answer.usage.prompt_tokens
            self.counts["completion_tokens"] += answer.usage.completion_tokens or 0
        return answer

    def _read(self, values: Any) -> _Answer:
        """JSON as a chat completion; Passing where a choice is missing among the others, or there twice."""
        try:
            answer = _Answer.model_validate(values)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise StageFailed(f"not a chat completion: {place}: {fault['msg']}", self.endpoint.url) from None
        by_index = {place if c.index is None else c.index: c for place, c in enumerate(answer.choices)}
        num = len(answer.choices)
        if by_index.keys() != set(range(num)):  # samples would be made up of one another, with nothing to show it
            what = f"the indices of its {num} choices are not those from 0 to {num - 1}, each once"
            raise Passing(what, todo="serve the model with another server")
        return answer.model_copy(update={"choices": [by_index[index] for index in range(num)]})

    def _completion(self, choice: _Choice, num_tokens: int | None) -> Completion:
        message = choice.message
        refused = choice.finish_reason == "content_filter" or bool(message.refusal)
        # Whatever else ended it (a tool call, an abort) did not end it as a turn of the assistant's ends.
        finished = choice.finish_reason == "stop" and not refused
        self.counts["answers"] += 1
        self.counts["refused"] += refused
        self.counts["unfinished"] += not finished and not refused
        return Completion(message.content or message.refusal or "", num_tokens, finished, refused)


def _probs(place: _Place) -> dict[str, float]:
    """Probabilities of the tokens listed at a place, spaces aside; "" is space alone."""
    probs: defaultdict[str, float] = defaultdict(float)
    for token in place.top_logprobs:
        probs[token.token.strip()] += math.exp(token.logprob)
    return probs


def _is_same_model(asked: str, answered: str) -> bool:
    """Whether a server's name for itself is the one asked for, or that with a date, a revision or an owner."""
    return (
        answered == asked
        or answered.startswith((f"{asked}@", f"{asked}:"))
        or answered.endswith(f"/{asked}")
        or (answered.startswith(asked) and _DATE.fullmatch(answered, len(asked)) is not None)
    )


def _is_too_long(rejected: Rejected) -> bool:
    """Whether a server says that a prompt leaves no room in the model's context."""
    return rejected.status in (400, 413, 422) and bool(_TOO_LONG.search(f"{rejected.code} {rejected.message}"))
