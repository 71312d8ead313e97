"""What each page shows, as plain values for its template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from selfreward import store
from selfreward.errors import BadInput
from selfreward.following import state_of
from selfreward.labels import Label, labels
from selfreward.recipe import RECIPE_FILE, Recipe, to_yaml
from selfreward.records import Record
from selfreward.report.reading import summaries
from selfreward.responses import Responses
from selfreward.store.files import read_record
from selfreward.viewer.index import MOST_COUNTED, Index, Order, Query, terms
from selfreward.viewer.indexes import Indexes
from selfreward.viewer.lines import Line, begin_before, last_page, lines_from
from selfreward.viewer.runs import NotThere, Source, find_runs, parts, source_of, sources

PAGE = 25  # lines
LOG_BYTES = 4000
RUNS_PAGE = 50
_ORDERS: dict[str, Order] = {"highest": "highest", "lowest": "lowest"}


@dataclass(frozen=True)
class Item:
    """A line of a file."""

    begin: int
    record: Record | None
    raw: str  # of a line that is no record, or cannot be read
    fault: str = ""  # why it cannot be read


@dataclass(frozen=True)
class Listing:
    """One page of a file's lines."""

    items: list[Item]
    query: Query
    terms: list[str]
    label: str  # right, wrong, any or nothing
    share: float  # of the file that is indexed
    num: int | None  # lines that were found; None: not counted yet
    is_counted_out: bool  # whether there are more than `num`
    place: float  # where in the file, or in what was found, the page begins, 0..1
    links: dict[str, str]  # first, previous, next, last -> address of a page, of those there are


def runs_page(places: Sequence[Path], asked: Mapping[str, str]) -> dict[str, Any]:
    """A page of the runs, the newest first."""
    found, page = find_runs(places), _whole(asked.get("page", ""))
    rows: list[dict[str, Any]] = []
    for name, folder in list(found.items())[page * RUNS_PAGE : (page + 1) * RUNS_PAGE]:
        try:
            recipe = _recipe(folder, (folder / RECIPE_FILE).stat().st_mtime_ns)
        except BadInput as error:
            rows.append({"name": name, "fault": str(error)})
            continue
        scores = summaries(folder)
        rows.append({
            "name": name, "fault": None, "recipe": recipe, "state": state_of(folder, recipe), "models": len(scores),
            "last": scores[-1] if scores else None, "changed": changed(folder),
        })  # fmt: skip
    links = {"previous": _address(asked, page=page - 1)} if page else {}
    if len(found) > (page + 1) * RUNS_PAGE:
        links["next"] = _address(asked, page=page + 1)
    return {"rows": rows, "num": len(found), "links": links}


@lru_cache(maxsize=1000)
def _recipe(run: Path, time: int) -> Recipe:
    """A run's recipe, read once for each time of its last change."""
    return store.RunFolder(run).recipe()


def changed(run: Path) -> float | None:
    """When a run last logged something, seconds since 1970."""
    metrics = run / store.METRICS_FILE
    return metrics.stat().st_mtime if metrics.exists() else None


def run_page(name: str, run: Path) -> dict[str, Any]:
    """A run: its measurements, files, log and recipe."""
    recipe = store.RunFolder(run).recipe()
    files, report = {part: sources(run, part) for part in parts(run)}, run / store.REPORT_FILE
    return {
        "name": name, "run": run, "recipe": recipe, "state": state_of(run, recipe), "scores": summaries(run), "files": files,
        "labelled": labels_of(run), "yaml": to_yaml(recipe), "log": log_end(run), "answering": answering(run),
        "report": report if report.is_file() else None,
    }  # fmt: skip


def answering(run: Path) -> list[str]:
    """The models of a run that have answered the held-out prompts, the newest first."""
    return [part for part in parts(run) if (run / part / store.EVAL_RESPONSES_FILE).is_file()]


def recipe_of(run: Path) -> Recipe | None:
    """A run's recipe; None where it cannot be read."""
    try:
        return store.RunFolder(run).recipe()
    except BadInput:
        return None


def records_page(run: Path, source: Source, indexes: Indexes, asked: Mapping[str, str]) -> Listing:
    """A page of the lines of a file that are looked for; `asked` are the parameters of its address.

    The file as it stands is read from a byte on, without its index.
    """
    query, label = _query(run, source, asked)
    if query.is_all:
        return _page_of_file(source, indexes, asked)
    index = indexes.of(source)
    page = max(0, _whole(asked.get("page", "")))
    found = index.find(query, page * PAGE, PAGE)
    lines = [line for begin in found.begins for line in lines_from(source.path, begin, 1)]
    links = {}
    if page:
        links = {"first": _address(asked, page=0), "previous": _address(asked, page=page - 1)}
    if found.num > (page + 1) * PAGE:
        links["next"] = _address(asked, page=page + 1)
    num = min(found.num, MOST_COUNTED)
    return Listing(
        _items(source, lines), query, terms(query.words), label, index.share(), num, found.num > MOST_COUNTED,
        page * PAGE / num if num else 0, links,
    )  # fmt: skip


def _page_of_file(source: Source, indexes: Indexes, asked: Mapping[str, str]) -> Listing:
    begin, size = min(max(0, _whole(asked.get("at", ""))), source.size), source.size
    lines = lines_from(source.path, begin, PAGE)
    if begin and not lines:
        raise NotThere("No line of this file begins there: it has changed, or the address is wrong.")
    end = lines[-1].end if lines else begin
    links = {}
    if begin:
        links = {"first": _address(asked, at=0), "previous": _address(asked, at=begin_before(source.path, begin, PAGE))}
    if lines and lines_from(source.path, end, 1):
        links |= {"next": _address(asked, at=end), "last": _address(asked, at=last_page(source.path, PAGE))}
    indexes.prepare([source])
    index = Index(source.path, indexes.folder)
    share = index.share()
    num = index.num_lines() if share == 1 else None
    return Listing(_items(source, lines), Query(), [], "", share, num, False, begin / size if size else 0, links)


def _query(run: Path, source: Source, asked: Mapping[str, str]) -> tuple[Query, str]:
    """What is looked for, and by which label."""
    kind = source.kind
    query = Query(words=asked.get("q", "").strip(), is_odd=bool(kind.odd and asked.get("odd")))
    if kind.value:
        query = replace(query, least=_number(asked.get("least", "")), most=_number(asked.get("most", "")))
        query = replace(query, order=_ORDERS.get(asked.get("order", ""), "file"))
    label = asked.get("label", "") if source.path.name == store.PAIRS_FILE else ""
    if label in ("right", "wrong", "any"):
        said = labels_of(run).values()
        ids = (one.pair_id for one in said if label == "any" or one.is_right == (label == "right"))
        return replace(query, ids=frozenset(ids)), label
    return query, ""


def answers_page(run: Path, indexes: Indexes, asked: Mapping[str, str]) -> dict[str, Any]:
    """Two models' answers to the same held-out prompts, joined by the prompt's id."""
    models = answering(run)
    if len(models) < 2:
        raise NotThere("This run has no two models that have answered the held-out prompts.")
    one, other = asked.get("one") or models[0], asked.get("other") or models[-1]
    ours, theirs = (source_of(run, part, Path(store.EVAL_RESPONSES_FILE).stem) for part in (one, other))
    listing = records_page(run, ours, indexes, asked)
    index = indexes.of(theirs)
    beside: list[Responses | None] = []
    for item in listing.items:
        begins = index.begins("id", item.record.id) if isinstance(item.record, Responses) else []
        lines = [line for begin in begins for line in lines_from(theirs.path, begin, 1)]
        records = [found.record for found in _items(theirs, lines)]
        beside.append(next((found for found in records if isinstance(found, Responses)), None))
    return {
        "models": models, "one": one, "other": other, "listing": listing, "source": ours, "beside": beside,
        "share": index.share(),
    }  # fmt: skip


def one_line(source: Source, begin: int) -> tuple[Item, dict[str, int]]:
    """The line that begins at a byte, and where those before and after it begin, if there are."""
    lines = lines_from(source.path, begin, 2) if 0 <= begin < source.size else []
    if not lines:
        raise NotThere("No line of this file begins there: it has changed, or the address is wrong.")
    around = {"next": lines[0].end} if lines_from(source.path, lines[0].end, 1) else {}
    if begin:
        around["previous"] = begin_before(source.path, begin, 1)
    return _items(source, lines[:1])[0], around


def newest(source: Source, num: int) -> list[Item]:
    """The last whole lines of a file, the newest first."""
    return _items(source, lines_from(source.path, last_page(source.path, num), num))[::-1]


def labels_of(run: Path) -> dict[str, Label]:
    """What a person said of the run's pairs; nothing where the file is damaged, of which `label` tells."""
    try:
        return labels(run)
    except BadInput:
        return {}


def _items(source: Source, lines: Sequence[Line]) -> list[Item]:
    found = []
    for line in lines:
        if source.kind.record is None:
            found.append(Item(line.begin, None, line.data.decode(errors="backslashreplace")))
            continue
        try:
            found.append(Item(line.begin, read_record(source.kind.record, line.data), ""))
        except ValueError as error:
            fault = str(error).partition("\n")[0]
            found.append(Item(line.begin, None, line.data.decode(errors="backslashreplace"), fault))
    return found


def log_end(run: Path, size: int = LOG_BYTES) -> str:
    """The end of the newest launch's log, at most so many bytes."""
    try:
        path = store.RunFolder(run).attempt / "log.txt"
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace").strip()
    except (OSError, ValueError):  # no launch yet
        return ""


def _address(asked: Mapping[str, str], **changed: int) -> str:
    """The query of an address with other values."""
    kept = {name: value for name, value in asked.items() if value and name not in ("at", "page")}
    return "?" + urlencode({**kept, **{name: str(value) for name, value in changed.items()}})


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _number(text: str) -> float | None:
    """A number that a person typed; None for nothing and for what is none."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if abs(value) < 1e9 else None
