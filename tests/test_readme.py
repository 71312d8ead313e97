"""What the documents tell a person to type, typed (fault F24): in a folder where `selfreward run micro-fast` was run."""

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from selfreward.cli import app
from selfreward.store import read_json

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("selfreward/micro/m0/*.md")]
CLI = CliRunner()


def commands(file: Path) -> list[str]:
    """The lines of a document's bash blocks, comments aside."""
    blocks = re.findall(r"```bash\n(.*?)```", file.read_text(), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


README = commands(ROOT / "README.md")
# `python benchmarks/x.py ...` and `python -m x ...`, wherever a document says so
SCRIPTS = sorted({
    match[1] for file in DOCUMENTS for match in re.finditer(r"\bpython ((?:-m )?[\w./]+)", file.read_text())
})  # fmt: skip


def arguments(command: str) -> list[str]:
    """What the command's program is given."""
    return shlex.split(command)[1:]


def is_ours(command: str) -> bool:
    return shlex.split(command)[0].endswith("selfreward")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Result]]:
    """A folder in which `selfreward run micro-fast` was run, and what that printed; runs/micro stands for it too."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CLI.invoke(app, ["run", "micro-fast"])
        (folder / "runs" / "micro").symlink_to(folder / "runs" / "micro-fast")
        yield folder, result


def test_micro_fast_runs_to_its_end_and_shows_its_tables(quick: tuple[Path, Result]) -> None:
    folder, result = quick
    assert result.exit_code == 0, result.stderr
    for table in ("Following instructions", "Head to head"):
        assert table in result.stdout
    for model in ("sft", "m1", "m2", "m3"):
        assert re.search(rf"^\W*{model} ", result.stdout, re.MULTILINE)
        measured = read_json(folder / "runs" / "micro-fast" / model / "eval.json")
        assert measured["capability"]["score"]["n"] == 64
        assert measured["judge_health"]["readable"]["value"] > 0.8
    assert read_json(folder / "runs" / "micro-fast" / "m2" / "counts.json")["prompts"]["accepted"] == 112


def test_the_readme_begins_with_one_command_and_a_look_at_the_run() -> None:
    assert README[0] == "make quickstart"
    assert [command for command in README if is_ours(command)] != []


@pytest.mark.parametrize("command", README)
def test_f24_every_command_of_the_readme_works(command: str, quick: tuple[Path, Result]) -> None:
    if command.startswith("make "):
        assert subprocess.run(["make", "-n", *arguments(command)], cwd=ROOT, capture_output=True).returncode == 0
    elif is_ours(command):
        result = CLI.invoke(app, arguments(command))
        assert (result.exit_code, bool(result.stdout.strip())) == (0, True), result.stderr
    else:
        done = subprocess.run(command, shell=True, cwd=quick[0], capture_output=True, text=True)
        assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_f24_every_script_that_a_document_names_is_there_and_can_be_loaded(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded, not run: some take hours."""
    name = script.removeprefix("-m ")
    file = ROOT / (name.replace(".", "/") + ".py" if script.startswith("-m ") else name)
    assert 'if __name__ == "__main__":' in file.read_text()
    monkeypatch.setattr(sys, "path", [str(file.parent), *sys.path])
    runpy.run_path(str(file), run_name="loaded")


def prose(file: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> list[str]:
    """The anchors that GitHub gives the headings of a document, a number behind those that stand before."""
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        again = sum(one == anchor or re.fullmatch(rf"{re.escape(anchor)}-\d+", one) is not None for one in found)
        found.append(f"{anchor}-{again}" if again else anchor)
    return found


def broken_links(file: Path) -> list[str]:
    """The relative links of a document to files, or to headings of documents, that are not there."""
    broken = []
    links = re.findall(r"\]\(([^)\s]+)[^)]*\)", prose(file)) + re.findall(r'(?:src|href)="([^"]+)"', prose(file))
    for link in links:
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = file.parent / path if path else file
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(prose(target)))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_of_a_document_leads_to_a_file_or_a_heading(file: Path) -> None:
    assert broken_links(file) == []


def test_a_link_to_a_file_or_a_heading_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# AlpacaEval 2.0\n\n## Twice\n\n## Twice\n\n```\n# no heading\n```\n")
    (tmp_path / "this.md").write_text(
        "## `Here`, and so on\n[a](#here-and-so-on) [b](other.md#alpacaeval-20) [c](other.md#twice-1) [d](https://x.y/#z)\n"
        "[e](#there) [f](none.md) [g](other.md#no-heading) [h](none.md#twice)\n```\n[i](code.md)\n```\n"
    )
    assert broken_links(tmp_path / "this.md") == ["#there", "none.md", "other.md#no-heading", "none.md#twice"]
