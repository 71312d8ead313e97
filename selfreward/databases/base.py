"""What a database of passages is: the smallest interface that looking things up needs."""

import re
from typing import Protocol

from selfreward.records import Passage

MOST_WORDS = 64  # of one query; what is asked is a sentence


class Database(Protocol):
    """Passages that can be searched by their words; nothing that is searched for changes them."""

    @property
    def digest(self) -> str | None:
        """SHA-256 of all passages, in hexadecimal digits; None: a server, which may change them."""
        ...

    def search(self, query: str, limit: int) -> list[Passage]:
        """At most `limit` passages that share words with a text, the best first; the same for the same question.

        A query is words and never a language: no character of it is an operator. StageFailed where the database gives up.
        """
        ...

    def close(self) -> None:
        """Free it; a second time does nothing."""
        ...


def words(text: str) -> list[str]:
    """The different words of a text in lower case, in its order: runs of letters and digits."""
    return list(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))
