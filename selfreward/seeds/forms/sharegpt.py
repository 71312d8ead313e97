"""`{"conversations": [{"from": "human", "value"}, {"from": "gpt", "value"}, ...]}`: ShareGPT's chats."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from selfreward.seeds.forms.row import Form, Found, Row, Text, Turn, first_turn

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant"}


class Said(Row):
    speaker: Literal["human", "user", "gpt", "chatgpt", "assistant", "system", "tool"] = Field(alias="from")
    value: Text


class Conversation(Row):
    conversations: list[Said]


def read(rows: Iterable[Conversation], language: str) -> Iterator[Found]:
    for row in rows:
        turns = [Turn(role=ROLES.get(s.speaker, s.speaker), content=s.value) for s in row.conversations]
        yield from first_turn(turns)


FORM = Form((frozenset({"conversations"}),), Conversation, read)
