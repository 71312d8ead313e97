"""A fake engine that says what a script tells it to: drives tests, documentation and tutorials without a model."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from selfreward.engines.base import Completion, Probs, Request, Sampling

Script = Mapping[str, Sequence[str]] | Callable[[str], Sequence[str]]


class ScriptedEngine:
    """Answers each prompt with texts of its script, in an order that the request's seed alone decides; greedy sampling
    takes them as written. One word is one token. What was asked is kept in `requests`, in order.
    """

    def __init__(
        self,
        script: Script,
        token_probs: Callable[[str, Sequence[str]], Sequence[float]] | None = None,  # None: all equal, 1 in all
        loglik: Callable[[str, str], float] | None = None,  # nats; None: -1 per word and for the end
        context: int | None = None,  # words of a prompt and its answer; None: no limit
    ) -> None:
        self.script = script
        self.token_probs = token_probs
        self.response_loglik = loglik
        self.context = context
        self.requests: list[Request] = []
        self.calls: list[str] = []  # names of the methods called, in order
        self.closed = False

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine`. KeyError for a prompt that the script does not know."""
        self.calls.append("generate")
        self.requests.extend(requests)
        return [self._complete(request, sampling) for request in requests]

    def room(self, prompts: Sequence[str]) -> list[int | None]:
        """See `Engine`."""
        return [None if self.context is None else self.context - len(prompt.split()) for prompt in prompts]

    def score_tokens(self, items: Sequence[tuple[str, str]], candidates: Sequence[str]) -> list[Probs]:
        """See `Engine`; `token_probs` gets the prompt and what was said as one text."""
        self.calls.append("score_tokens")
        return [self._token_probs(prompt, said, candidates) for prompt, said in items]

    def loglik(self, items: Sequence[tuple[str, str]]) -> list[float]:
        """See `Engine`."""
        self.calls.append("loglik")
        if self.response_loglik:
            return [self.response_loglik(prompt, response) for prompt, response in items]
        return [-1.0 - len(response.split()) for _, response in items]

    def close(self) -> None:
        """Remember that it was called."""
        self.closed = True

    def _token_probs(self, prompt: str, said: str, candidates: Sequence[str]) -> Probs:
        (room,) = self.room([f"{prompt} {said}"])
        if room is not None and room < 1:
            return None
        if self.token_probs is None:
            return tuple(1 / len(candidates) for _ in candidates)
        return tuple(self.token_probs(prompt + said, candidates))

    def _complete(self, request: Request, sampling: Sampling) -> list[Completion]:
        if callable(self.script):
            texts = list(self.script(request.prompt))
        elif request.prompt in self.script:
            texts = list(self.script[request.prompt])
        else:
            raise KeyError(f"the script has no answer to {request.prompt!r}")
        if not texts:
            raise ValueError(f"the script's answer to {request.prompt!r} holds no text")
        if sampling.temperature == 0:
            texts = texts[:1]
        else:
            Random(request.seed).shuffle(texts)
        (room,) = self.room([" ".join([*(text for turn in request.history for text in turn), request.prompt])])
        max_tokens = sampling.max_tokens if room is None else min(sampling.max_tokens, room)
        return [_cut(texts[i % len(texts)], max_tokens) for i in range(request.num_samples)]


def _cut(text: str, max_tokens: int) -> Completion:
    """The end costs one token, as it does in a model."""
    if max_tokens < 1:
        return Completion("", 0, False)
    words = text.split()
    if len(words) + 1 <= max_tokens:
        return Completion(text, len(words) + 1, True)
    return Completion(" ".join(words[:max_tokens]), max_tokens, False)
