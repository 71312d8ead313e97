"""`import selfreward as sr`: the command's verbs as functions, and a run as an object."""

import ast
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import selfreward as sr
from selfreward import api, store
from selfreward.errors import BadInput
from selfreward.records import Judgement, Pair, Prompt

ROOT = Path(__file__).parents[1]
STUB = ast.parse((ROOT / "selfreward" / "__init__.pyi").read_text())


@pytest.fixture
def run(micro_fast: Path) -> sr.Run:
    return sr.load_run(micro_fast / "runs" / "micro-fast")


def test_the_names_are_those_of_the_api_and_of_the_types_that_are_shipped() -> None:
    stubbed = [alias.asname for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sr.__all__ == api.__all__ == stubbed
    assert all(getattr(sr, name) is getattr(api, name) for name in sr.__all__)
    assert (ROOT / "selfreward" / "py.typed").exists()
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        sr.trian  # noqa: B018


def test_no_name_is_a_modules_too() -> None:
    """Importing the module would put it in the place of the function."""
    inside = {path.stem for path in (ROOT / "selfreward").iterdir()}
    assert inside & set(sr.__all__) == set()


def test_importing_and_reading_a_run_imports_nothing_heavy(run: sr.Run) -> None:
    heavy = "torch", "transformers", "trl", "datasets"
    code = f"""
import sys, time
before = time.process_time()
import selfreward as sr
spent = time.process_time() - before
assert spent < 0.1, spent
sr.load_run({str(run.path)!r}).pairs(2)[0]
assert not [name for name in {heavy} if name in sys.modules]
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_gives_the_records_of_its_files(run: sr.Run) -> None:
    folder = run.path / "m2"
    assert run.models() == ["m0", "sft", "m1", "m2", "m3"]
    assert list(run.prompts(2)) == store.read(folder / "prompts.jsonl", Prompt)
    assert list(run.pairs(2)) == store.read(folder / "pairs.jsonl", Pair)
    judgements: Sequence[Judgement] = run.judgements(2)
    assert [judgement.response_id for judgement in judgements] == [response.id for response in run.responses(2)]
    assert len(run.responses(2)) == 4 * len(run.prompts(2))
    assert run.eval("m2") == store.read_json(folder / "eval.json")
    assert [row["model"] for row in run.tables()["summary"]] == ["sft", "m1", "m2", "m3"]


def test_what_a_run_does_not_hold_is_bad_input_that_says_what_it_holds(run: sr.Run, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"round 7 has no pairs\.jsonl; of these rounds there are some: 2, 3"):
        run.pairs(7)
    with pytest.raises(BadInput, match="no model 'm7' in this run"):
        run.eval("m7")
    with pytest.raises(BadInput, match="m0 has not been measured"):
        run.eval("m0")
    with pytest.raises(BadInput, match="no such run"):
        sr.load_run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="no such run or model"):
        sr.ask(tmp_path / "nowhere", "Hello")


def test_settings_are_python_values_and_are_checked_as_on_the_command_line() -> None:
    recipe = sr.load_recipe("micro", set={"dpo.lr": 2e-4, "judge.engine": None, "name": "mine"})
    assert (recipe.dpo.lr, recipe.judge.engine, recipe.name) == (2e-4, None, "mine")
    assert sr.load_recipe(recipe, set={"rounds": 4}) == sr.load_recipe(recipe).model_copy(update={"rounds": 4})
    with pytest.raises(BadInput, match=r"did you mean dpo\.beta"):
        sr.load_recipe("micro", set={"beta": 1})
    assert sr.plan(recipe)["total"]["seconds"] > 0


def test_running_a_run_folder_goes_on_in_it(run: sr.Run) -> None:
    before = (run.path / "m3" / "eval.json").stat().st_mtime_ns
    assert sr.run(run, quiet=True).path == run.path
    assert (run.path / "m3" / "eval.json").stat().st_mtime_ns == before


def test_a_recipe_runs_in_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text("name: other\n")  # this folder looks like a run, and nobody named it
    places: list[Path] = []

    def stop(recipe: sr.Recipe, folder: Path, progress: object) -> None:
        places.append(folder)
        raise sr.StageFailed("enough")

    monkeypatch.setattr("selfreward.loop.run", stop)
    for recipe in ("micro-fast", sr.load_recipe("micro-fast")):
        with pytest.raises(sr.StageFailed):
            sr.run(recipe)
    assert places == [Path("runs/micro-fast")] * 2


def test_code_that_comes_with_a_model_is_announced(run: sr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[sr.Recipe] = []
    monkeypatch.setattr(api, "warn_of_code", warned.append)
    monkeypatch.setattr("selfreward.asking.answer", lambda model, prompt: prompt)
    assert sr.ask(run, "Hello") == "Hello"
    assert warned == [run.recipe]


def test_the_example_shows_what_it_says(
    run: sr.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = str(ROOT / "examples" / "quick_look.py")
    monkeypatch.setattr(sys, "argv", [example, str(run.path)])
    runpy.run_path(example, run_name="__main__")
    shown = capsys.readouterr().out
    for part in ("112 prompts, 448 responses", "mean margin", "List: ", "of 5", "problems: []"):
        assert part in shown, shown
