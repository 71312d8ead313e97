"""What a run is doing, seen from outside: its stage, how fast that goes, when it will end, its alarms and scores.

A run is only read. What it does is told by the file that grows and by its metrics, so that any strategy's stages are shown,
and a run that another machine works on, too.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from selfreward import store
from selfreward.errors import BadInput
from selfreward.recipe import Recipe
from selfreward.records import RankedSet
from selfreward.report.reading import alarms, summaries

State = Literal["running", "finished", "stopped"]
STEPS_AVERAGED = 20  # logged steps over which the speed of a training is taken
LOOKS_KEPT = 30  # changes of a file over which the speed of a stage is taken

# Files that appear whole when their stage is over.
_WHOLE = {
    store.PROMPTS_FILE, store.PAIRS_FILE, store.IFT_FILE, store.RANKED_FILE, store.EVAL_SEED_FILE, store.EFT_FILE,
    store.SELF_RANKED_FILE,
}  # fmt: skip
_RANKED = {store.EVAL_JUDGEMENTS_FILE: store.EVAL_SEED_FILE, store.EFT_JUDGEMENTS_FILE: store.RANKED_FILE}


@dataclass(frozen=True)
class Stage:
    """One stage of a run, as far as it is."""

    name: str  # as in the metrics: m2 judgements, train m3
    is_over: bool
    done: int  # items: lines of its file, steps of a training
    total: int | None  # None: not known beforehand
    rate: float | None  # items a second; None where it cannot be told yet
    file: Path | None  # that it adds to; None for a training

    @property
    def left_s(self) -> float | None:
        """Seconds to its end; None where they cannot be told."""
        if self.total is None or not self.rate or self.is_over:
            return None
        return max(0, self.total - self.done) / self.rate


@dataclass(frozen=True)
class Moment:
    """A run at one moment."""

    state: State
    stage: Stage | None  # the newest; None before the first
    changed: float | None  # when a file of records or the metrics last grew, seconds since 1970
    alarms: list[dict[str, Any]]  # of each model and guard the last, as in the metrics
    scores: list[dict[str, Any]]  # of each measured model, as in the summary of `report.tables`


class Follower:
    """Looks at one run again and again. What a file held at the last look is not counted again."""

    def __init__(self, folder: Path) -> None:
        """BadInput where the folder is no run."""
        self.folder = folder
        self.recipe: Recipe = store.RunFolder(folder).recipe()
        self._counted: dict[Path, tuple[int, int]] = {}  # bytes that were looked through, lines in them
        self._seen: dict[Path, deque[tuple[float, int]]] = {}  # when a file had changed, and its lines

    def look(self) -> Moment:
        """The run now."""
        metrics = self._metrics()
        stage, changed = self._stage(metrics)
        return Moment(self.state(), stage, changed, alarms(metrics), summaries(self.folder))

    def state(self) -> State:
        """Whether a process works on it, all of it is there, or neither."""
        return state_of(self.folder, self.recipe)

    def _metrics(self) -> list[dict[str, Any]]:
        try:
            rows = store.read_rows(self.folder / store.METRICS_FILE)
        except BadInput:  # `show` and `verify` say what is wrong with it
            return []
        return [row for row in rows if isinstance(row, dict) and isinstance(row.get("time"), int | float)]

    def _stage(self, metrics: list[dict[str, Any]]) -> tuple[Stage | None, float | None]:
        """The newest stage, and when it last changed: a file that grew, or a training that logged a step."""
        files = [(path.stat().st_mtime, path) for path in self.folder.glob("*/*.jsonl") if path.is_file()]
        steps = [row for row in metrics if "step" in row or "num_steps" in row]
        file_time, file = max(files, default=(0.0, None))
        if steps and steps[-1]["time"] >= file_time:
            return _training(steps, metrics), steps[-1]["time"]
        if file is None:
            return None, metrics[-1]["time"] if metrics else None
        return self._of_file(file, file_time, metrics), file_time

    def _of_file(self, file: Path, changed: float, metrics: list[dict[str, Any]]) -> Stage:
        stem = "prompts" if file.name == store.ATTEMPTS_FILE else file.stem
        name, done = f"{file.parent.name} {stem}", self._lines(file)
        is_over = file.name in _WHOLE or _has_ended(name, changed, metrics)
        seen = self._seen.setdefault(file, deque(maxlen=LOOKS_KEPT))
        if not seen or seen[-1][1] != done:
            seen.append((changed, done))
        rate = None if is_over else _rate(seen) or self._rate_so_far(done, changed, metrics)
        return Stage(name, is_over, done, self._total(file), rate, file)

    def _rate_so_far(self, done: int, changed: float, metrics: list[dict[str, Any]]) -> float | None:
        """Items a second since the stage before ended; None where a launch came between, which may have found some there."""
        ended = max((row["time"] for row in metrics if "stage" in row), default=None)
        launches = self.folder.glob(f"{store.LOGS_FOLDER}/*/{store.STAMP_FILE}")
        launched = max((path.stat().st_mtime for path in launches), default=0.0)
        if ended is None or launched > ended or changed <= ended:
            return None
        return done / (changed - ended)

    def _total(self, file: Path) -> int | None:
        """How many lines a file will have."""
        folder, k = file.parent, file.parent.name.removeprefix("m")
        recipe = self.recipe.of_round(int(k)) if k.isdecimal() and int(k) > 1 else self.recipe
        if file.name == store.RESPONSES_FILE:
            return self._lines(folder / store.PROMPTS_FILE) or recipe.prompts.num
        if file.name == store.JUDGEMENTS_FILE and (folder / store.SELF_RANKED_FILE).exists():
            return _num_ranked(folder / store.SELF_RANKED_FILE)
        if file.name == store.JUDGEMENTS_FILE:
            answered = (folder / store.RESPONSES_FILE, *folder.glob(store.OTHERS_RESPONSES_FILE.format(model="*")))
            return sum(map(self._lines, answered)) * recipe.responses.num_samples
        if file.name == store.EVAL_RESPONSES_FILE:
            return recipe.evaluation.num_prompts
        if file.name in _RANKED:
            return _num_ranked(self.folder / store.SEED_FOLDER / _RANKED[file.name])
        return self._lines(file) if file.name in _WHOLE else None

    def _lines(self, path: Path) -> int:
        """Whole lines of a file; 0 where there is none."""
        if not path.is_file():
            return 0
        size = path.stat().st_size
        begin, lines = self._counted.get(path, (0, 0))
        if size < begin:  # another file
            begin, lines = 0, 0
        with path.open("rb") as file:
            file.seek(begin)
            while block := file.read(min(1 << 20, size - begin)):
                lines += block.count(b"\n")
                begin += len(block)
        self._counted[path] = (begin, lines)
        return lines


def state_of(folder: Path, recipe: Recipe) -> State:
    """Whether a process works on a run, all of it is there, or neither."""
    if store.is_running(folder):
        return "running"
    last = store.model_name(recipe.rounds + 1)
    return "finished" if (folder / last / store.EVAL_FILE).exists() else "stopped"


def _has_ended(name: str, changed: float, metrics: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the metrics say that a stage ended after its file last grew."""
    return any(row.get("stage") == name and row["time"] >= changed for row in metrics)


def _rate(seen: deque[tuple[float, int]]) -> float | None:
    """Items a second between the first and the last change that was seen."""
    (first, had), (last, has) = seen[0], seen[-1]
    return (has - had) / (last - first) if last > first and has > had else None


def _training(steps: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> Stage:
    """The training that logged last."""
    model = steps[-1].get("model")
    begun = max((i for i, row in enumerate(steps) if "num_steps" in row and row.get("model") == model), default=None)
    of_it = [row for row in steps[(begun or 0) :] if "step" in row and row.get("model") == model]
    newest = deque(((row["time"], row["step"]) for row in of_it), maxlen=STEPS_AVERAGED)
    name, done = f"train {model}", newest[-1][1] if newest else 0
    is_over = _has_ended(name, steps[-1]["time"], metrics)
    total = None if begun is None else steps[begun]["num_steps"]
    return Stage(name, is_over, done, total, _rate(newest) if newest and not is_over else None, None)


def _num_ranked(path: Path) -> int | None:
    """How many responses the ranked sets in a file have; None where they cannot be read."""
    try:
        return sum(len(ranked.responses) for ranked in store.stream(path, RankedSet))
    except BadInput:
        return None
