"""Files that a killed process leaves whole: JSON and folders that appear by rename, JSONL that is only appended to.

How records are read from JSONL, and made where they are missing, is in `lines` and `filling`.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from selfreward.errors import BadInput, StageFailed
from selfreward.records import Record
from selfreward.text import whole

R = TypeVar("R", bound=Record)
T = TypeVar("T")


# How libraries that are not Python's tell of a disk: Rust's (safetensors, tokenizers), and torch.save, which does not name it.
_OF_RUST, _OF_TORCH = "(os error ", ("inline_container.cc", "PytorchStreamWriter")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a full or read-only disk into one clear line; whole lines and finished files stay."""
    try:
        yield
    except Exception as error:
        is_torchs = any(words in str(error) for words in _OF_TORCH)
        if not (isinstance(error, OSError) or is_torchs or _OF_RUST in str(error)):
            raise
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        if is_torchs:
            reason = f"it ended in the middle, as on a full disk: {reason}"
        todo = "what was finished is kept; run again to go on"
        raise StageFailed(f"cannot be written: {reason}", path, todo) from error


def _flush(file: IO[bytes]) -> None:
    """Hands a file's bytes to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Hands a folder's names to the disk: without it a power cut may take back a rename whose file was flushed."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Replaces a file's content in one step, with the text made `whole`: a reader sees the old file or the new one."""
    _write(path, [whole(text).encode()])


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """Replaces a file's content in one step by parts that need not all be in memory."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".tmp")
        with beside.open("wb") as file:
            file.writelines(parts)
            _flush(file)
        os.replace(beside, path)
        _flush_folder(path.parent)


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
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """JSON as `write_json` writes it: equal values give equal bytes."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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


def parsed(path: Path, parse: Callable[[bytes], T], kind: str) -> Iterator[tuple[int, T]]:
    """(where a line begins, what `parse` makes of it) for every line of a file, one in memory at a time.

    A torn last line is left out, any other that fails is BadInput with file:line.
    """
    begin = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    try:
                        yield begin, parse(line)
                    except (ValueError, RecursionError) as error:  # pydantic's are ValueErrors too
                        if not line.endswith(b"\n"):
                            return
                        todo = "mend or delete this line; a run makes again what is missing"
                        raise BadInput(f"not a {kind}: {_fault(error)}", f"{path}:{number}", todo) from None
                begin += len(line)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", path) from None


def _fault(error: Exception) -> str:
    """What is wrong with a line, in a few words."""
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place + ': ' if place else ''}{fault['msg']}"


def _line(record: Record) -> str:
    """A record as a line of JSON. A lone surrogate, which UTF-8 cannot write, is escaped, and everything beside it."""
    try:
        return record.model_dump_json()
    except PydanticSerializationError:
        return json.dumps(record.model_dump())


def read_record(record_type: type[R], line: bytes) -> R:
    """The record of a line; pydantic's own reader of JSON refuses lone surrogates."""
    try:
        return record_type.model_validate_json(line)
    except ValidationError:
        if b"\\ud" not in line.lower():
            raise
        return record_type.model_validate(json.loads(line))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All lines of a JSONL file that holds no records, such as the metrics; none where there is no file."""
    return [row for _, row in parsed(path, json.loads, "line of JSON")] if path.exists() else []


def last_line(path: Path) -> bytes:
    """What follows the last line feed: nothing, or a line that was being written."""
    rest = b""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - 2**16)
            file.seek(begin)
            block = file.read(end - begin)
            _, feed, after = block.rpartition(b"\n")
            rest = (after if feed else block) + rest
            if feed:
                break
            end = begin
    return rest


def mend(path: Path) -> int:
    """Makes a file end on a line feed: cuts a torn last line off, completes one that lacks the line feed alone.

    Returns the number of bytes that were cut off.
    """
    rest = last_line(path)
    if not rest:
        return 0
    try:
        json.loads(rest)  # the beginning of an object is never JSON itself
    except ValueError:
        os.truncate(path, path.stat().st_size - len(rest))
        return len(rest)
    with path.open("ab") as file:
        file.write(b"\n")
    return 0


def _append(path: Path, lines: Sequence[str]) -> tuple[list[int], int]:
    """Adds whole lines at the end and waits for the disk: where each begins, and bytes of a torn line that were cut off."""
    if not lines:
        return [], 0
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        cut = 0 if is_new else mend(path)
        data = [f"{line}\n".encode() for line in lines]
        with path.open("ab") as file:
            begin = file.tell()
            file.write(b"".join(data))
            _flush(file)
        if is_new:
            _flush_folder(path.parent)
    begins = [begin]
    for line in data[:-1]:
        begins.append(begins[-1] + len(line))
    return begins, cut


def append_row(path: Path, values: Mapping[str, Any]) -> int:
    """Adds one line of JSON to a file that holds no records, such as the metrics; nan and inf become null.

    Returns the number of bytes of a torn line that were cut off before.
    """
    return _append(path, [json.dumps(_plain(dict(values)), ensure_ascii=False, allow_nan=False)])[1]


def append(path: Path, records: Sequence[Record]) -> list[int]:
    """Adds records at the end of a file, which is never written otherwise, and waits for the disk.

    Returns where their lines begin.
    """
    return _append(path, [_line(record) for record in records])[0]


def write_once(path: Path, records: Sequence[R]) -> Sequence[R]:
    """Writes a whole file of records in one step; where it is there already, it must say the same.

    For what is a function of files that were there before: a run that goes on makes it again and checks itself. Returns
    `records`; StageFailed where the file says something else.
    """
    lines = (f"{_line(record)}\n".encode() for record in records)
    if not path.exists():
        _write(path, lines)
        return records
    with path.open("rb") as file:
        if not all(file.readline() == line for line in lines) or file.read(1):
            raise StageFailed("differs from what its sources give", path, "delete it to have it made again")
    return records


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
            elif path.is_dir():
                _flush_folder(path)
        _flush_folder(beside)
        os.rename(beside, folder)
        _flush_folder(folder.parent)


@contextmanager
def saving_file(path: Path) -> Iterator[Path]:
    """As `saving`, for a file that something else writes: yields the place to write it to."""
    if path.exists():
        raise StageFailed("is there already", path, "delete it to have it made again")
    beside = path.with_name(path.name + ".tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        try:
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            os.rename(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)


def moved(folder: Path, target: Path) -> None:
    """Gives a complete folder another place on the same disk, in one step."""
    with writing(target):
        os.rename(folder, target)
        _flush_folder(target.parent)
        _flush_folder(folder.parent)
