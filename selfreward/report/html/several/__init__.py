"""Several runs on one page: recipes that differ in the seed alone are one row, with intervals over their seeds."""

from collections.abc import Sequence
from pathlib import Path

from selfreward import store
from selfreward.report.comparing import compare
from selfreward.report.html.page import check_target, page, part
from selfreward.report.html.run import read_run
from selfreward.report.html.several.figures import figures, wins
from selfreward.report.html.several.overview import overview
from selfreward.report.html.several.runs import Several
from selfreward.report.html.several.tables import cost, judges, rounds, settings

_SECTIONS = (overview, figures, wins, judges, rounds, cost, settings)


def page_of_several(paths: Sequence[Path], force: bool = False) -> str:
    """The page of two runs or more; BadInput as `comparing.compare`."""
    found = compare(paths, force)
    several = Several([[read_run(Path(path)) for path in group["runs"]] for group in found["groups"]], found)
    return page(f"{len(several.runs)} runs beside one another", [part(make, several) for make in _SECTIONS])


def write_several(paths: Sequence[Path], to: Path, force: bool = False) -> Path:
    """Writes the page of several runs to a file, in one step; returns where it is. BadInput as `write_report`."""
    check_target(to)
    store.write_text(to, page_of_several(paths, force))
    return to
