"""What the documents tell a person to type, typed (fault F24): in a folder where `selfreward run micro-fast` was run.

Every command of the README is run. Those of the other documents are parsed by the real command, recipes and settings in them are
checked as a run would, and what is cheap is run; all Python is.
"""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.loop import check
from selfreward.recipe import list_recipes, load_recipe
from selfreward.store import read_json

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("selfreward/micro/m0/*.md")]
CLI = CliRunner()


def commands(file: Path) -> list[str]:
    """The lines of a document's bash blocks, comments aside."""
    blocks = re.findall(r"```bash\n(.*?)```", file.read_text(), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def snippets(file: Path) -> list[tuple[str, str]]:
    """(title, text) of the python blocks of a document; one with a title is a file."""
    return re.findall(r"```python(?: title=\"([\w.]+)\")?\n(.*?)```", file.read_text(), re.DOTALL)


README = commands(ROOT / "README.md")
OTHERS = [(file, command) for file in DOCUMENTS if file.name != "README.md" for command in commands(file)]
IN_PYTHON = [file for file in DOCUMENTS if snippets(file)]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# What takes seconds in a run of micro-fast; nothing of them asks a network, as `push` does without --dry-run.
CHEAP = ("show", "verify", "recipes", "export", "push", "judge", "chat", "plan", "doctor", "compare")
# `python benchmarks/x.py ...` and `python -m x ...`, wherever a document says so
SCRIPTS = sorted({
    match[1] for file in DOCUMENTS for match in re.finditer(r"\bpython (-m [\w.]+|[\w./]+\.py)", file.read_text())
})  # fmt: skip


def arguments(command: str) -> list[str]:
    """What the command's program is given."""
    return shlex.split(command)[1:]


def is_ours(command: str) -> bool:
    return shlex.split(command)[0].endswith("selfreward")


@pytest.fixture(scope="module")
def quick(micro_fast: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which `selfreward run micro-fast` was run; runs/micro stands for it too."""
    folder = tmp_path_factory.mktemp("readme") / "home"
    shutil.copytree(micro_fast, folder)
    (folder / "runs" / "micro").symlink_to(folder / "runs" / "micro-fast")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_micro_fast_runs_to_its_end_and_shows_its_tables(quick: Path) -> None:
    printed = (quick / "printed.txt").read_text()
    for table in ("Following instructions", "Head to head"):
        assert table in printed
    for model in ("sft", "m1", "m2", "m3"):
        assert re.search(rf"^\W*{model} ", printed, re.MULTILINE)
        measured = read_json(quick / "runs" / "micro-fast" / model / "eval.json")
        assert measured["capability"]["score"]["n"] == 64
        assert measured["judge_health"]["readable"]["value"] > 0.8
    assert read_json(quick / "runs" / "micro-fast" / "m2" / "counts.json")["prompts"]["accepted"] == 112


def test_the_readme_begins_with_one_command_and_a_look_at_the_run() -> None:
    assert README[0] == "make quickstart"
    assert [command for command in README if is_ours(command)] != []


@pytest.mark.parametrize("command", README)
def test_f24_every_command_of_the_readme_works(command: str, quick: Path) -> None:
    if command.startswith("make "):
        assert subprocess.run(["make", "-n", *arguments(command)], cwd=ROOT, capture_output=True).returncode == 0
    elif is_ours(command):
        result = CLI.invoke(app, arguments(command))
        assert (result.exit_code, bool(result.stdout.strip())) == (0, True), result.stderr
    else:
        done = subprocess.run(command, shell=True, cwd=quick, capture_output=True, text=True)
        assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr


def parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command makes of its arguments, without doing anything; fails where it would refuse them."""
    found: list[dict[str, Any]] = []
    with monkeypatch.context() as patch:
        patch.setattr("typer.core.TyperCommand.invoke", lambda self, context: found.append(context.params))
        result = CLI.invoke(app, words)
    assert result.exit_code == 0, result.stderr
    return found[0]


def check_recipe(named: str, overrides: list[str]) -> None:
    """As a run begins; one that is not here, as my-recipe.yaml, may name files that are not here either."""
    if Path(named).exists() or named in list_recipes():
        check(load_recipe(named, overrides))
    else:
        load_recipe("micro", overrides)


@pytest.mark.parametrize(("file", "command"), OTHERS, ids=[f"{file.stem}-{command}" for file, command in OTHERS])
def test_f24_every_command_of_the_documents_can_be_given(
    file: Path, command: str, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    program, *rest = words
    if program == "make":
        assert subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True).returncode == 0
    elif program == "pip":
        for extra in re.findall(r"selfreward\[([\w,]+)\]", command):
            assert set(extra.split(",")) <= EXTRAS.keys()
    elif program.endswith("selfreward"):
        for module in blocks_with_a_title(file):
            write_module(module)
        given = parsed(rest, monkeypatch)
        if given.get("recipe"):
            check_recipe(given["recipe"], given["overrides"] or [])
        places = [word for word in rest if word.startswith("runs/")]
        if rest[0] in CHEAP and all(Path(place).exists() for place in places) and not is_of_others(given):
            result = CLI.invoke(app, rest)
            assert (result.exit_code, bool(result.stdout.strip())) == (0, True), result.stderr


def is_of_others(given: dict[str, Any]) -> bool:
    """Whether a command is about a recipe that is not here, or would ask the hub."""
    recipe = given.get("recipe")
    return ("repo" in given and given["dry_run"] is None) or bool(
        recipe and recipe not in list_recipes() and not Path(recipe).is_dir()
    )


def blocks_with_a_title(file: Path) -> list[tuple[str, str]]:
    return [(title, text) for title, text in snippets(file) if title]


def write_module(block: tuple[str, str]) -> None:
    """A block with a title, as the file that it is, where a recipe finds it."""
    Path(block[0]).write_text(block[1])


@pytest.mark.parametrize("file", IN_PYTHON, ids=lambda file: str(file.relative_to(ROOT)))
def test_f24_the_python_of_every_document_runs(file: Path, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block may use what the ones before it made."""
    monkeypatch.syspath_prepend(str(quick))
    known: dict[str, Any] = {}
    for title, text in snippets(file):
        if title:
            write_module((title, text))
        exec(compile(text, title or file.name, "exec"), known)


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
