"""The report of a run in a real browser: it opens from its file, fits its window and says nothing on the console."""

from pathlib import Path

import pytest
from support_browser import Open, violations
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.store import REPORT_FILE

pytestmark = pytest.mark.browser

COMMANDS = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]


@pytest.fixture(scope="module")
def report(runs: Path) -> Path:
    if "report" not in COMMANDS:
        pytest.skip("this version writes no report.html")
    done = CliRunner().invoke(app, ["report", str(runs / "read")])
    assert done.exit_code == 0, done.stderr
    return runs / "read" / REPORT_FILE


@pytest.mark.parametrize("width, scheme", [(1600, "light"), (400, "dark")])
def test_the_report_fits_its_window_and_is_accessible(report: Path, open_page: Open, width: int, scheme: str) -> None:
    page = open_page(report.as_uri(), width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
