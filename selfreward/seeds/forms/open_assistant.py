"""Open Assistant's conversations (arXiv 2304.07327): message trees, or the same as flat messages that name their parents.

A prompt is the root of a tree; the responses are the answers to it that people ranked, 0 the best. Later turns are not
used (section 3.1.1 of arXiv 2401.10020).
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from selfreward.seeds.forms.row import ANY_LANGUAGE, Form, Found, Row, Text, ranked_set


class Message(Row):
    text: Text
    role: str
    lang: str | None = None
    rank: Annotated[int, Field(ge=0)] | None = None
    deleted: bool | None = None
    synthetic: bool | None = None
    review_result: bool | None = None  # False: people turned it down

    @property
    def fault(self) -> str | None:
        """Why it is no text that a person wrote and others let stand."""
        if self.deleted:
            return "deleted"
        if self.review_result is False:
            return "failed_review"
        return "synthetic" if self.synthetic else None


class Root(Message):
    replies: list[Message] | None = None


class Tree(Row):
    message_tree_id: str
    prompt: Root


class FlatMessage(Message):
    message_id: str
    parent_id: str | None = None  # a root's is null or, in exports to JSONL, not there


def read_trees(rows: Iterable[Tree], language: str) -> Iterator[Found]:
    for tree in rows:
        yield from _prompt(tree.prompt, tree.prompt.replies or [], language)


def read_messages(rows: Iterable[FlatMessage], language: str) -> Iterator[Found]:
    roots: dict[str, FlatMessage] = {}
    replies: dict[str, list[FlatMessage]] = {}
    for message in rows:
        if message.parent_id is None:
            roots[message.message_id] = message
        else:
            replies.setdefault(message.parent_id, []).append(message)
    for id_, root in roots.items():
        yield from _prompt(root, replies.get(id_, []), language)


def _prompt(root: Message, replies: Iterable[Message], language: str) -> Iterator[Found]:
    if root.fault:
        yield root.fault
        return
    if language not in (ANY_LANGUAGE, root.lang):
        yield "other_language"
        return
    ranked = []
    for reply in replies:
        fault = reply.fault or ("unranked" if reply.rank is None else None)
        if fault:
            yield f"responses_{fault}"
        elif reply.rank is not None:
            ranked.append((reply.text, reply.rank))
    yield ranked_set(root.text, ranked)


TREES = Form((frozenset({"message_tree_id", "prompt"}),), Tree, read_trees, is_ranked=True, has_language=True)
MESSAGES = Form(
    (frozenset({"message_id", "text", "role"}),), FlatMessage, read_messages, is_ranked=True, has_language=True
)
