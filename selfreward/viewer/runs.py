"""The runs that are shown, and their files. A name that comes in a request is looked up here, never made a path of."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selfreward import store
from selfreward.errors import BadInput
from selfreward.recipe import RECIPE_FILE
from selfreward.records import digest
from selfreward.report.reading import place
from selfreward.viewer.kinds import KINDS, Kind, kind_of


class NotThere(LookupError):
    """What a request asks for is not there; its text is for the person who asked."""


@dataclass(frozen=True)
class Source:
    """A file of records in a part of a run."""

    path: Path
    part: str  # seed, sft, m1, m2 ...
    kind: Kind

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def find_runs(places: Sequence[Path]) -> dict[str, Path]:
    """The runs among these folders and the folders in them, by a name that is theirs alone; the newest first."""
    folders = [folder for one in places for folder in (one, *(sorted(one.iterdir()) if one.is_dir() else []))]
    found = list(dict.fromkeys(folder.resolve() for folder in folders if (folder / RECIPE_FILE).is_file()))
    found.sort(key=_changed, reverse=True)
    held = Counter(folder.name for folder in found)
    return {
        folder.name if held[folder.name] == 1 else f"{folder.name}~{digest(folder)[:6]}": folder for folder in found
    }


def check_places(places: Sequence[Path]) -> None:
    """BadInput where there is no run to show."""
    for one in places:
        if not one.is_dir():
            raise BadInput("no such folder", one, "give a run, or a folder of runs")
    if not find_runs(places):
        where = ", ".join(str(one) for one in places)
        raise BadInput("no run in it", where, "start one with: selfreward run micro")


def run_of(places: Sequence[Path], name: str) -> Path:
    """The folder of the run of this name."""
    runs = find_runs(places)
    if name not in runs:
        raise NotThere(f"There is no run {name} here.")
    return runs[name]


def parts(run: Path) -> list[str]:
    """The parts of a run that have a folder, the newest model first, a reward model and the seeds last."""
    models = [entry.name for entry in run.iterdir() if entry.is_dir() and re.fullmatch(r"sft|m[0-9]+", entry.name)]
    others = [name for name in (store.REWARD_MODEL_FOLDER, store.SEED_FOLDER) if (run / name).is_dir()]
    return [*sorted(models, key=place, reverse=True), *others]


def sources(run: Path, part: str) -> list[Source]:
    """The files of records in a part of a run; links that lead out of it are left out."""
    found = [path for path in (run / part).glob("*.jsonl") if path.is_file()]
    order = {name: place for place, name in enumerate(KINDS)}
    found.sort(key=lambda path: (order.get(path.name, len(order)), path.name))
    return [Source(path, part, kind_of(path.name)) for path in found if path.resolve().is_relative_to(run.resolve())]


def source_of(run: Path, part: str, name: str) -> Source:
    """The file of records of this name."""
    if part in parts(run):
        for source in sources(run, part):
            if source.name == name:
                return source
    raise NotThere(f"This run has no {name} in {part}.")


def _changed(run: Path) -> float:
    """When a run last logged something."""
    path = run / store.METRICS_FILE
    return (path if path.exists() else run).stat().st_mtime
