"""The documents as a site: built with no warning and no network, whole, and reading nothing from elsewhere."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from selfreward.recipe import Recipe, flat

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` does; a warning fails."""
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "tools" / "docs_site.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_document_is_a_page_that_the_search_finds(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    found = {entry["location"].partition("#")[0] for entry in entries}
    wanted = {page.replace(".md", ".html") for page in [*PAGES, "index.md", "settings.md", "SECURITY.md"]}
    assert wanted - found == set()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=\"https?:|<link[^>]*rel=\"?stylesheet[^>]*https?:|fonts\.g"
    )
    assert [file for file in site.rglob("*.html") if loaded.search(file.read_text())] == []
    assert [file for file in site.rglob("*.css") if re.search(r"url\(['\"]?https?:|@import", file.read_text())] == []


def test_the_page_of_settings_has_every_setting_with_its_default(site: Path) -> None:
    page = (site / "settings.html").read_text()
    rows = dict(re.findall(r"<td><code>([a-z_]+)</code></td>\s*<td>(.*?)</td>", page))
    names = {path.rpartition(".")[2] for path, _ in flat(Recipe(name="x").model_dump())}
    assert names - rows.keys() == set()
    assert rows["rounds"] == "<code>2</code>"
    assert "the paper&#39;s" not in page and "3.1.3" in page
    assert "≥ 1" in page


def test_links_to_files_outside_of_docs_lead_to_pages_that_hold_them(site: Path) -> None:
    page = site / "source" / "selfreward" / "loop.py.html"
    assert "The whole method, in the paper" in page.read_text()
    assert "source/selfreward/loop.py.html" in (site / "how-it-works.html").read_text()
    assert 'href="start.html"' in (site / "index.html").read_text() or "api.html" in (site / "index.html").read_text()


def test_the_reference_has_what_the_docstrings_say(site: Path) -> None:
    page = (site / "reference.html").read_text()
    for name in ("selfreward.api.Run.pairs", "selfreward.records.Judgement", "selfreward.round.Round.judge"):
        assert f'id="{name}"' in page


def test_a_page_that_is_missing_is_left_out_and_one_that_nobody_named_stands_at_the_end(hook: ModuleType) -> None:
    nav = ["index.md", {"Part": [{"One": "one.md"}, "two.md"]}, {"Empty": ["two.md"]}, {"Two": "two.md"}]
    kept = hook._without_missing(nav, {"index.md", "one.md", "three.md"})
    assert kept == ["index.md", {"Part": [{"One": "one.md"}]}]
    assert list(hook._named(kept)) == ["index.md", "one.md"]
    hook.awaited.add("one-day.md")
    text = "[This](docs/one-day.md), [that](docs/api.md#in-python), [those](https://x.org/one-day.md)."
    relinked = "This, [that](api.md#in-python), [those](https://x.org/one-day.md)."
    assert hook._relinked(text, "README.md", "index.md") == relinked
