"""Passages out of texts: files of text and Markdown by paragraph, JSONL, JSON and Parquet by row, alone or in folders.

A passage has the place at which a person finds it. What has no text is counted; what cannot be read is refused, since a
judge that looks things up in half of a database takes silence for an answer.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput
from selfreward.recipe import Source
from selfreward.records import Passage
from selfreward.seeds.rows import RawRow, rows
from selfreward.text import whole

TEXTS = (".txt", ".md", ".markdown")
TABLES = (".jsonl", ".ndjson", ".json", ".parquet", ".jsonl.gz", ".ndjson.gz", ".json.gz")
COLUMNS = ("text", "passage", "contents", "content", "body")  # where the text of a row stands, the first that is there
TITLE = "title"  # stands before each passage of its row
LONGEST = 1000  # characters of a passage; a longer paragraph is cut between sentences

_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*$")


def passages_of(source: Path, counts: Counter[str]) -> Iterator[Passage]:
    """All passages of a file or of a folder's files, by name; counts what became of files and rows.

    `counts` gets files, passages, rows_without_text and other_files. BadInput where nothing is there, and for the first
    file or row that cannot be read.
    """
    if not source.exists():
        raise BadInput("no such file or folder", source, "give texts to be looked up")
    if source.is_file() and not _is_read(source):
        raise BadInput("not a file that can be read", source, f"give one of: {', '.join((*TEXTS, *TABLES))}")
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    for path in files:
        if not _is_read(path):
            counts["other_files"] += 1
            continue
        counts["files"] += 1
        name = path.relative_to(source).as_posix() if source.is_dir() else path.name
        found = _of_text(path, name) if path.suffix.lower() in TEXTS else _of_rows(path, name, counts)
        for passage in found:
            counts["passages"] += 1
            yield passage


def _is_read(path: Path) -> bool:
    return path.name.lower().endswith((*TEXTS, *TABLES))


def _of_text(path: Path, name: str) -> Iterator[Passage]:
    """Paragraphs, each with the heading of Markdown that it stands under."""
    heading = ""
    for line, paragraph in _paragraphs(path):
        found = _HEADING.match(paragraph[0]) if path.suffix.lower() != ".txt" else None
        if found:
            heading, paragraph = found[1], paragraph[1:]
        yield from _cut(f"{name}:{line}", heading, " ".join(paragraph))


def _paragraphs(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, its lines) of each paragraph: what stands between empty lines or headings."""
    lines: list[str] = []
    first = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                line = line.strip()
                if lines and (not line or _HEADING.match(line)):
                    yield first, lines
                    lines = []
                if line:
                    first = first if lines else number
                    lines.append(line)
    except UnicodeDecodeError as error:
        todo = "save it as UTF-8, or take it out of the folder"
        raise BadInput(f"not UTF-8 text: {error.reason}", path, todo) from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", path, "take it out of the folder, or mend it") from None
    if lines:
        yield first, lines


def _of_rows(path: Path, name: str, counts: Counter[str]) -> Iterator[Passage]:
    """The texts of rows, each behind its title where it has one."""
    for raw in rows(Source(path=str(path))):
        values = _object(raw)
        text = next((values[column] for column in COLUMNS if isinstance(values.get(column), str)), "")
        if not text.strip():
            counts["rows_without_text"] += 1
            continue
        title = values.get(TITLE)
        place = name + raw.place.removeprefix(str(path))
        yield from _cut(place, title if isinstance(title, str) else "", text)


def _object(raw: RawRow) -> dict[str, Any]:
    try:
        values = json.loads(raw.value) if isinstance(raw.value, bytes) else raw.value
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}", raw.place, "mend or delete this line") from None
    if not isinstance(values, dict):
        what = f"not an object, but {type(values).__name__}"
        raise BadInput(what, raw.place, f"a row has its text under one of: {', '.join(COLUMNS)}")
    return values


def _cut(place: str, heading: str, text: str) -> Iterator[Passage]:
    """A text as passages of at most LONGEST characters, `place` of the first, then `place#2` and so on."""
    before = f"{' '.join(heading.split())}: " if heading.strip() else ""
    for number, part in enumerate(_parts(text), start=1):
        yield Passage(id=place if number == 1 else f"{place}#{number}", text=whole(before + part))


def _parts(text: str) -> Iterable[str]:
    """A text in parts of whole sentences; a sentence that is longer is cut between words, a word that is longer anywhere."""
    part = ""
    for sentence in re.split(r"(?<=[.!?。！？])\s+", " ".join(text.split())):
        for piece in _pieces(sentence):
            if part and len(part) + 1 + len(piece) > LONGEST:
                yield part
                part = ""
            part = f"{part} {piece}" if part else piece
    if part:
        yield part


def _pieces(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST:
        end = sentence.rfind(" ", 1, LONGEST + 1)
        end = end if end > 0 else LONGEST
        yield sentence[:end]
        sentence = sentence[end:].lstrip()
    if sentence:
        yield sentence
