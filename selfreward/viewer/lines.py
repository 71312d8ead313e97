"""Some lines of a large file, from a byte on or before it, without reading the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from selfreward.store.files import last_line

BLOCK_BYTES = 2**16
PAGE_BYTES = 2**21  # a page ends early where its lines are long


@dataclass(frozen=True)
class Line:
    """A whole line of a file."""

    begin: int  # byte
    data: bytes  # without the line feed

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.begin + len(self.data) + 1


def lines_from(path: Path, begin: int, num: int) -> list[Line]:
    """At most `num` whole lines from `begin` on, fewer where they are long, one at least unless the file ends there.

    Empty where no line begins at `begin`. A torn last line is left out.
    """
    found: list[Line] = []
    with path.open("rb") as file:
        if begin:
            file.seek(begin - 1)
            if file.read(1) != b"\n":
                return []
        at = begin
        while len(found) < num and (not found or at - begin < PAGE_BYTES):
            data = file.readline()
            if not data.endswith(b"\n"):
                break
            found.append(Line(at, data[:-1]))
            at += len(data)
    return found


def begin_before(path: Path, end: int, num: int) -> int:
    """Where the page of at most `num` lines begins that ends at byte `end`, where a line does; 0 where there are none."""
    found, last = 0, None
    for count, begin in enumerate(_begins_before(path, end)):
        last = begin if last is None else last
        if count == num or last - begin >= PAGE_BYTES:  # else `lines_from` would not come as far as `end`
            break
        found = begin
    return found


def last_page(path: Path, num: int) -> int:
    """Where the last `num` whole lines begin."""
    return begin_before(path, path.stat().st_size - len(last_line(path)), num)


def _begins_before(path: Path, end: int) -> Iterator[int]:
    """Where the lines before byte `end`, where a line ends, begin; the last first."""
    with path.open("rb") as file:
        stop = end - 1  # the line feed there ends the last of them
        while stop > 0:
            begin = max(0, stop - BLOCK_BYTES)
            file.seek(begin)
            block = file.read(stop - begin)
            place = len(block)
            while (place := block.rfind(b"\n", 0, place)) >= 0:
                yield begin + place + 1
            stop = begin
        if end > 0:
            yield 0
