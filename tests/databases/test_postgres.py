"""Postgres as a database of passages, against a server of its own; skipped where there are no programs to start one."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from support_databases import FISH, postgres_programs, postgres_server

from selfreward.databases import open_database
from selfreward.errors import BadInput, StageFailed

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database `fish` with the passages FISH, as the documents say to make it, and one, `empty`, without any."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("there are no programs of Postgres, or nobody but root to run them")
    with postgres_server(programs) as socket:
        url = f"postgresql://tester@/{{}}?host={socket}"
        for name in ("fish", "empty"):
            with _connected(url.format("postgres")) as connection:
                connection.execute(f"create database {name}")
        with _connected(url.format("fish")) as connection:
            connection.execute("create table passages(id text primary key, text text not null)")
            for one in FISH:
                connection.execute("insert into passages values (%s, %s)", (one.id, one.text))
            connection.execute("create index on passages using gin (to_tsvector('simple', text))")
        yield url


def _connected(url: str, within_s: float = 30) -> Any:
    """A connection, once the server takes one."""
    end = time.monotonic() + within_s
    while True:
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_the_passage_that_shares_most_words_comes_first(url: str) -> None:
    database = open_database(url.format("fish"))
    assert database.search("Where does the carp live, in slow rivers?", 3)[0] == FISH[1]
    assert database.search("ZANDER im Süßwasser", 1) == [FISH[3]]
    assert len(database.search("the river of fish", 2)) == 2
    assert database.search("quantum", 2) == database.search("", 2) == database.search("\x00 \ud800", 2) == []
    assert database.digest is None
    database.close()
    database.close()


@pytest.mark.parametrize(
    "query", ["cod' or 1=1; drop table passages; --", "cod & (", "cod:* | !carp", "or or or cod %s"]
)
def test_a_query_is_words_and_no_language(url: str, query: str) -> None:
    database = open_database(url.format("fish"))
    assert FISH[0] in database.search(query, 5)
    database.close()


def test_a_database_without_passages_is_refused_and_a_server_that_ends_fails_its_stage(url: str) -> None:
    with pytest.raises(BadInput, match=r"postgresql:///empty: has no passages: .*make a table or a view passages"):
        open_database(url.format("empty"))
    with pytest.raises(BadInput, match=r'cannot be opened: .*"none" does not exist'):
        open_database(url.format("none"))
    database = open_database(url.format("fish"))
    with _connected(url.format("fish")) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'fish' and pid <> pg_backend_pid()"
        )
    with pytest.raises(StageFailed, match="cannot be searched"):
        database.search("cod", 1)
    database.close()


def test_nothing_that_is_asked_can_write(url: str) -> None:
    database: Any = open_database(url.format("fish"))
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        database._connection.execute("delete from passages")
    database.close()
