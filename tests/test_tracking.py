"""The scalars of a run in trackers: what TensorBoard's files hold, what the others are told, and what happens when one fails.

TensorBoard is there; trackio, W&B and MLflow are tested for real where they are installed, and through fakes everywhere.
"""

import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import selfreward as sr
from selfreward import store
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import Recipe
from selfreward.store import RunFolder, open_run
from selfreward.tracking import check_trackers, scalars_of
from selfreward.verifying import verify

Found = dict[tuple[str, int], float]  # (name, step) -> value
LINES: list[dict[str, Any]] = [
    {"model": "m1", "method": "sft", "num_rows": 7},
    {"model": "m1", "method": "sft", "step": 1, "loss": 0.75, "rewards/margins": 2},
    {"model": "m1", "method": "sft", "step": 2, "loss": 0.5},
    {"stage": "m2 responses", "seconds": 1.5, "items": 64},
    {"measured": "m2", "k": 2, "score": 4.25},
]
EXPECTED: Found = {
    ("m1/num_rows", 0): 7, ("m1/loss", 1): 0.75, ("m1/rewards/margins", 1): 2, ("m1/loss", 2): 0.5,
    ("m2/responses/seconds", 0): 1.5, ("m2/responses/items", 0): 64, ("measured/score", 2): 4.25,
}  # fmt: skip


def events(run: Path) -> Found:
    """What TensorBoard's event files hold: records of a length, its checksum, an Event and its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: Found = {}
    for file in sorted((run / "logs" / "tensorboard").iterdir()):
        data = file.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            data = data[16 + size :]
    return found


@pytest.fixture
def recipe(tiny_model: Path) -> Recipe:
    return Recipe(name="mine", model=str(tiny_model))


def launch(folder: Path, recipe: Recipe, *trackers: str, lines: list[dict[str, Any]] = LINES) -> None:
    with open_run(folder, sr.load_recipe(recipe, set={"tracking": trackers})) as run:
        for line in lines:
            run.log(**line)


@pytest.mark.parametrize(
    ("line", "scalars", "step"),
    [
        ({"time": 1.0, "model": "m2", "step": 3, "epoch": 0.5, "method": "dpo"}, {"m2/epoch": 0.5}, 3),
        ({"measured": "sft", "k": 0, "score": 3}, {"measured/score": 3}, 0),
        ({"guard": "ties", "model": "m2", "said": "x", "value": 0.9, "limit": 0.5},
         {"m2/alarm/ties/value": 0.9, "m2/alarm/ties/limit": 0.5}, None),
        ({"closed": "server", "requests": 4, "use": {"read": 9}, "sure": True},
         {"engine/server/requests": 4, "engine/server/use.read": 9}, None),
        ({"opened": "local", "model": "runs/x/m1/model"}, {}, None),
        ({"torn": "m2/pairs.jsonl", "bytes": 5}, {"run/bytes": 5}, None),
        ({"device_batch": 4}, {"run/device_batch": 4}, None),
    ],
)  # fmt: skip
def test_a_line_of_the_metrics_has_names_and_a_step(
    line: Mapping[str, Any], scalars: dict[str, float], step: int | None
) -> None:
    assert scalars_of(line) == (scalars, step)


def test_tensorboard_holds_every_scalar_of_every_launch(recipe: Recipe, tmp_path: Path) -> None:
    launch(tmp_path / "run", recipe, "tensorboard")
    assert events(tmp_path / "run") == EXPECTED
    launch(tmp_path / "run", recipe, "tensorboard", lines=[{"model": "m2", "step": 1, "loss": 0.25}])
    assert events(tmp_path / "run") == EXPECTED | {("m2/loss", 1): 0.25}
    manifest = store.read_manifest(tmp_path / "run")
    assert any("tensorboard" in name for name in manifest)  # whole when it was sealed
    assert [problem for problem in verify(tmp_path / "run")["problems"] if "tensorboard" in problem] == []


def test_a_run_without_trackers_has_none_and_may_go_on_with_some(recipe: Recipe, tmp_path: Path) -> None:
    launch(tmp_path / "run", recipe)
    assert not (tmp_path / "run" / "logs" / "tensorboard").exists()
    launch(tmp_path / "run", recipe, "tensorboard")
    assert events(tmp_path / "run") == EXPECTED


def test_what_a_run_measures_is_a_curve_over_its_models(micro_fast: Path, tmp_path: Path) -> None:
    """M3 of a finished run is measured again, with a tracker."""
    shutil.copytree(micro_fast / "runs" / "micro-fast", tmp_path / "run")
    first = measured(tmp_path / "run")
    assert list(first) == ["sft", "m1", "m2", "m3"]
    (tmp_path / "run" / "m3" / "eval.json").unlink()
    run = sr.run(tmp_path / "run", set={"tracking": ["tensorboard"]}, quiet=True)
    found = events(tmp_path / "run")
    assert {name for name, step in found} >= {"measured/score", "measured/net_against_sft", "measured/length_words"}
    assert found["measured/score", 3] == pytest.approx(run.eval("m3")["capability"]["score"]["mean"])
    assert measured(tmp_path / "run") == first


def measured(run: Path) -> dict[str, float]:
    rows = [row for row in store.read_rows(RunFolder(run).metrics) if "measured" in row]
    return {row["measured"]: row["score"] for row in rows}


def test_a_package_that_is_missing_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfreward.tracking.find_spec", lambda package: None)
    with pytest.raises(BadInput, match=r"^tracking: mlflow needs the package mlflow; pip install mlflow-skinny$"):
        check_trackers(["mlflow"])
    with pytest.raises(
        BadInput, match=r"tensorboard needs the package tensorboardX; pip install 'selfreward\[tracking"
    ):
        sr.run("micro-fast", to=tmp_path / "run", set={"tracking": ["tensorboard"]})
    assert not (tmp_path / "run").exists()
    with pytest.raises(BadInput, match=r"tracking\.0"):
        sr.load_recipe("micro", set={"tracking": ["tensorbord"]})


class FakeTracker(ModuleType):
    """Stands for the packages wandb and trackio, and for MLflow's client."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.found: Found = {}
        self.settings: dict[str, Any] = {}
        self.step_names: dict[str, str] = {}
        self.ended = 0
        self.fails_after: int | None = None

    def _take(self, name: str, step: int, value: float) -> None:
        if self.fails_after is not None and len(self.found) >= self.fails_after:
            raise ConnectionError("nobody\nanswers")
        self.found[name, step] = value

    # wandb and trackio

    def init(self, **settings: Any) -> "FakeTracker":
        print("hello")
        self.settings = settings
        return self

    def Settings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def define_metric(self, name: str, step_metric: str) -> None:
        self.step_names[name.removesuffix("/*")] = step_metric

    def log(self, scalars: dict[str, float], step: int | None = None) -> None:
        prefix = next(iter(scalars)).partition("/")[0]
        step = scalars.pop(self.step_names[prefix]) if prefix in self.step_names and step is None else step
        for name, value in scalars.items():
            self._take(name, int(step or 0), value)

    def finish(self) -> None:
        self.ended += 1

    # mlflow

    def MlflowClient(self) -> "FakeTracker":
        return self

    def get_experiment_by_name(self, name: str) -> Any:
        return None if not self.settings else SimpleNamespace(experiment_id=name)

    def create_experiment(self, name: str) -> str:
        return name

    def search_runs(self, experiments: list[str], query: str) -> list[Any]:
        known = f"tags.`selfreward.run` = '{self.settings.get('id')}'" == query
        return [SimpleNamespace(info=SimpleNamespace(run_id="r"))] if known else []

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        self.settings = {"name": run_name, "project": experiment, "id": tags["selfreward.run"], "config": {}}
        return SimpleNamespace(info=SimpleNamespace(run_id="r"))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(params) <= 100
        self.settings["config"].update({param.key: param.value for param in params})
        for metric in metrics:
            self._take(metric.key, metric.step, metric.value)

    def set_terminated(self, run_id: str) -> None:
        self.finish()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FakeTracker:
    name = request.param
    fake = FakeTracker(name)
    monkeypatch.setitem(sys.modules, name, fake)
    entities = ModuleType("mlflow.entities")
    entities.__dict__["Metric"] = lambda key, value, time, step: SimpleNamespace(key=key, value=value, step=step)
    entities.__dict__["Param"] = lambda key, value: SimpleNamespace(key=key, value=value)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return fake


ALL = pytest.mark.parametrize("fake", ["wandb", "trackio", "mlflow"], indirect=True)


@ALL
def test_every_tracker_gets_the_same_scalars_and_one_run_for_all_launches(
    fake: FakeTracker, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch(tmp_path / "run", recipe, fake.__name__)
    assert fake.found == EXPECTED
    before = {key: fake.settings[key] for key in fake.settings.keys() & {"id", "name", "project"}}
    launch(tmp_path / "run", recipe, fake.__name__, lines=[{"model": "m2", "step": 1, "loss": 0.25}])
    assert fake.found == EXPECTED | {("m2/loss", 1): 0.25}
    assert {key: fake.settings[key] for key in before} == before
    assert before["project"] == "selfreward" and before["name"].startswith("mine")
    assert fake.ended == 2
    assert capsys.readouterr().out == ""


@ALL
def test_a_tracker_that_fails_is_told_and_the_run_goes_on(
    fake: FakeTracker, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fails_after = 3
    launch(tmp_path / "run", recipe, fake.__name__, "tensorboard")
    assert len(store.read_rows(tmp_path / "run" / "metrics.jsonl")) == len(LINES)
    assert events(tmp_path / "run") == EXPECTED
    assert len(fake.found) == 3
    said = f"tracking: {fake.__name__} failed and gets no more of this launch, metrics.jsonl does: nobody answers"
    assert capsys.readouterr().err.count(said) == 1
    assert said in (tmp_path / "run" / "logs" / "attempt_1" / "log.txt").read_text()


@pytest.mark.parametrize("fake", ["wandb"], indirect=True)
def test_a_tracker_that_cannot_begin_ends_the_launch_before_any_stage(
    fake: FakeTracker, recipe: Recipe, tmp_path: Path
) -> None:
    def refuse(**_: Any) -> None:
        raise ValueError("no\nlogin")

    fake.__dict__["init"] = refuse
    with pytest.raises(StageFailed, match=r"^tracking: wandb cannot begin: no login; mend it, or do without"):
        launch(tmp_path / "run", recipe, "wandb")
    assert store.read_rows(tmp_path / "run" / "metrics.jsonl") == []
    launch(tmp_path / "run", recipe)


@pytest.fixture
def real(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip(request.param, exc_type=ImportError)  # trackio reads its variable when it is imported
    yield request.param


@pytest.mark.parametrize("real", ["wandb", "trackio", "mlflow"], indirect=True)
def test_the_packages_themselves_take_two_launches_of_a_run_as_one(real: str, recipe: Recipe, tmp_path: Path) -> None:
    more = [{"model": "m2", "step": 1, "loss": 0.25}]
    launch(tmp_path / "run", recipe, real)
    launch(tmp_path / "run", recipe, real, lines=more)
    if real == "mlflow":
        from mlflow import MlflowClient

        (tracked,) = MlflowClient().search_runs([MlflowClient().get_experiment_by_name("selfreward").experiment_id])
        assert tracked.data.metrics["m1/loss"] == 0.5 and tracked.data.metrics["m2/loss"] == 0.25
        assert [m.step for m in MlflowClient().get_metric_history(tracked.info.run_id, "m1/loss")] == [1, 2]
        assert tracked.data.params["dpo.beta"] == "0.1"
    elif real == "wandb":
        files = sorted((tmp_path / "run" / "logs" / "wandb").glob("offline-run-*/run-*.wandb"))
        assert len(files) == 2 and len({file.stem for file in files}) == 1  # of one id
        assert b"m1/loss" in files[0].read_bytes() and b"m2/loss" in files[1].read_bytes()
    else:
        (database,) = (tmp_path / "trackio").rglob("selfreward.db")
        with sqlite3.connect(database) as connection:
            rows = connection.execute("select run_name, step, metrics from metrics").fetchall()
        assert len({name for name, *_ in rows}) == 1
        assert any('"m1/loss":0.5' in str(metrics).replace(" ", "") and step == 2 for _, step, metrics in rows)
