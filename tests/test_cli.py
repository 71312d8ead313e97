"""The command: what it prints where, and how it ends. The loop and the report are stand-ins here."""

import json
import os
import re
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

import selfreward
from selfreward.cli import app
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import Recipe, load_recipe, schema, to_yaml
from selfreward.records import Judgement, Vote

CLI = CliRunner()


class Stage:
    """What the commands asked the loop for, and how the loop answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.raises: BaseException | None = None

    def run(self, recipe: Recipe, folder: Path, progress: Any) -> None:
        self.asked.append((recipe, folder, progress))
        with progress.stage("m2 prompts", 2) as advance:
            advance(2)
        if self.raises is not None:
            raise self.raises

    def judge_one(self, model: Path, prompt: str, response: str, votes: int) -> Judgement:
        self.asked.append((model, prompt, response, votes))
        read = Vote(score=4.0, fault=None, text="Fine. Score: 4")
        unread = Vote(score=None, fault="unreadable", text="hm")
        return Judgement(
            id="j", response_id="r", prompt_id="p", prompt=prompt, response=response, judge=model.name,
            votes=(read,) * (votes - 1) + (unread,), score=4.0, coverage=(votes - 1) / votes,
        )  # fmt: skip

    def answer(self, model: Path, prompt: str) -> str:
        self.asked.append((model, prompt))
        return f"{model.name} says {prompt}"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    monkeypatch.chdir(tmp_path)
    stage = Stage()
    loop, asking, report = (ModuleType(f"selfreward.{name}") for name in ("loop", "asking", "report"))
    for module, verb in ((loop, "run"), (asking, "judge_one"), (asking, "answer")):
        setattr(module, verb, getattr(stage, verb))
    report.__dict__["tables"] = lambda folder: {"folder": str(folder)}
    report.__dict__["render"] = lambda tables, console: console.print(f"tables of {tables['folder']}")
    for name, module in (("loop", loop), ("asking", asking), ("report", report)):
        monkeypatch.setitem(sys.modules, f"selfreward.{name}", module)
        monkeypatch.setattr(selfreward, name, module, raising=False)
    return stage


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "x"
    (folder / "m1" / "model").mkdir(parents=True)
    (folder / "m2" / "model").mkdir(parents=True)
    (folder / "recipe.yaml").write_text(to_yaml(Recipe(name="x")))
    return folder


def test_the_version_is_the_packages() -> None:
    assert CLI.invoke(app, ["--version"]).stdout == f"{selfreward.__version__}\n"


def test_a_recipe_runs_into_a_folder_of_its_name_with_overrides_and_seed(stage: Stage) -> None:
    result = CLI.invoke(app, ["run", "micro", "--set", "dpo.lr=2e-4", "--set", "rounds=1", "--seed", "5"])
    assert result.exit_code == 0, result.stderr
    ((recipe, folder, _),) = stage.asked
    assert (recipe.dpo.lr, recipe.rounds, recipe.seed, folder) == (2e-4, 1, 5, Path("runs/micro"))
    assert result.stdout == "tables of runs/micro\n"
    assert "m2 prompts: 2 in" in result.stderr


def test_the_last_word_on_the_seed_is_the_flags(stage: Stage) -> None:
    CLI.invoke(app, ["run", "micro", "--seed", "5", "--set", "seed=6", "--to", "elsewhere"])
    ((recipe, folder, _),) = stage.asked
    assert (recipe.seed, folder) == (5, Path("elsewhere"))


def test_a_run_folder_continues_where_it_is(stage: Stage, finished: Path) -> None:
    assert CLI.invoke(app, ["run", str(finished)]).exit_code == 0
    ((recipe, folder, _),) = stage.asked
    assert (recipe, folder) == (load_recipe(finished), finished)


@pytest.mark.parametrize("command", [["run", "micro"], ["show", "runs/x"]])
def test_json_is_all_there_is_on_stdout(stage: Stage, finished: Path, command: list[str]) -> None:
    result = CLI.invoke(app, [*command, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"folder": "runs/micro" if command[0] == "run" else "runs/x"}


def test_quiet_says_nothing_but_the_tables(stage: Stage) -> None:
    result = CLI.invoke(app, ["run", "micro", "--quiet"])
    assert (result.stdout, result.stderr) == ("tables of runs/micro\n", "")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (BadInput("is wrong", "x.yaml:3", "mend it"), 2, "error: x.yaml:3: is wrong; mend it"),
        (StageFailed("ran out of ideas", "m2"), 3, "error: m2: ran out of ideas"),
        (OSError(28, "No space left on device"), 3, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted; continue with: selfreward run runs/micro"),
    ],
)
def test_every_bad_end_has_its_exit_code_and_its_line(
    stage: Stage, raised: BaseException, code: int, said: str
) -> None:
    stage.raises = raised
    result = CLI.invoke(app, ["run", "micro"])
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr.splitlines()[-1]


def test_a_fault_of_ours_is_one_line_that_says_how_to_see_its_traceback(stage: Stage) -> None:
    stage.raises = ZeroDivisionError("no\nway")
    result = CLI.invoke(app, ["run", "micro", "--quiet"])
    assert (result.exit_code, result.stdout) == (3, "")
    (line,) = result.stderr.splitlines()
    assert "a fault of selfreward's own, ZeroDivisionError: no way" in line and "selfreward --debug" in line
    assert "Traceback" in CLI.invoke(app, ["--debug", "run", "micro", "--quiet"]).stderr
    assert "Traceback" not in CLI.invoke(app, ["run", "micro", "--quiet"]).stderr


@pytest.mark.parametrize("raised", [BadInput("is wrong"), StageFailed("ran out"), OSError(28, "full")])
def test_with_debug_every_bad_end_has_its_traceback_and_the_same_code_and_line(stage: Stage, raised: Exception) -> None:
    stage.raises = raised
    plain, debugged = (CLI.invoke(app, [*flag, "run", "micro", "--quiet"]) for flag in ([], ["--debug"]))
    assert (debugged.exit_code, debugged.stderr.splitlines()[-1]) == (plain.exit_code, plain.stderr.strip())
    assert debugged.stderr.startswith("Traceback")


def test_sigterm_is_a_clean_interruption(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys.modules["selfreward.loop"], "run", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    result = CLI.invoke(app, ["run", "micro"])
    assert result.exit_code == 130
    assert "continue with: selfreward run runs/micro" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run", "mico"], "did you mean micro?"),
        (["run", "micro", "--set", "dpo.bta=1"], "dpo.beta"),
        (["run", "micro", "--seed", "-1"], "seed"),
        (["show", "runs/none"], "no such run"),
        (["chat", "runs/x", "--model", "m9", "--prompt", "hi"], "no model 'm9'"),
        (["judge", "runs/x", "--prompt", "p", "--response", "r", "--votes", "0"], "votes"),
        (["judge", "runs/x"], "prompt"),
        (["recipes", "show", "none.yaml"], "no such file"),
        (["dance"], "dance"),
    ],
)
def test_what_cannot_be_used_is_exit_2_and_starts_nothing(
    stage: Stage, finished: Path, command: list[str], said: str
) -> None:
    result = CLI.invoke(app, command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
    assert stage.asked == []


def test_the_newest_model_judges_unless_another_is_named(stage: Stage, finished: Path) -> None:
    command = ["judge", "runs/x", "--prompt", "p", "--response", "r"]
    text = CLI.invoke(app, command).stdout
    assert "vote 1: 4\nFine. Score: 4" in text and "vote 3: unreadable\nhm" in text
    assert "score: 4.00 of 5  (67% of 3 votes readable, judge m2)" in text
    named = CLI.invoke(app, [*command, "--model", "m1", "--votes", "2", "--json"])
    assert json.loads(named.stdout)["judge"] == "m1"
    assert stage.asked == [(Path("runs/x/m2"), "p", "r", 3), (Path("runs/x/m1"), "p", "r", 2)]


def test_code_that_comes_with_a_model_is_said_aloud_even_when_quiet(stage: Stage, finished: Path) -> None:
    trusting = ["--set", "engine.trust_remote_code=true"]
    said = CLI.invoke(app, ["run", "micro", "--quiet", *trusting]).stderr
    assert "warning: engine.trust_remote_code: Python code that comes with micro-m0 runs" in said
    for trusted in ("engine.trust_remote_code=true", "judge.engine={name: local, trust_remote_code: true}"):
        (finished / "recipe.yaml").write_text(to_yaml(load_recipe("micro", [trusted])))
        assert "warning" in CLI.invoke(app, ["chat", "runs/x", "--prompt", "hi"]).stderr


def test_chat_answers_once_or_line_by_line(stage: Stage, finished: Path) -> None:
    assert CLI.invoke(app, ["chat", "runs/x", "--prompt", "[b]hi[/b]"]).stdout == "m2 says [b]hi[/b]\n"
    result = CLI.invoke(app, ["chat", "runs/x", "--model", "m1"], input="one\n\n two \n")
    assert (result.exit_code, result.stdout) == (0, "m1 says one\nm1 says two\n")


def test_recipes_are_listed_shown_and_described(tmp_path: Path) -> None:
    assert re.search(r"^micro +\S", CLI.invoke(app, ["recipes", "list"]).stdout, re.MULTILINE)
    assert "micro-fast" in json.loads(CLI.invoke(app, ["recipes", "list", "--json"]).stdout)
    file = tmp_path / "mine.yaml"
    file.write_text(CLI.invoke(app, ["recipes", "show", "micro"]).stdout)
    assert load_recipe(file) == load_recipe("micro")
    assert json.loads(CLI.invoke(app, ["recipes", "schema"]).stdout) == schema()


def test_every_command_explains_itself() -> None:
    for command in ([], ["run"], ["show"], ["judge"], ["chat"], ["export"], ["recipes"], ["recipes", "show"]):
        result = CLI.invoke(app, [*command, "--help"])
        assert result.exit_code == 0 and "Usage" in result.stdout
