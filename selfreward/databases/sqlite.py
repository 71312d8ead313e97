"""Passages in one SQLite file, found by FTS5 and ranked by BM25.

FTS5 ranks every passage that holds a word of the query, a microsecond each, and a word such as "the" stands in all. So a
query takes its rarest words, as many as stand in `MOST_RANKED` passages together; the words left out tell passages apart least.
How many passages hold a frequent word was counted when the file was made.
"""

import hashlib
import sqlite3
import unicodedata
from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from selfreward.databases.base import MOST_WORDS, words
from selfreward.errors import BadInput, StageFailed
from selfreward.records import Passage
from selfreward.store.files import saving_file

APPLICATION_ID = 0x53525044  # says in the header of the file that it is one of ours
VERSION = 1  # of the tables
AT_ONCE = 10_000  # passages in memory while a file is made
FREQUENT = 1_000  # passages with a word, above which their number is kept
MOST_RANKED = 10_000  # passages

_TABLES = """
    create table passages(id integer primary key, source text not null, text text not null);
    create virtual table words using fts5(
        text, content = 'passages', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
    );
    create table frequent(word text primary key, passages integer not null) without rowid;
    create table about(digest text not null);
"""
_COUNT_FREQUENT = """
    create virtual table temp.vocabulary using fts5vocab(main, words, row);
    insert into frequent select term, doc from temp.vocabulary where doc > {};
"""
_SEARCH = """
    select source, text from (select rowid as id, rank from words where words match ? order by rank limit ?)
    join passages using (id) order by rank, id
"""


class SqliteDatabase:
    """A database that `fill` made, for reading; `where` names it in messages."""

    def __init__(self, file: sqlite3.Connection, where: object) -> None:
        """BadInput where there are no passages in it."""
        self._file, self._where = file, where
        try:
            (application,) = file.execute("pragma application_id").fetchone()
            (version,) = file.execute("pragma user_version").fetchone()
            if (application, version) != (APPLICATION_ID, VERSION):
                raise BadInput("not a database of passages", where, "make one with: selfreward index FOLDER --to FILE")
            (self.digest,) = file.execute("select digest from about").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise BadInput(f"cannot be opened as a database: {error}", where, "make it again") from None

    def search(self, query: str, limit: int) -> list[Passage]:
        """See `Database`."""
        try:
            wanted = self._query(words(query))
            found = self._file.execute(_SEARCH, (wanted, limit)).fetchall() if wanted else []
        except sqlite3.Error as error:
            raise StageFailed(f"cannot be searched: {error}", self._where, "make the database again") from None
        return [Passage(id=source, text=text) for source, text in found]

    def close(self) -> None:
        """See `Database`."""
        self._file.close()

    def _query(self, asked: list[str]) -> str:
        """A query of FTS5 for the rarest of the words, empty where there are none.

        Where each is so frequent that it alone is too many, both of the two rarest are wanted.
        """
        number = {word: self._passages(word) for word in asked}
        rarest = sorted(number, key=lambda word: number[word])[:MOST_WORDS]
        taken, ranked = [], 0
        for word in rarest:
            ranked += number[word]
            if ranked > MOST_RANKED:
                break
            taken.append(word)
        return " OR ".join(f'"{word}"' for word in taken) or " AND ".join(f'"{word}"' for word in rarest[:2])

    def _passages(self, word: str) -> int:
        """How many passages hold a word; FREQUENT where that was not counted, as there are no more."""
        found = self._file.execute("select passages from frequent where word = ?", (_plain(word),)).fetchone()
        return int(found[0]) if found else FREQUENT


def open_sqlite(path: Path) -> SqliteDatabase:
    """A file made by `write_sqlite`; BadInput where it is something else."""
    file = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
    file.execute("pragma trusted_schema = off")  # the file may have been made by anybody
    return SqliteDatabase(file, path)


def write_sqlite(path: Path, passages: Iterable[Passage]) -> None:
    """Writes passages into a new file, which appears when it is whole. StageFailed where the disk does not take it."""
    with saving_file(path) as unfinished, closing(sqlite3.connect(unfinished)) as file:
        try:
            fill(file, passages)
        except sqlite3.Error as error:
            raise StageFailed(f"cannot be written: {error}", path, "make room, and run again") from error


def fill(file: sqlite3.Connection, passages: Iterable[Passage]) -> None:
    """Makes the tables of an empty database, and their content."""
    digest, rest, number = hashlib.sha256(), iter(passages), 0
    # Nobody reads the file before it is whole, and a torn one is thrown away.
    file.executescript("pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -65536;")
    file.executescript(f"pragma application_id = {APPLICATION_ID}; pragma user_version = {VERSION};{_TABLES}")
    while some := list(islice(rest, AT_ONCE)):
        rows = [(place, one.id, one.text) for place, one in enumerate(some, start=number + 1)]
        file.executemany("insert into passages values (?, ?, ?)", rows)
        file.executemany("insert into words(rowid, text) values (?, ?)", [(place, text) for place, _, text in rows])
        for one in some:
            digest.update(one.model_dump_json().encode())
        number += len(some)
    file.executescript(_COUNT_FREQUENT.format(FREQUENT))
    file.execute("insert into about values (?)", (digest.hexdigest(),))
    file.commit()


def _plain(word: str) -> str:
    """A word as FTS5 keeps it: without accents."""
    parts = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(char for char in parts if not "\u0300" <= char <= "\u036f"))
