"""The records of a file as a sequence that is read when it is asked for, so that a file may be larger than the memory."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, overload

from selfreward.errors import StageFailed
from selfreward.records import Record
from selfreward.store.files import parsed, read_record

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Lazy(Sequence[T]):
    """A sequence whose items are made when they are asked for; equal to any other with equal items."""

    def __iter__(self) -> Iterator[T]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(ours == theirs for ours, theirs in zip(self, other, strict=True))


class Lines(Lazy[R], Generic[R]):
    """Records of a file in an order of their own; eight bytes of each are in memory. The file must only be appended to."""

    def __init__(self, path: Path, record_type: type[R], begins: Sequence[int]) -> None:
        self.path, self.record_type = path, record_type
        self._begins = begins  # where the line of each record begins
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self._begins)

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> "Lines[R]": ...
    def __getitem__(self, place: int | slice) -> "R | Lines[R]":
        if isinstance(place, slice):
            return Lines(self.path, self.record_type, self._begins[place])
        if self._file is None:
            self._file = self.path.open("rb")
        self._file.seek(int(self._begins[place]))
        try:
            return read_record(self.record_type, self._file.readline())
        except ValueError as error:
            raise StageFailed(f"was changed while it was in use: {error}", self.path) from None

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def stream(path: Path, record_type: type[R]) -> Iterator[R]:
    """The records of a file one by one. A torn last line is left out; any other damage is BadInput with file:line."""
    return (record for _, record in parsed(path, partial(read_record, record_type), record_type.__name__))


def read(path: Path, record_type: type[R]) -> list[R]:
    """All records of a file at once; see `stream`."""
    return list(stream(path, record_type))


def open_lines(path: Path, record_type: type[R]) -> Lines[R]:
    """The records of a file in its order, read when they are looked at; those added later are not among them."""
    return Lines(path, record_type, index(path, record_type)[1])


def index(path: Path, record_type: type[R]) -> tuple[Any, Any]:
    """(hashes of the ids, where the lines begin) of a file's records, two numpy arrays; both empty where there is no file.

    The hash is Python's, of 64 bits and this process alone: of a million ids two are taken for one another once in 30
    million runs.
    """
    import numpy as np

    hashes, begins = bytearray(), bytearray()
    if path.exists():
        for begin, record in parsed(path, partial(read_record, record_type), record_type.__name__):
            hashes += hash(id_of(record)).to_bytes(8, "little", signed=True)
            begins += begin.to_bytes(8, "little", signed=True)
    return np.frombuffer(hashes, "<i8"), np.frombuffer(begins, "<i8")


def id_of(record: Any) -> str:
    """A record's id; all that stand in files have one."""
    return str(record.id)
