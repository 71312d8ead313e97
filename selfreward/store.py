"""A run on disk: one folder, the names of all its files, and the ways to read and write them.

JSONL is append-only and is the progress: `fill` makes only what a file does not hold yet, so that a killed run owes at
most one batch. Folders and JSON files are written under another name and renamed, so that what exists is complete.
"""

import fcntl
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from pydantic import ValidationError

from selfreward.errors import BadInput, StageFailed, nearest
from selfreward.progress import Progress
from selfreward.recipe import RECIPE_FILE, Recipe, differences, load_recipe, resolve_model, to_yaml
from selfreward.records import Record
from selfreward.stamp import stamp, weight_hashes

# In the run folder
STAMP_FILE = "stamp.json"
METRICS_FILE = "metrics.jsonl"
LOCK_FILE = "run.lock"
REPORT_FILE = "report.html"
LOGS_FOLDER = "logs"
# In seed/
SEED_FOLDER = "seed"
IFT_FILE = "ift.jsonl"
RANKED_FILE = "ranked.jsonl"
EFT_FILE = "eft.jsonl"
EVAL_SEED_FILE = "eval.jsonl"
# In sft/, m1/, m2/ ...
ATTEMPTS_FILE = "attempts.jsonl"
PROMPTS_FILE = "prompts.jsonl"
RESPONSES_FILE = "responses.jsonl"
JUDGEMENTS_FILE = "judgements.jsonl"
PAIRS_FILE = "pairs.jsonl"
LESSON_FILE = "lesson.json"
COUNTS_FILE = "counts.json"
EVAL_FILE = "eval.json"
EVAL_RESPONSES_FILE = "eval_responses.jsonl"
EVAL_JUDGEMENTS_FILE = "eval_judgements.jsonl"
EFT_JUDGEMENTS_FILE = "eft_judgements.jsonl"
MODEL_FOLDER = "model"

# No sample depends on these, so a run may go on with other values: smaller batches after running out of memory, a server
# that was moved, a slower pace.
_FREE_TO_CHANGE = tuple(
    f"{engine}.{name}:"
    for engine in ("engine", "judge.engine")
    for name in (
        "batch_size", "threads", "server.url", "server.api_key_env", "server.concurrency", "server.requests_per_minute",
        "server.timeout_s", "server.retries", "vllm.start_s",
    )
)  # fmt: skip

R = TypeVar("R", bound=Record)
T = TypeVar("T")


def model_name(k: int) -> str:
    """The name of M_k, and of its folder in a run: m0, m1 ...; -1 is the SFT baseline, sft."""
    return "sft" if k == -1 else f"m{k}"


@contextmanager
def _writing(path: Path) -> Iterator[None]:
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
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".tmp")
        with beside.open("wb") as file:
            file.write(text.encode())
            _flush(file)
        os.replace(beside, path)


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's, and those that JSON has no word for (nan, inf) as null."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one step, indented for a person; nan and inf become null."""
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file says; BadInput where it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", path) from None
    except ValueError as error:
        raise BadInput(f"not JSON: {error}", path, "delete the file to have it made again") from None


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


def read(path: Path, record_type: type[R]) -> list[R]:
    """All records of a file. A torn last line is left out; any other damage is BadInput with file:line."""
    return _parsed(path, record_type.model_validate_json, record_type.__name__)


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
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _mend(path)
        with path.open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
            _flush(file)


def append(path: Path, records: Sequence[Record]) -> None:
    """Adds records at the end of a file, which is never written otherwise, and waits for the disk."""
    _append(path, [record.model_dump_json() for record in records])


def write_once(path: Path, records: Sequence[R]) -> list[R]:
    """Writes a whole file of records in one step; where it is there already, it must say the same.

    For what is a function of files that were there before: a run that goes on makes it again and checks itself. Returns
    `records`; StageFailed where the file says something else.
    """
    text = "".join(f"{record.model_dump_json()}\n" for record in records)
    if not path.exists():
        write_text(path, text)
    elif path.read_text() != text:
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
        with _writing(path):
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
    with _writing(folder):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        for path in beside.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        os.rename(beside, folder)


class RunFolder:
    """One run: `runs/<name>`. Reading needs no lock; `open_run` is the way to write."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def metrics(self) -> Path:
        """Every scalar of the run, one line each."""
        return self.path / METRICS_FILE

    def folder(self, name: str) -> Path:
        """The folder of a part of the run: seed, sft, m1, m2 ...; made where it is missing."""
        path = self.path / name
        with _writing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def recipe(self) -> Recipe:
        """The recipe the run was started with; BadInput where this is no run folder."""
        if not self.path.exists():
            raise BadInput("no such run", self.path, "start one with: selfreward run micro")
        return load_recipe(self.path / "")

    def models(self) -> list[str]:
        """Names of the models that can be used, oldest first: m0, and those whose training is finished."""
        recipe = self.recipe()
        trained = [model_name(k) for k in (-1, *range(1, recipe.rounds + 2))]
        return ["m0", *(name for name in trained if (self.path / name / MODEL_FOLDER).is_dir())]

    def model_path(self, name: str) -> str:
        """Where a model of the run lies, for a loader; BadInput names those there are."""
        if name not in self.models():
            hint = nearest(name, self.models())
            raise BadInput(f"no model {name!r} in this run", self.path, hint)
        return resolve_model(self.recipe().model) if name == "m0" else str(self.path / name / MODEL_FOLDER)

    def log(self, **scalars: Any) -> None:
        """Adds one line to the metrics, with the time."""
        line = {"time": round(time.time(), 3), **_plain(scalars)}
        _append(self.metrics, [json.dumps(line, ensure_ascii=False, allow_nan=False)])


def _check_usable(path: Path) -> None:
    """BadInput where a folder is there that holds something other than a run."""
    if path.exists() and not path.is_dir():
        raise BadInput("is a file, a run is a folder", path, "give another place with --to")
    if not path.exists() or (path / RECIPE_FILE).exists():
        return
    ours = {LOCK_FILE, STAMP_FILE, f"{STAMP_FILE}.tmp", f"{RECIPE_FILE}.tmp"}  # a start that was killed left these
    strange = sorted({entry.name for entry in path.iterdir()} - ours)
    if strange:
        what = f"not a run folder: it has no {RECIPE_FILE} but holds {', '.join(strange[:3])}"
        raise BadInput(what, path, "give an empty or a new folder with --to")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds run.lock, with this process's id in it; the system frees the lock of a process that died."""
    with (path / LOCK_FILE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            raise BadInput(f"process {pid} is running in this folder", path, "wait for it, or stop it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _same_recipe(path: Path, recipe: Recipe) -> None:
    """BadInput that lists what differs between the folder's recipe and the one given."""
    other = [line for line in differences(load_recipe(path), recipe) if not line.startswith(_FREE_TO_CHANGE)]
    if other:
        what = "this folder's run has another recipe:\n  " + "\n  ".join(other) + "\n"
        raise BadInput(what, path, f"give another folder with --to, or continue this run: selfreward run {path}")


def _next_attempt(path: Path) -> Path:
    """A fresh logs/attempt_N."""
    numbers = [int(entry.name.removeprefix("attempt_")) for entry in (path / LOGS_FOLDER).glob("attempt_[0-9]*")]
    attempt = path / LOGS_FOLDER / f"attempt_{max(numbers, default=0) + 1}"
    attempt.mkdir(parents=True)
    return attempt


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """What libraries log and warn goes to a file while the run works, and the traceback that ends it."""
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.captureWarnings(True)
    logging.getLogger().addHandler(handler)
    try:
        yield
    except Exception:
        logging.getLogger("selfreward").exception("the run stopped")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        logging.captureWarnings(False)
        handler.close()


@contextmanager
def open_run(path: str | Path, recipe: Recipe, command: Sequence[str] | None = None) -> Iterator[RunFolder]:
    """Starts a run in a folder or continues the one there, alone: yields it locked, stamped and logging.

    BadInput where the folder holds something else, another recipe or a running process, or cannot be written. A first
    launch writes recipe.yaml and stamp.json; every launch writes logs/attempt_N (stamp, recipe, log).
    """
    run = RunFolder(path)
    model = resolve_model(recipe.model)
    _check_usable(run.path)
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        (run.path / LOCK_FILE).touch()
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", run.path, "give another folder with --to") from None
    with _locked(run.path):
        launch = stamp(command)
        if (run.path / RECIPE_FILE).exists():
            _same_recipe(run.path, recipe)
        else:
            write_json(run.path / STAMP_FILE, {**launch, "model": recipe.model, "weights": weight_hashes(model)})
            write_text(run.path / RECIPE_FILE, to_yaml(recipe))
        with _writing(run.path):
            attempt = _next_attempt(run.path)
        write_json(attempt / STAMP_FILE, launch)
        write_text(attempt / RECIPE_FILE, to_yaml(recipe))
        with _logging_to(attempt / "log.txt"):
            yield run
