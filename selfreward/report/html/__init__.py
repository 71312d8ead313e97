"""A run as one HTML file that explains itself: no script, nothing from elsewhere, no torch to make it.

`run` reads the folder, `sections/` make parts of it (one module each, as plain `blocks`), `plots/` draws, `page` writes
them down. Several runs on one page are in `several`.
"""

from pathlib import Path

from selfreward import store
from selfreward.report.html.page import check_target, page, part
from selfreward.report.html.run import read_run
from selfreward.report.html.sections import SECTIONS

__all__ = ["refresh_report", "report_page", "write_report"]


def report_page(path: Path) -> str:
    """The page of one run, finished or not; BadInput where there is none."""
    run = read_run(path)
    return page(f"Run {run.tables['run']}", [part(make, run) for make in SECTIONS])


def write_report(path: Path, to: Path | None = None) -> Path:
    """Writes the page of a run, in one step, to `report.html` in its folder or to another file; returns where it is.

    BadInput where there is no run, and where `to` is there and is none of our pages.
    """
    if to is not None:
        check_target(to)
    file = to or path / store.REPORT_FILE
    store.write_text(file, report_page(path))
    return file


def refresh_report(path: Path, model: str) -> None:
    """Writes `report.html` of a run where it is missing or older than the measurements of a model."""
    report, measured = path / store.REPORT_FILE, path / model / store.EVAL_FILE
    if not report.exists() or report.stat().st_mtime_ns < measured.stat().st_mtime_ns:
        write_report(path)
