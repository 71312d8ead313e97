"""The index of one file of records: where lines begin, whose they are, what can be filtered, and a full-text search.

It is a SQLite file outside of the run and can be deleted at any time. It holds for the file of the same size and time of change;
of one that was only added to, its beginning is kept. While it is made it can be asked, and says how much of the file it knows.

    python -m selfreward.viewer.index FILE INDEX

makes one, at low priority.
"""

import fcntl
import json
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from selfreward.records import digest
from selfreward.store.files import last_line
from selfreward.viewer.kinds import Entry, Kind, kind_of

VERSION = 1  # of the tables below
COMMIT_BYTES = 2**23  # of the source, after which what was found can be asked for
MOST_COUNTED = 10_000  # lines that are found are not counted beyond
TAIL_BYTES = 4096  # by which a file that was added to is known again
NICE = 10

Order = Literal["file", "highest", "lowest"]

_TABLES = """
create table source (path text, inode integer, size integer, time integer, done integer, tail text);
create table lines (place integer primary key, begin integer, id integer, prompt integer, value real, odd integer);
create index lines_id on lines (id);
create index lines_prompt on lines (prompt);
create index lines_value on lines (value, place);
create index lines_odd on lines (place) where odd;
create virtual table words using fts5 (text, content='', prefix='2 3');
"""


@dataclass(frozen=True)
class Query:
    """What is looked for; all of it must hold."""

    words: str = ""  # words, "phrases in quotation marks", beginnings*
    least: float | None = None  # of the value
    most: float | None = None
    is_odd: bool = False
    ids: frozenset[str] | None = None  # None: any
    order: Order = "file"

    @property
    def is_all(self) -> bool:
        """Whether this is the file as it stands, for which no index is needed."""
        return self == Query()


@dataclass(frozen=True)
class Found:
    """Some of the lines that were looked for."""

    begins: list[int]  # bytes
    num: int  # all that there are, at most MOST_COUNTED + 1


class Index:
    """The index of a file, made or not."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source, self.kind = source.resolve(), kind_of(source.name)
        self.path = folder / f"{digest(VERSION, self.source)}.sqlite"

    def share(self) -> float:
        """How much of the file it knows, 0..1."""
        try:
            with self._open() as database:
                done = _valid_bytes(database, self.source)
        except sqlite3.Error:
            return 0.0
        whole = self.source.stat().st_size - len(last_line(self.source))
        return min(1.0, done / whole) if whole else 1.0

    def num_lines(self) -> int:
        """Lines that it knows."""
        try:
            with self._open() as database:
                return int(database.execute("select coalesce(max(place), 0) from lines").fetchone()[0])
        except sqlite3.Error:
            return 0

    def find(self, query: Query, skip: int, num: int) -> Found:
        """`num` of the lines that are looked for, after `skip` others; none of a file that is not indexed."""
        match = match_of(query.words)
        if query.words.strip() and not match:
            return Found([], 0)
        tables, order = "lines", "place"
        conditions: list[str] = []
        values: list[Any] = []
        if match:
            tables, order = "words join lines on lines.place = words.rowid", "words.rowid"
            conditions, values = ["words match ?"], [match]
        for condition, value in (("value >= ?", query.least), ("value <= ?", query.most)):
            if value is not None:
                conditions, values = [*conditions, condition], [*values, value]
        if query.is_odd:
            conditions.append("odd")
        if query.ids is not None:
            conditions.append(f"id in ({', '.join(str(key(id)) for id in sorted(query.ids))})")
        if query.order != "file":
            conditions.append("value is not null")
            order = f"value {'desc' if query.order == 'highest' else 'asc'}, place"
        where = f"from {tables} where {' and '.join(conditions) or '1'}"
        try:
            with self._open() as database:
                if not _valid_bytes(database, self.source):
                    return Found([], 0)
                page = database.execute(f"select begin {where} order by {order} limit ? offset ?", (*values, num, skip))
                begins = [begin for (begin,) in page]
                counted = database.execute(f"select count(*) from (select 1 {where} limit {MOST_COUNTED + 1})", values)
                return Found(begins, counted.fetchone()[0])
        except sqlite3.Error:
            return Found([], 0)

    def begins(self, column: Literal["id", "prompt"], id: str) -> list[int]:
        """Where the lines of this id, or about this prompt, may begin: two ids in 2**64 pairs are taken for one another."""
        try:
            with self._open() as database:
                if not _valid_bytes(database, self.source):
                    return []
                rows = database.execute(f"select begin from lines where {column} = ? order by place", (key(id),))
                return [begin for (begin,) in rows]
        except sqlite3.Error:
            return []

    def update(self) -> None:
        """Reads what is missing. Where another process is at it, nothing is done."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            try:
                self._update()
            except sqlite3.DatabaseError:  # damaged, as by a power cut
                self._delete()
                self._update()

    def _update(self) -> None:
        with closing(sqlite3.connect(self.path)) as database:
            # Without waiting for the disk: an index that a power cut damages is made again.
            database.executescript("pragma journal_mode = wal; pragma synchronous = off; pragma cache_size = -65536;")
            has_tables = database.execute("select 1 from sqlite_master where name = 'source'").fetchone()
            done = _valid_bytes(database, self.source) if has_tables else 0
            if not done:
                with database:
                    for table in ("source", "lines", "words") if has_tables else ():
                        database.execute(f"drop table {table}")
                    for statement in _TABLES.strip().splitlines():
                        database.execute(statement)
            place = database.execute("select coalesce(max(place), 0) from lines").fetchone()[0]
            with self.source.open("rb") as file:
                while lines := _some_lines(file, done):
                    self._add(database, lines, place, done)
                    place, done = place + len(lines), done + sum(map(len, lines))
                if not place:
                    self._add(database, [], 0, 0)
            database.execute("pragma wal_checkpoint(truncate)")

    def _add(self, database: sqlite3.Connection, lines: list[bytes], place: int, begin: int) -> None:
        """One transaction: lines, and how far the file is known."""
        rows, words = [], []
        for number, line in enumerate(lines, start=place + 1):
            entry = _entry(self.kind, line)
            odd = entry.is_odd or None  # null: not in the index of the odd ones
            rows.append((number, begin, key(entry.id), key(entry.prompt_id), entry.value, odd))
            words.append((number, entry.words))
            begin += len(line)
        with database:
            database.executemany("insert into lines values (?, ?, ?, ?, ?, ?)", rows)
            database.executemany("insert into words (rowid, text) values (?, ?)", words)
            database.execute("delete from source")
            found = self.source.stat()
            values = (
                str(self.source),
                found.st_ino,
                found.st_size,
                found.st_mtime_ns,
                begin,
                _tail(self.source, begin),
            )
            database.execute("insert into source values (?, ?, ?, ?, ?, ?)", values)

    def _delete(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection that reads one moment of the index; sqlite3.Error where there is none."""
        if not self.path.exists():
            raise sqlite3.OperationalError("not there")
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as database:
            database.execute("begin")
            yield database


def key(id: str) -> int:
    """An id as a signed integer of 64 bits."""
    text = id if re.fullmatch("[0-9a-f]{16}", id) else digest("key", id)
    return int.from_bytes(bytes.fromhex(text), "big", signed=True)


def terms(words: str) -> list[str]:
    """The words and phrases that a person looks for, a star at the end of those that are beginnings."""
    found = re.findall(r'"([^"]*)"|([^\s"]+)', words.replace("\x00", " "))  # at which SQLite would end
    return [phrase or word for phrase, word in found if re.search(r"\w", phrase or word)]


def match_of(words: str) -> str:
    """A query of FTS5 that finds lines with all these words; nothing in them is an operator but a star at an end."""
    return " ".join('"' + term.rstrip("*") + '"' + ("*" if term.endswith("*") else "") for term in terms(words))


def forget_gone(folder: Path) -> None:
    """Deletes the indexes of files that are gone."""
    for path in folder.glob("*.sqlite"):
        try:
            with closing(sqlite3.connect(path)) as database:
                (source,) = database.execute("select path from source").fetchone()
            if Path(source).exists():
                continue
        except (sqlite3.Error, TypeError):
            continue  # being made, or damaged, which the next update sees to
        for file in (path, path.with_suffix(".lock")):
            file.unlink(missing_ok=True)


def _valid_bytes(database: sqlite3.Connection, source: Path) -> int:
    """How many bytes of the file, from its beginning, the index has read; 0 where it is of another file."""
    row = database.execute("select inode, size, time, done, tail from source").fetchone()
    if row is None:
        return 0
    inode, size, time, done, tail = row
    found = source.stat()
    if (found.st_ino, found.st_size, found.st_mtime_ns) == (inode, size, time):
        return int(done)
    if found.st_ino == inode and found.st_size > size and _tail(source, done) == tail:
        return int(done)
    return 0


def _tail(source: Path, end: int) -> str:
    """A hash of the bytes before `end`."""
    with source.open("rb") as file:
        file.seek(max(0, end - TAIL_BYTES))
        return digest(file.read(min(end, TAIL_BYTES)).hex())


def _some_lines(file: IO[bytes], begin: int) -> list[bytes]:
    """Whole lines from `begin` on, COMMIT_BYTES or a little more."""
    file.seek(begin)  # after a torn line, which may have been completed since, the file is not where it should be
    lines = file.readlines(COMMIT_BYTES)
    return lines[:-1] if lines and not lines[-1].endswith(b"\n") else lines


def _entry(kind: Kind, line: bytes) -> Entry:
    """What is known of a line; of one that cannot be read, that it is odd."""
    try:
        entry = kind.entry(json.loads(line))
        if "\x00" in entry.words or not entry.words.isascii():
            words = entry.words.replace("\x00", " ").encode(errors="replace").decode()
            return Entry(entry.id, entry.prompt_id, words, entry.value, entry.is_odd)
        return entry
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Entry("", "", "", is_odd=True)


def main() -> None:
    """The command above."""
    source, index = map(Path, sys.argv[1:])
    os.nice(NICE)
    made = Index(source, index.parent)
    made.update()


if __name__ == "__main__":
    main()
