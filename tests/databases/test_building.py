"""`selfreward index`: a database of what could be read, whole or not at all, with the counts of what was left out."""

import json
import re
import shlex
import subprocess
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.databases import open_database, sqlite
from selfreward.databases.building import AT_ONCE, build
from selfreward.errors import BadInput
from selfreward.progress import QuietProgress
from selfreward.records import Passage

ROOT = Path(__file__).parents[2]
CLI = CliRunner()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "fish.md").write_text("# Cod\nLives in the sea.\n")
    (folder / "facts.jsonl").write_text('{"text": "A carp lives in rivers."}\n{"title": "empty"}\n')
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


@pytest.mark.parametrize("form", ["sqlite", "tantivy"])
def test_what_was_indexed_is_found_and_what_was_left_out_is_shown(texts: Path, tmp_path: Path, form: str) -> None:
    if form == "tantivy":
        pytest.importorskip("tantivy", reason="the extra tantivy is not installed")
    target = tmp_path / "facts.db"
    result = CLI.invoke(app, ["index", str(texts), "--to", str(target), "--form", form, "--quiet"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{target}: 2 passages of 2 files\nleft out: rows without text 1, other files 1\n"
    with closing(open_database(target)) as database:
        assert [(one.id, one.text) for one in database.search("Where does cod live?", 1)] == [
            ("fish.md:1", "Cod: Lives in the sea.")
        ]


def test_the_counts_are_json_too(texts: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "facts.db")
    found = json.loads(CLI.invoke(app, ["index", str(texts), "--to", target, "--quiet", "--json"]).stdout)
    counts = {"files": 2, "passages": 2, "rows_without_text": 1, "other_files": 1}
    assert found == {"database": target, **counts}


def test_progress_counts_every_passage(tmp_path: Path) -> None:
    num = 2 * AT_ONCE + 7
    (tmp_path / "facts.txt").write_text("\n\n".join(f"Fact {n}." for n in range(num)))
    said: list[dict[str, object]] = []
    build(tmp_path / "facts.txt", tmp_path / "d", "sqlite", QuietProgress(lambda **values: said.append(values)))
    assert [(one["stage"], one["items"]) for one in said] == [("index d", num)]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda texts, target: target.touch(), r"facts\.db: is there already; delete it, or give another place"),
        (lambda texts, target: (texts / "x.txt").write_bytes(b"\xff"), r"x\.txt: not UTF-8 text"),
        (lambda texts, target: (texts / "x.jsonl").write_text("{"), r"x\.jsonl:1: not JSON"),
        (
            lambda texts, target: [(texts / name).unlink() for name in ("fish.md", "facts.jsonl")],
            r"texts: holds no passage \(other_files 1\); give files",
        ),
    ],
)
def test_what_cannot_be_indexed_is_refused_and_leaves_nothing(
    texts: Path, tmp_path: Path, spoil: Callable[[Path, Path], object], says: str
) -> None:
    target = tmp_path / "facts.db"
    spoil(texts, target)
    there = target.exists()
    with pytest.raises(BadInput, match=says):
        build(texts, target, "sqlite", QuietProgress())
    assert target.exists() == there and not (tmp_path / "facts.db.tmp").exists()


def test_however_many_passages_there_are_two_batches_of_them_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SQLite itself holds is bounded too; that is measured in benchmarks/grounded.py."""
    monkeypatch.setattr(sqlite, "AT_ONCE", 100)
    alive = most = 0

    def forget() -> None:
        nonlocal alive
        alive -= 1

    def passages() -> Iterator[Passage]:
        nonlocal alive, most
        for n in range(10 * sqlite.AT_ONCE):
            one = Passage(id=f"f:{n}", text=f"own{n}")
            weakref.finalize(one, forget)
            alive += 1
            most = max(most, alive)
            yield one

    sqlite.write_sqlite(tmp_path / "d", passages())
    assert sqlite.AT_ONCE <= most <= 2 * sqlite.AT_ONCE + 3


def test_the_commands_of_the_document_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its first block, in order: they make their own texts."""
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```bash\n(.*?)```", (ROOT / "docs" / "judges-grounded.md").read_text(), re.DOTALL)
    assert block is not None
    for line in (line.partition("  #")[0].strip() for line in block[1].splitlines()):
        if line.startswith("selfreward "):
            result = CLI.invoke(app, shlex.split(line)[1:])
            assert result.exit_code == 0, result.stderr
        else:
            subprocess.run(line, shell=True, check=True)
    with closing(open_database("facts.db")) as database:
        assert database.search("When did the Elbe bridge open?", 1)[0].id == "towns.md:3"
