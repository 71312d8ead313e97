"""A real browser, Debian's chromium, and the real server; tests are skipped where one of them is not here."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_browser import Open
from support_view import write_run

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # as root it has none
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: one to read, one to write into."""
    folder = tmp_path_factory.mktemp("browser") / "runs"
    write_run(folder / "read")
    write_run(folder / "written", engine="support_view:praising")
    return folder


@pytest.fixture(scope="session")
def server(chromium: Any, runs: Path) -> Iterator[str]:
    """The address of `selfreward view`; after `chromium`, since without that nobody asks it."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"XDG_CACHE_HOME": str(runs.parent / "cache"), "PYTHONPATH": paths}
    command = [sys.executable, "-m", "selfreward.cli", "view", str(runs), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    found = re.match(r"(http://127\.0\.0\.1:\d+)/", process.stderr.readline())
    assert found is not None
    yield found[1]
    process.terminate()
    process.wait(20)


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Opens a page; at the end nothing may have been said on any page's console."""
    contexts: list[Any] = []
    said: list[str] = []

    def opened(address: str, width: int = 1600, scheme: str = "light") -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
