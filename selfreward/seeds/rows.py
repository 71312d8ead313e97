"""Rows of data from a file, a folder or the hub, each with the place where a person finds it.

Nothing that comes with data is executed. The network is used for a hub data set that the recipe names, and for nothing else.
"""

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput
from selfreward.recipe import Source

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_OF_A_FILE = (".jsonl", ".ndjson", ".json", ".parquet", ".gz")  # a mistyped file name must not be asked of the hub
_AGAIN = "write or fetch the file again"


@dataclass(frozen=True)
class RawRow:
    """What stands at a place, not yet checked."""

    place: str  # data.jsonl:7
    value: Any  # bytes are a line of JSON


def rows(source: Source) -> Iterator[RawRow]:
    """Every row of a source, in its order. BadInput where it cannot be opened or read, or is told what it has no use for."""
    path = Path(os.path.expanduser(source.path))
    if not path.exists():
        if _is_hub_name(source.path):
            return _data_set(source, source.path)
        raise BadInput("no such file or folder", path, "give a data file, a folder, or org/name on the hub")
    if path.is_dir():
        _refuse(source, ("subset", "revision"))
        return _data_set(source, str(path))
    if not path.is_file():
        raise BadInput("is a pipe, a socket or a device, no file", path, "write its data into a file")
    _refuse(source, ("split", "subset", "revision"))
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return _json_lines(path)
    if name.endswith(".json"):
        return _json(path)
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    raise BadInput("not a data file that can be read", path, "give .jsonl, .json (these may be .gz) or .parquet")


def _is_hub_name(path: str) -> bool:
    """Whether a path that is not there can only be a name on the hub: where its folder is there, a file was meant."""
    return _HUB_NAME.fullmatch(path) is not None and not path.endswith(_OF_A_FILE) and not Path(path).parent.exists()


def _refuse(source: Source, settings: tuple[str, ...]) -> None:
    """BadInput for a setting that would have no effect on this source."""
    if said := [name for name in settings if getattr(source, name) is not None]:
        raise BadInput(f"{said[0]} has no meaning for what lies on the disk", source.path, "leave it out")


def _bytes(path: Path) -> Iterator[bytes]:
    """The lines of a file that may be compressed."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"cannot be read: {getattr(error, 'strerror', None) or error}", path, _AGAIN) from None


def _json_lines(path: Path) -> Iterator[RawRow]:
    for number, line in enumerate(_bytes(path), start=1):
        if line.strip():
            yield RawRow(f"{path}:{number}", line)


def _json(path: Path) -> Iterator[RawRow]:
    """A JSON list: Alpaca's and ShareGPT's files are one. Fault and place are those of the whole where it is no JSON."""
    try:
        values = json.loads(b"".join(_bytes(path)))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}", path, "is it .jsonl, one object a line?") from None
    if not isinstance(values, list):
        raise BadInput("not a list of objects", path, "give a JSON list, or one object a line in a .jsonl file")
    for number, value in enumerate(values, start=1):
        yield RawRow(f"{path}: item {number}", value)


def _parquet(path: Path) -> Iterator[RawRow]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield RawRow(f"{path}: row {number}", values)
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInput(f"not a Parquet file that can be read: {_first_line(error)}", path, _AGAIN) from None


def _data_set(source: Source, path: str) -> Iterator[RawRow]:
    """A folder or a hub data set, as the `datasets` library finds it."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the library is imported
    import datasets

    datasets.disable_progress_bars()
    split = source.split or "train"
    try:
        found = datasets.load_dataset(path, name=source.subset, split=split, revision=source.revision)
    except Exception as error:  # the library lets those of a dozen others through
        raise BadInput(f"cannot be loaded: {_first_line(error)}", path, _remedy(error)) from error
    for number, values in enumerate(found, start=1):
        yield RawRow(f"{path}, {split}: row {number}", values)


def _remedy(error: Exception) -> str:
    """What to do about a data set that cannot be loaded."""
    if "gated" in str(error):
        return "accept its terms on the hub, then `hf auth login`; or give the path of a copy"
    if isinstance(error, ConnectionError):
        return "connect to the network, or give the path of a copy"
    return "check path, subset, split and revision"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
