"""What an engine is: the smallest interface that sampling, judging and likelihoods need.

Answers come in the order of the questions. A sample is a function of (model, prompt, sampling, seed, sample index):
neighbours, order and batch size do not enter (arXiv 2401.10020, section 2: N candidates per prompt, several
judgements per candidate).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
    prompt: str  # content of the user's turn
    num_samples: int
    seed: int  # 0 .. 2**63 - 1, from `records.seed_of`


@dataclass(frozen=True)
class Completion:
    """One sample."""

    text: str
    num_tokens: int  # tokens drawn, the end token included
    finished: bool  # False: cut at max_tokens or, with fewer tokens than that, at the end of the model's context


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

    def score_tokens(self, prompts: Sequence[str], candidates: Sequence[str]) -> list[list[float]]:
        """Probability (prompts, candidates) of each candidate as the first token of the assistant's turn.

        Over the candidates they sum to 1. ValueError when a candidate is not one token or a prompt does not fit.
        """
        ...

    def loglik(self, items: Sequence[tuple[str, str]]) -> list[float]:
        """Sum of log p(response tokens and end of turn | prompt) of each (prompt, response), nats.

        ValueError when one does not fit.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...
