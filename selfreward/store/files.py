"""Files that a killed process leaves whole: JSON and folders that appear by rename, JSONL that is only appended to.

JSONL is the progress: `fill` makes only what a file does not hold yet, so that a killed run owes at most one batch.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from selfreward.errors import BadInput, StageFailed
from selfreward.progress import Progress
from selfreward.records import Record
from selfreward.text import whole

R = TypeVar("R", bound=Record)
T = TypeVar("T")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a full or read-only disk into one clear line; whole lines and finished files stay."""
    try:
        yield
    except Exception as error:
        # Libraries written in Rust (safetensors, tokenizers) name the system's error in their text alone.
        if not isinstance(error, OSError) and "(os error " not in str(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        todo = "what was finished is kept; run again to go on"
        raise StageFailed(f"cannot be written: {reason}", path, todo) from error


def _flush(file: IO[bytes]) -> None:
    """Hands a file's bytes to the disk."""
    file.flush()
    os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Replaces a file's content in one step: a reader sees the old file or the new one."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".tmp")
        with beside.open("wb") as file:
            file.write(text.encode())
            _flush(file)
        os.replace(beside, path)


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's, and those that JSON has no word for (nan, inf) as null; texts `whole`."""
    if isinstance(value, dict):
        return {whole(str(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one step, indented for a person; nan and inf become null."""
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file of ours holds; BadInput where it is missing or damaged."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", path) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}", path, "delete the file to have it made again") from None
    if not isinstance(value, dict):
        raise BadInput("not a JSON object", path, "delete the file to have it made again")
    return value


def _lines(path: Path) -> tuple[list[bytes], bytes]:
    """The whole lines of a file, and what follows the last line feed: nothing, or a line that was being written."""
    try:
        *whole, rest = path.read_bytes().split(b"\n")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", path) from None
    return whole, rest


def _parsed(path: Path, parse: Callable[[bytes], T], kind: str) -> list[T]:
    """Every line through `parse`; a torn last line is left out, any other that fails is BadInput with file:line."""
    whole, rest = _lines(path)
    items = []
    for number, line in enumerate([*whole, rest], start=1):
        if not line.strip():
            continue
        try:
            items.append(parse(line))
        except ValidationError as error:
            if number > len(whole):
                break
            fault = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            what = f"not a {kind}: {place + ': ' if place else ''}{fault['msg']}"
        except ValueError as error:
            if number > len(whole):
                break
            what = f"not a {kind}: {error}"
        else:
            continue
        raise BadInput(what, f"{path}:{number}", "mend or delete this line; a run makes again what is missing")
    return items


def _line(record: Record) -> str:
    """A record as a line of JSON. A lone surrogate, which UTF-8 cannot write, is escaped, and everything beside it."""
    try:
        return record.model_dump_json()
    except PydanticSerializationError:
        return json.dumps(record.model_dump())


def _record(record_type: type[R], line: bytes) -> R:
    """The record of a line; pydantic's own reader of JSON refuses lone surrogates."""
    try:
        return record_type.model_validate_json(line)
    except ValidationError:
        if b"\\ud" not in line.lower():
            raise
        return record_type.model_validate(json.loads(line))


def read(path: Path, record_type: type[R]) -> list[R]:
    """All records of a file. A torn last line is left out; any other damage is BadInput with file:line."""
    return _parsed(path, partial(_record, record_type), record_type.__name__)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All lines of a JSONL file that holds no records, such as the metrics; none where there is no file."""
    return _parsed(path, json.loads, "line of JSON") if path.exists() else []


def _mend(path: Path) -> None:
    """Makes a file end on a line feed: cuts a torn last line off, completes one that lacks the line feed alone."""
    _, rest = _lines(path)
    if not rest:
        return
    try:
        json.loads(rest)  # the beginning of an object is never JSON itself
        with path.open("ab") as file:
            file.write(b"\n")
    except ValueError:
        os.truncate(path, path.stat().st_size - len(rest))


def _append(path: Path, lines: Sequence[str]) -> None:
    """Adds whole lines at the end and waits for the disk."""
    if not lines:
        return
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _mend(path)
        with path.open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
            _flush(file)


def append_row(path: Path, values: Mapping[str, Any]) -> None:
    """Adds one line of JSON to a file that holds no records, such as the metrics; nan and inf become null."""
    _append(path, [json.dumps(_plain(dict(values)), ensure_ascii=False, allow_nan=False)])


def append(path: Path, records: Sequence[Record]) -> None:
    """Adds records at the end of a file, which is never written otherwise, and waits for the disk."""
    _append(path, [_line(record) for record in records])


def write_once(path: Path, records: Sequence[R]) -> list[R]:
    """Writes a whole file of records in one step; where it is there already, it must say the same.

    For what is a function of files that were there before: a run that goes on makes it again and checks itself. Returns
    `records`; StageFailed where the file says something else.
    """
    text = "".join(f"{_line(record)}\n" for record in records)
    if not path.exists():
        write_text(path, text)
    elif path.read_bytes() != text.encode():
        raise StageFailed("differs from what its sources give", path, "delete it to have it made again")
    return list(records)


def _id(record: Record) -> str:
    """A record's id; all that stand in files have one."""
    return cast(str, cast(Any, record).id)


def fill(
    path: Path,
    record_type: type[R],
    wanted: Sequence[T],
    key: Callable[[T], str],
    make: Callable[[list[T]], list[R]],
    batch: int,
    progress: Progress,
) -> list[R]:
    """Makes only what the file does not hold yet; returns one record for each item of `wanted`, in that order.

    An item and its record are joined by `key(item) == record.id`, never by position. `make` turns at most `batch`
    items into their records, in any order; each batch is on disk before the next begins, so that a killed run owes at
    most one, and one whose `make` fails owes what is not in `StageFailed.made`. StageFailed where `make` returns other ids
    than it was asked for.
    """
    if path.exists():
        with writing(path):
            _mend(path)  # even where nothing is missing: a kill may have cost no more than the last line feed
    held = {_id(record): record for record in read(path, record_type)} if path.exists() else {}
    items = {key(item): item for item in wanted}
    missing = [item for id_, item in items.items() if id_ not in held]
    with progress.stage(f"{path.parent.name} {path.stem}", len(items), len(items) - len(missing)) as advance:
        for begin in range(0, len(missing), batch):
            asked = missing[begin : begin + batch]
            try:
                made = {_id(record): record for record in make(asked)}
            except StageFailed as failed:
                finished = {_id(record): record for record in failed.made}
                append(path, [finished[key(item)] for item in asked if key(item) in finished])
                raise
            if made.keys() != {key(item) for item in asked}:
                wrong = sorted(made.keys() ^ {key(item) for item in asked})
                raise StageFailed(f"records and items do not match: {', '.join(wrong[:3])}", path)
            append(path, [made[key(item)] for item in asked])
            held |= made
            advance(len(asked))
    return [held[key(item)] for item in wanted]


@contextmanager
def saving(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to write into, renamed to `folder` at the end: a folder that exists is complete.

    Where the block raises, `folder` does not appear. StageFailed where it is there already.
    """
    if folder.exists():
        raise StageFailed("is there already", folder, "delete it to have it made again")
    beside = folder.with_name(folder.name + ".tmp")
    with writing(folder):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        for path in beside.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        os.rename(beside, folder)
