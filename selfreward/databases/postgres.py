"""Passages in a Postgres database, found by its full-text search: the extra `postgres`.

A table or a view `passages` has the columns `id` and `text`. Words are matched as they are written (configuration `simple`), so
that no language is assumed; the index that makes it fast stands in docs/judges-grounded.md.
"""

from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from selfreward.databases.base import MOST_WORDS, words
from selfreward.errors import BadInput, StageFailed
from selfreward.records import Passage
from selfreward.text import whole

CONNECT_S = 10
SEARCH_S = 60
_SEARCH = """
    select id, text from passages, websearch_to_tsquery('simple', %s) query
    where to_tsvector('simple', text) @@ query
    order by ts_rank(to_tsvector('simple', text), query, 1) desc, id limit %s
"""


class PostgresDatabase:
    """One connection, which only reads."""

    digest = None

    def __init__(self, url: str) -> None:
        """BadInput where the server cannot be reached or has no passages, and where psycopg is not installed."""
        if find_spec("psycopg") is None:
            raise BadInput(
                "needs psycopg, which is not installed", "postgresql://", "pip install 'selfreward[postgres]'"
            )
        import psycopg

        self._where = f"postgresql://{urlsplit(url).hostname or ''}{urlsplit(url).path}"
        try:
            self._connection = psycopg.connect(url, connect_timeout=CONNECT_S, autocommit=True)
        except psycopg.Error as error:
            todo = "start the server, or mend judge.database"
            raise BadInput(f"cannot be opened: {_one_line(error)}", self._where, todo) from None
        try:
            self._connection.execute("set default_transaction_read_only = on")
            self._connection.execute(f"set statement_timeout = '{SEARCH_S}s'")
            self._connection.execute("select id, text from passages limit 0")
        except psycopg.Error as error:
            self._connection.close()
            todo = "make a table or a view passages with the columns id and text"
            raise BadInput(f"has no passages: {_one_line(error)}", self._where, todo) from None

    def search(self, query: str, limit: int) -> list[Passage]:
        """See `Database`."""
        import psycopg

        asked = " or ".join(f'"{word}"' for word in words(query)[:MOST_WORDS])
        try:
            found = self._connection.execute(_SEARCH, (asked, limit)).fetchall() if asked else []
        except psycopg.Error as error:
            todo = "see that the server runs, then run again to go on"
            raise StageFailed(f"cannot be searched: {_one_line(error)}", self._where, todo) from None
        return [Passage(id=whole(str(id)), text=whole(str(text))) for id, text in found]

    def close(self) -> None:
        """See `Database`."""
        self._connection.close()


def _one_line(error: Any) -> str:
    return " ".join(str(error).split())
