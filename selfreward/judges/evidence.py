"""What a judge is shown of a database: looked up with the sentences of the instruction and the claims of the response.

A search always finds something, and most of it is beside the point; a passage counts as evidence where it shares enough
words with the sentence that it was found for.
"""

import re
from collections.abc import Sequence
from functools import cache

from selfreward.databases.base import Database, words
from selfreward.records import Passage, Response

MOST_SENTENCES = 16  # of an instruction and of a response that are looked up, from the beginning
MOST_CHARS = 1200  # of a passage that are shown; a server's passages may be whole documents
LEAST_SHARE = 1 / 3  # of the telling words of a sentence that its evidence shares
LEAST_SHARED = 2  # telling words, where the sentence has as many
_LONGEST_ENDING, _SHORTEST_STEM = 3, 3  # letters
_CANDIDATES = 4  # passages looked at for each that may be shown: some are beside the point, some say the same
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|[\r\n]+")
# English words that tell no subject; in other languages such words only make it easier to be evidence.
_NOT_TELLING = frozenset(words(
    "a about all also am an and any are as at be been but by can could did do does for from had has have he her him his how "
    "i if in into is it its just may me might more most must my no not of off on one or our out over shall she should so some "
    "than that the their them then there these they this those to too up us very was we were what when where which who whom "
    "whose why will with would yes you your"
))  # fmt: skip


def look_up(database: Database, responses: Sequence[Response], limit: int) -> list[tuple[Passage, ...]]:
    """At most `limit` passages for each response, in their order: the best of each sentence in turn, then the second best.

    Sentences of the instruction come before those of the response. No text stands twice.
    """

    @cache  # the responses to one prompt share its sentences
    def found(sentence: str) -> list[Passage]:
        telling = _telling(sentence)
        if not telling:
            return []
        passages = database.search(sentence, limit * _CANDIDATES)
        return [passage for passage in passages if _is_evidence(passage.text, telling)]

    return [
        _in_turn([found(one) for one in (*_sentences(response.prompt), *_sentences(response.text))], limit)
        for response in responses
    ]


def _sentences(text: str) -> list[str]:
    """The first sentences of a text."""
    return [part for part in _SENTENCE_END.split(text) if part.strip()][:MOST_SENTENCES]


def _telling(text: str) -> frozenset[str]:
    return frozenset(words(text)) - _NOT_TELLING


def _is_evidence(passage: str, telling: frozenset[str]) -> bool:
    there = frozenset(words(passage))
    beginnings = frozenset(beginning for word in there for beginning in _beginnings(word))
    shared = sum(word in beginnings or any(one in there for one in _beginnings(word)) for word in telling)
    return shared >= min(LEAST_SHARED, len(telling)) and shared >= LEAST_SHARE * len(telling)


def _beginnings(word: str) -> list[str]:
    """A word, and what is left of it without endings: lives and live are one word here, in any language that adds endings."""
    return [word[:end] for end in range(len(word), max(len(word) - _LONGEST_ENDING, _SHORTEST_STEM) - 1, -1)] or [word]


def _in_turn(found: Sequence[Sequence[Passage]], limit: int) -> tuple[Passage, ...]:
    """The first passage of each list, then the second of each, until there are `limit` of different texts."""
    taken: dict[str, Passage] = {}
    for place in range(max(map(len, found), default=0)):
        for passages in found:
            if place < len(passages):
                text = _one_line(passages[place].text)
                taken.setdefault(text, Passage(id=passages[place].id, text=text))
    return tuple(taken.values())[:limit]


def _one_line(text: str) -> str:
    """A passage without line breaks, which could look like parts of the prompt around it, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]} [...]"
