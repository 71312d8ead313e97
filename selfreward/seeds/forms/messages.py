"""`{"messages": [{"role", "content"}, ...]}`: a whole chat, of which the first turn is used (TRL's language modelling)."""

from collections.abc import Iterable, Iterator

from selfreward.seeds.forms.row import Form, Found, Row, Turn, first_turn


class Messages(Row):
    messages: list[Turn]


def read(rows: Iterable[Messages], language: str) -> Iterator[Found]:
    for row in rows:
        yield from first_turn(row.messages)


FORM = Form((frozenset({"messages"}),), Messages, read)
