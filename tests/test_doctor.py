"""`doctor`: what it finds is what is there, and what will end a run is named with what to do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support_endpoint import FakeEndpoint
from typer.testing import CliRunner

from selfreward import doctor
from selfreward.cli import app
from selfreward.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[1]


def findings(recipe: Recipe | None = None, folder: Path = ROOT) -> dict[str, Any]:
    """State and words by name, the worst of each."""
    found: dict[str, Any] = {}
    for one in doctor.examine(recipe, folder)["findings"]:
        if one["name"] not in found or one["state"] == "wrong":
            found[one["name"]] = (one["state"], f"{one['said']} -> {one['todo']}")
    return found


def test_a_machine_that_runs_these_tests_can_run_a_recipe() -> None:
    found = findings(load_recipe("micro"))
    assert {name: state for name, (state, _) in found.items() if state == "wrong"} == {}
    assert {"packages", "disk", "memory", "threads", "gpu", "adapter", "engine", "model"} == found.keys()


def test_a_dead_server_a_missing_model_and_a_missing_package_are_wrong(tmp_path: Path) -> None:
    server = {"name": "server", "server": {"url": "http://127.0.0.1:9/v1", "model": "big"}}
    found = findings(Recipe.of({"name": "x", "model": str(tmp_path / "none"), "judge": {"engine": server}}))
    assert found["engine"][0] == found["model"][0] == "wrong"
    assert "does not answer" in found["engine"][1] and "-> start the server" in found["engine"][1]
    assert "no such model folder" in found["model"][1]


def test_the_database_of_a_grounded_judge_is_looked_at() -> None:
    assert findings(load_recipe("micro-grounded"))["database"] == ("ok", "micro -> ")
    state, said = findings(load_recipe("micro-grounded", ["judge.database=none.db"]))["database"]
    assert state == "wrong" and said.startswith("none.db: no such database -> make one with")


def test_a_server_that_answers_is_fine_and_its_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeEndpoint()
    fake.key = "sk-secret-1"
    server = {"name": "server", "server": {"url": fake.url, "model": "judge-1", "api_key_env": "SOME_KEY"}}
    recipe = Recipe.of({"name": "x", "judge": {"engine": server}})
    try:
        assert findings(recipe)["engine"][0] == "wrong"  # the variable is not set
        monkeypatch.setenv("SOME_KEY", "sk-secret-1")
        assert findings(recipe)["engine"] == ("ok", "local -> ")
        monkeypatch.setenv("SOME_KEY", "sk-secret-2")
        state, said = findings(recipe)["engine"]
        assert state == "wrong" and "401" in said and "check the key" in said and "secret" not in said
    finally:
        fake.close()


def test_too_little_disk_and_too_many_threads_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_DISK_BYTES", 10**18)
    monkeypatch.setattr(doctor, "LEAST_MEMORY_BYTES", 10**18)
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    found = findings()
    assert found["disk"][0] == found["memory"][0] == "wrong" and found["threads"][0] == "note"
    assert "4096 threads on" in found["threads"][1] and "export OMP_NUM_THREADS=" in found["threads"][1]


def test_extras_that_are_not_here_are_told_from_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata, "requires",
        lambda name: ["numpy>=1", "no-such-thing>=1; extra == 'far'", "numpy>=1; extra == 'near'", "numpy<1; extra == 'old'"],
    )  # fmt: skip
    monkeypatch.setattr(doctor.metadata, "metadata", lambda name: _Extras())
    assert doctor.extras() == {"far": False, "near": True, "old": False}
    assert findings()["packages"][0] == "ok"
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["numpy<1", "no-such-thing"])
    state, said = findings()["packages"]
    assert state == "wrong" and "should be <1" in said and "no-such-thing is missing" in said


class _Extras:
    def get_all(self, name: str) -> list[str]:
        return ["far", "near", "old"]


def test_the_command_imports_no_torch_and_ends_with_3_where_something_is_wrong(tmp_path: Path) -> None:
    code = "import sys; from selfreward.cli import app; app(sys.argv[1:], standalone_mode=False)\nprint('torch' in sys.modules)"
    if not doctor.hardware()["gpus"]:
        done = subprocess.run([sys.executable, "-c", code, "doctor", "micro"], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "False", done.stderr
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["versions"]["python"]
    done = CliRunner().invoke(app, ["doctor", "micro", "--set", f"model={tmp_path}/none"])
    assert done.exit_code == 3 and "wrong model: " in done.stdout
    assert CliRunner().invoke(app, ["doctor", "mirco"]).exit_code == 2
