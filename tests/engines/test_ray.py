"""The ray engine: what it refuses before anything runs, and how the answers and errors of Ray's processes arrive.

What it promises as an engine is in test_contract.py, how replicas share requests in test_replicas.py, a cluster whose
processes are killed in test_cluster.py.
"""

import logging
import pickle
import socket
import sys
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from selfreward.engines import check_engine, ray
from selfreward.engines.base import Request, Sampling, Unanswered
from selfreward.engines.replicas import Died
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import EngineOptions


def options(**settings: Any) -> EngineOptions:
    return EngineOptions.model_validate({"name": "ray", "ray": {"replicas": 2}, **settings})


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"^engine\.name: ray: needs ray.*; pip install 'selfreward\[ray\]'$"):
        check_engine(options())


def test_a_cluster_that_does_not_answer_is_refused_before_ray_would_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: object())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_engine(options())  # none is named: it will be started
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(BadInput, match=f"^{place}: no Ray cluster answers there"):
            check_engine(options(ray={"replicas": 2, "address": place}))
        monkeypatch.setenv("RAY_ADDRESS", place)
        with pytest.raises(BadInput, match=f"^{place}: no Ray cluster answers there"):
            check_engine(options())
        nobody.listen()
        check_engine(options())
    check_engine(options(ray={"replicas": 2, "address": "auto"}))  # of this machine: only Ray knows where


@pytest.mark.parametrize(
    ("settings", "in_the_cluster", "taken"),
    [
        ({}, 8, 1),
        ({}, 0, 0),
        ({"ray": {"replicas": 2, "gpus": 0.25}}, 8, 0.25),
        ({"ray": {"replicas": 2, "gpus": 0}}, 8, 0),
        ({"device": "cpu"}, 8, 0),
    ],
)
def test_a_replica_takes_a_gpu_where_the_cluster_has_any(
    settings: dict[str, Any], in_the_cluster: int, taken: float, fake_ray: Any
) -> None:
    fake_ray.cluster_resources = lambda: {"GPU": float(in_the_cluster)} if in_the_cluster else {"CPU": 4.0}
    assert ray._gpus(options(**settings)) == taken


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    """In the place of the package, with the one exception that is told from others."""

    class RayTaskError(Exception):
        cause: BaseException | None = None

    package, exceptions = ModuleType("ray"), ModuleType("ray.exceptions")
    exceptions.RayTaskError = package.RayTaskError = RayTaskError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", package)
    monkeypatch.setitem(sys.modules, "ray.exceptions", exceptions)
    return package


def passed_on(error: BaseException | None, result: Any = None) -> "Future[Any]":
    ours: Future[Any] = Future()
    theirs: Future[Any] = Future()
    theirs.add_done_callback(lambda done: ray._pass_on(ours, done))
    theirs.set_exception(error) if error else theirs.set_result(result)
    return ours


def test_an_engines_error_is_itself_and_whatever_else_befalls_a_process_is_its_death(fake_ray: Any) -> None:
    raised = fake_ray.RayTaskError()
    raised.cause = StageFailed("memory is too small")
    assert passed_on(raised).exception() is raised.cause
    died = passed_on(RuntimeError("The actor died.\n\tpid: 7\n" + "x" * 999)).exception()
    assert isinstance(died, Died) and str(died).startswith("The actor died. pid: 7 x") and len(str(died)) == 300


def test_f17_what_a_worker_logs_is_in_the_log_of_the_run(
    fake_ray: Any, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = ray._Worker(tiny_model, options(), "cpu")
    answer = worker.answer("generate", [Request("long", "dog " * 999, 1, 0)], Sampling(1, 1, 4))
    logging.getLogger("selfreward").removeHandler(worker.said)
    caplog.clear()
    assert passed_on(None, pickle.loads(pickle.dumps(answer))).result() == answer[0]
    assert [record.message for record in caplog.records if "request long" in record.message]
    assert worker.answer("room", [])[1] == []  # told once


def test_a_machine_that_does_not_see_the_model_is_named(tmp_path: Path) -> None:
    worker = ray._Worker(tmp_path / "m1", options(), "cpu")
    logging.getLogger("selfreward").removeHandler(worker.said)
    with pytest.raises(
        StageFailed, match=f"^on {socket.gethostname()}: .*m1.*must see the model's folder under the same"
    ):
        worker.answer("room", [])
    error = pickle.loads(pickle.dumps(StageFailed("what", "where", "todo")))  # as it is on its way from the machine
    assert str(error) == "where: what; todo"


def test_probabilities_that_replicas_gave_before_they_died_go_along() -> None:
    class Dying:
        def run(self, *_: Any) -> Any:
            return [(0.5, 0.25), None], StageFailed("4 replicas died")

    engine = ray.RayEngine.__new__(ray.RayEngine)
    engine._replicas = Dying()  # type: ignore[assignment]
    with pytest.raises(Unanswered, match="4 replicas died") as failed:
        engine.score_tokens([("a", ""), ("b", "")], ["0", "1"])
    assert failed.value.answers == [((0.5, 0.25),), None]
