"""New prompts: a model reads a few tasks and writes one more (self-instruction creation, section 2.2).

Eight examples, six of the IFT seed and two written before; then the filters of Self-Instruct (arXiv 2212.10560).
What a model wrote is kept whole in a file of attempts; which attempts became prompts is a pure function of that file,
and every other attempt is counted under the reason it was left out.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from selfreward.engines.base import Completion, Engine, Request, Sampling, ask
from selfreward.records import Prompt, Record, digest, seed_of
from selfreward.rouge import Letters, highest
from selfreward.templates import render

FATES = (
    "accepted", "unfinished", "too_short", "too_long", "unservable", "programming", "odd_start", "in_seed", "held_out",
    "duplicate", "similar",
)  # fmt: skip
_UNSERVABLE = re.compile(r"\b(images?|graphs?|pictures?|files?|maps?|draw|plots?|go to)\b", re.IGNORECASE)


class Attempt(Record):
    """What a model wrote when asked for one more task."""

    id: str
    text: str
    finished: bool
    examples: tuple[str, ...]  # ids of the prompts it had read


def few_shot(
    seed: Sequence[Prompt], generated: Sequence[Prompt], num_seed: int, num_generated: int, rng_seed: int
) -> list[Prompt]:
    """The examples of one attempt, in random order; seed prompts stand in where too few were generated yet."""
    rng = Random(rng_seed)
    written = rng.sample(generated, min(num_generated, len(generated)))
    wanted = min(num_seed + num_generated - len(written), len(seed))
    examples = written + rng.sample(seed, wanted)
    rng.shuffle(examples)
    return examples


def ask_for_one_more(template: str, tasks: Sequence[str]) -> str:
    """The few-shot prompt: a function of the tasks it shows and of nothing else."""
    return render("prompts", template, tasks=list(tasks))


def attempt(
    engine: Engine, examples: Mapping[str, Sequence[Prompt]], template: str, sampling: Sampling, seed: int
) -> list[Attempt]:
    """One attempt for each id of `examples`, after the prompts that stand under it."""
    requests = [
        Request(id, ask_for_one_more(template, [p.text for p in shown]), 1, seed_of(seed, "attempt", id))
        for id, shown in examples.items()
    ]

    def one(place: int, written: list[Completion]) -> Attempt:
        id = requests[place].id
        shown = tuple(prompt.id for prompt in examples[id])
        return Attempt(id=id, text=written[0].text, finished=written[0].finished, examples=shown)

    return ask(engine, requests, sampling, one)


class Filter:
    """Says, attempt by attempt in the order of their making, what becomes of each.

    `earlier` are the texts of the seed and of prompts accepted in earlier rounds; `is_held_out` tells evaluation prompts.
    """

    def __init__(
        self,
        earlier: Iterable[str],
        is_held_out: Callable[[str], bool],
        min_words: int,
        max_words: int,
        max_rouge_l: float,
    ) -> None:
        self.earlier = {_normal(text) for text in earlier}
        self.is_held_out = is_held_out
        self.min_words, self.max_words, self.max_rouge_l = min_words, max_words, max_rouge_l
        self.accepted: dict[str, str] = {}  # normalised text -> text
        self.counts: Counter[str] = Counter(dict.fromkeys(FATES, 0))
        self._letters = Letters()
        self._lettered = [self._letters(text) for text in sorted(self.earlier)] if max_rouge_l < 1 else []

    def fate(self, attempt: Attempt) -> str:
        """One of FATES for the next attempt; counts it, and remembers it when it is accepted."""
        fate = self._fate(attempt.text.strip(), attempt.finished)
        self.counts[fate] += 1
        if fate == "accepted":
            self.accepted[_normal(attempt.text)] = attempt.text.strip()
            if self.max_rouge_l < 1:
                self._lettered.append(self._letters(attempt.text))
        return fate

    def _fate(self, text: str, finished: bool) -> str:
        num_words = len(text.split())
        normal = _normal(text)
        reasons = (
            ("unfinished", not finished),
            ("too_short", num_words < self.min_words),
            ("too_long", num_words > self.max_words),
            ("unservable", bool(_UNSERVABLE.search(text))),
            ("programming", normal.startswith("write a program")),
            ("odd_start", not (text[:1].isascii() and text[:1].isalnum())),
            ("in_seed", normal in self.earlier),
            ("held_out", self.is_held_out(text)),
            ("duplicate", normal in self.accepted),
            (
                "similar",
                self.max_rouge_l < 1
                and num_words <= self.max_words
                and highest(self._letters(normal), self._lettered) > self.max_rouge_l,
            ),
        )
        return next((name for name, holds in reasons if holds), "accepted")


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def prompt_of(attempt: Attempt, source: str) -> Prompt:
    """An accepted attempt as a prompt; its id is a hash of its text."""
    text = attempt.text.strip()
    return Prompt(id=digest("prompt", text), text=text, source=source)
