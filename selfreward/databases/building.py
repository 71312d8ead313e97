"""Building a database of passages out of texts, in one of the forms that are files."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from selfreward.databases.reading import passages_of
from selfreward.databases.sqlite import write_sqlite
from selfreward.databases.tantivy import write_tantivy
from selfreward.errors import BadInput
from selfreward.progress import Progress
from selfreward.records import Passage

FORMS: dict[str, Callable[[Path, Iterable[Passage]], None]] = {"sqlite": write_sqlite, "tantivy": write_tantivy}
AT_ONCE = 1000  # passages between two signs of progress


def build(source: Path, target: Path, form: str, progress: Progress) -> dict[str, int]:
    """Makes a database of a file or a folder; returns how many files and passages it holds and what was left out.

    The database appears when it is whole. BadInput where it is there already, where a file cannot be read and where there
    is no passage; StageFailed where the disk does not take it.
    """
    if target.exists():
        raise BadInput("is there already", target, "delete it, or give another place with --to")
    counts: Counter[str] = Counter(files=0, passages=0, rows_without_text=0, other_files=0)
    with progress.stage(f"index {target.name}") as advance:

        def read() -> Iterator[Passage]:
            for passage in passages_of(source, counts):
                yield passage
                if counts["passages"] % AT_ONCE == 0:
                    advance(AT_ONCE)
            advance(counts["passages"] % AT_ONCE)
            if not counts["passages"]:
                what = f"holds no passage ({', '.join(f'{fate} {n}' for fate, n in counts.items() if n) or 'no file'})"
                raise BadInput(what, source, "give files of text, Markdown, JSONL or Parquet that have some")

        FORMS[form](target, read())
    return dict(counts)
