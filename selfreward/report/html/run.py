"""What the sections of a page are made of: a run's tables, and the files that hold more than tables do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from selfreward import store
from selfreward.errors import BadInput
from selfreward.recipe import Recipe
from selfreward.records import Record
from selfreward.report.reading import tables

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Run:
    """A run folder as it is."""

    path: Path
    recipe: Recipe
    tables: Mapping[str, Any]  # of `report.tables`
    metrics: list[dict[str, Any]]
    stamp: Mapping[str, Any]

    @property
    def models(self) -> list[str]:
        """Models that have a folder, sft first."""
        return list(self.tables["models"])

    @property
    def measured(self) -> list[str]:
        """Models with an eval.json."""
        return [row["model"] for row in self.tables["summary"]]

    @property
    def rounds(self) -> list[str]:
        """Models that a round made or is making: m2, m3 ..."""
        return [name for name in self.models if name not in ("sft", "m1")]

    def records(self, name: str, record_type: type[R]) -> Iterator[R]:
        """The records of a file of the run, one by one; none where it is not there. BadInput where it is damaged."""
        path = self.path / name
        return store.stream(path, record_type) if path.is_file() else iter(())

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run; empty where it is not there or damaged, which the tables have said."""
        try:
            return store.read_json(self.path / name)
        except BadInput:
            return {}


def read_run(path: Path) -> Run:
    """A run folder; BadInput where it is none."""
    recipe = store.RunFolder(path).recipe()
    found = tables(path)
    try:
        metrics = [line for line in store.read_rows(path / store.METRICS_FILE) if isinstance(line, dict)]
    except BadInput:
        metrics = []  # the tables have said so
    run = Run(path, recipe, found, metrics, {})
    return Run(path, recipe, found, metrics, run.json(store.STAMP_FILE))
