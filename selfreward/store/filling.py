"""`fill`, and `Filling` for several goes: make only what a file does not hold yet, so that a killed run owes at most one batch."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from selfreward.errors import StageFailed
from selfreward.progress import Progress
from selfreward.records import Record
from selfreward.store.files import append, mend, writing
from selfreward.store.lines import Lines, id_of, index

R = TypeVar("R", bound=Record)
T = TypeVar("T")


def fill(
    path: Path,
    record_type: type[R],
    wanted: Sequence[T],
    key: Callable[[T], str],
    make: Callable[[list[T]], list[R]],
    batch: int,
    progress: Progress,
) -> Lines[R]:
    """Makes only what the file does not hold yet; returns one record for each item of `wanted`, in that order.

    An item and its record are joined by `key(item) == record.id`, never by position. `make` turns at most `batch`
    items into their records, in any order; each batch is on disk before the next begins, so that a killed run owes at
    most one, and one whose `make` fails owes what is not in `StageFailed.made`. A line that a kill had torn is cut off
    and logged. In memory are a batch and 40 bytes of each item. StageFailed where `make` returns other ids than it was
    asked for.
    """
    _mend(path, progress)
    begins, place_of, missing = _missing(path, record_type, (hash(key(item)) for item in wanted), len(wanted))
    with progress.stage(f"{path.parent.name} {path.stem}", len(begins), len(begins) - len(missing)) as advance:
        for first in range(0, len(missing), batch):
            places = [int(place) for place in missing[first : first + batch]]
            begins[place_of[places]] = _make(path, [wanted[place] for place in places], key, make)
            advance(len(places))
    return Lines(path, record_type, begins[place_of])


class Filling(Generic[R]):
    """A file that is filled in several goes, since what is wanted next hangs on what was made before; it is read through once.

    In memory are a hash and a number of each record.
    """

    def __init__(self, path: Path, record_type: type[R], progress: Progress) -> None:
        self.path, self.record_type = path, record_type
        _mend(path, progress)
        held, begins = index(path, record_type)
        self._begins: dict[int, int] = dict(zip(held.tolist(), begins.tolist(), strict=True))

    def fill(self, wanted: Sequence[T], key: Callable[[T], str], make: Callable[[list[T]], list[R]]) -> Lines[R]:
        """One record for each item, in that order; what the file does not hold is one batch. See `fill`."""
        hashes = [hash(key(item)) for item in wanted]
        missing = {h: item for h, item in zip(hashes, wanted, strict=True) if h not in self._begins}  # each id once
        if missing:
            begins = _make(self.path, list(missing.values()), key, make)
            self._begins |= dict(zip(missing, begins, strict=True))
        return Lines(self.path, self.record_type, [self._begins[hashed] for hashed in hashes])


def _mend(path: Path, progress: Progress) -> None:
    """Cuts a line off that a kill had torn, and logs it."""
    if path.exists():
        with writing(path):
            cut = mend(path)  # even where nothing is missing: a kill may have cost no more than the last line feed
        if cut and progress.log is not None:
            progress.log(torn=f"{path.parent.name}/{path.name}", bytes=cut)


def _make(path: Path, items: list[T], key: Callable[[T], str], make: Callable[[list[T]], list[R]]) -> list[int]:
    """Makes the records of a batch and adds them to the file in the order of the items; returns where their lines begin."""
    asked = [key(item) for item in items]
    try:
        made = {id_of(record): record for record in make(items)}
    except StageFailed as failed:
        finished = {id_of(record): record for record in failed.made}
        append(path, [finished[id] for id in asked if id in finished])
        raise
    if made.keys() != set(asked):
        raise StageFailed(f"records and items do not match: {', '.join(sorted(made.keys() ^ set(asked))[:3])}", path)
    return append(path, [made[id] for id in asked])


def _missing(path: Path, record_type: type[Record], wanted: Iterable[int], num: int) -> tuple[Any, Any, Any]:
    """Numpy arrays that say what a file lacks; `wanted` are the hashes of the `num` ids that it is to hold.

    `begins` has, for every different id, where its line begins (-1: not there), `place_of` the place in `begins` of every
    item, and the third the items of `wanted` to be made, each id once, in order.
    """
    import numpy as np

    held, lines = index(path, record_type)
    ids, first, place_of = np.unique(np.fromiter(wanted, np.int64, num), return_index=True, return_inverse=True)
    order = np.argsort(held, kind="stable")
    found = np.searchsorted(held, ids, side="right", sorter=order) - 1  # of an id that stands twice, the last
    begins = np.full(len(ids), -1, np.int64)
    if len(held):
        last = order[np.maximum(found, 0)]
        begins = np.where((found >= 0) & (held[last] == ids), lines[last], -1)
    return begins, place_of, np.sort(first[begins < 0])
