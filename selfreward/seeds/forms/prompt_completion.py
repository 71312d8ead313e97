"""`{"prompt", "completion"}` as texts or as messages (TRL's prompt-completion); `response` is another word for completion."""

from collections.abc import Iterable, Iterator
from typing import Self

from pydantic import model_validator

from selfreward.seeds.forms.row import Form, Found, Row, Text, Turn, example, first_turn


class Completed(Row):
    prompt: Text | list[Turn]
    completion: Text | list[Turn] | None = None
    response: Text | list[Turn] | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if (self.completion is None) == (self.response is None):
            raise ValueError("holds both or neither of completion and response")
        if isinstance(self.prompt, str) != isinstance(self.answer, str):
            raise ValueError("prompt and completion must both be text or both be messages")
        return self

    @property
    def answer(self) -> str | list[Turn]:
        """What is to be imitated."""
        found = self.response if self.completion is None else self.completion
        return found if found is not None else ""


def read(rows: Iterable[Completed], language: str) -> Iterator[Found]:
    for row in rows:
        if isinstance(row.prompt, str) and isinstance(row.answer, str):
            yield example(row.prompt, row.answer)
        elif sum(turn.role in ("user", "assistant") for turn in row.prompt if isinstance(turn, Turn)) > 1:
            yield "no_first_turn"  # the completion answers a later one
        else:
            yield from first_turn([turn for turn in (*row.prompt, *row.answer) if isinstance(turn, Turn)])


FORM = Form((frozenset({"prompt", "completion"}), frozenset({"prompt", "response"})), Completed, read)
