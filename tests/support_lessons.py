"""Small lessons of several kinds, and a progress that kills their training half way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selfreward.progress import QuietProgress
from selfreward.records import Example, Lesson, Pair

WORDS = ["the", "cat", "sees", "a", "big", "red", "dog", "about", "the", "river"]


def lessons(num: int) -> dict[str, Lesson]:
    """A lesson of `num` examples and two of `num` pairs, of various lengths."""
    texts = [(f"write about {i} " + "the dog " * (i % 5), " ".join(WORDS[: 3 + i % 7])) for i in range(num)]
    examples = tuple(Example(id=p, prompt=p, response=r, source="ift") for p, r in texts)
    pairs = tuple(
        Pair(
            id=p, prompt_id=p, prompt=p, chosen_id="c" + p, chosen=r, chosen_score=4,
            rejected_id="r" + p, rejected=r[::-1], rejected_score=1, margin=3,
        )
        for p, r in texts
    )  # fmt: skip
    return {
        "sft": Lesson(method="sft", examples=examples, start=0),
        "dpo": Lesson(method="dpo", pairs=pairs, start=0, reference=0),
        "reward": Lesson(method="reward", pairs=pairs, start=0),
    }


class Killed(Exception):
    """Stands for a process that ends."""


class KilledAfter(QuietProgress):
    """Counts steps and ends the training in the middle of step `last + 1`; remembers where it began."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__()
        self.last, self.steps, self.done = last, 0, 0

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Any]:
        self.done = done

        def advance(items: int) -> None:
            if self.steps == self.last:
                raise Killed
            self.steps += items

        yield advance
