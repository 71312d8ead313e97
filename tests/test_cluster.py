"""A cluster of three machines, all of them this one: a whole run on Ray is the run of a single process, through the loss of
a process and of a machine.
"""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from selfreward import store
from selfreward.engines import open_engine
from selfreward.engines.base import Request, Sampling
from selfreward.engines.ray import RayEngine
from selfreward.loop import run
from selfreward.progress import QuietProgress
from selfreward.recipe import EngineOptions, load_recipe

pytestmark = pytest.mark.integration

SMALL = {
    "rounds": 1, "seeds.num_ift": 24, "seeds.num_eft_prompts": 8, "eft.attempts": 4, "eft.min_words": 0, "prompts.num": 12,
    "sft.epochs": 1, "sft.batch": 16, "sft.dropout": 0, "dpo.batch": 4, "dpo.epochs": 1, "responses.num_samples": 3,
    "evaluation.num_prompts": 4, "evaluation.num_ranked_sets": 3, "evaluation.num_samples": 1, "engine.batch_size": 16,
    "engine.device": "cpu", "engine.threads": 1,
}  # fmt: skip
ON_RAY = {
    "engine.name": "ray", "engine.ray.replicas": 3, "engine.ray.block": 2,
    "training.launcher": "ray_train", "training.processes": 2,
}  # fmt: skip
REPLICA_AT_WORK = "ray::_Worker.answer"  # the name that Ray gives its process


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """The machines of a cluster, each with one core; RAY_ADDRESS names it."""
    pytest.importorskip("ray.train", reason="Ray needs the extra [ray]", exc_type=ImportError)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr("torch.cuda.is_available", lambda: False)
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        for _ in range(3):
            cluster.add_node(num_cpus=1, num_gpus=0, object_store_memory=80 * 2**20)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()


def kill_a_replica_at_work() -> None:
    """SIGKILL for the first of this process's descendants that is seen to answer."""
    import psutil

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            try:
                if process.cmdline()[:1] == [REPLICA_AT_WORK]:
                    return process.send_signal(signal.SIGKILL)
            except psutil.Error:
                pass
        time.sleep(0.01)


def usage(folder: Path, name: str) -> int:
    """A count of the engines of a run, over all that were opened."""
    return sum(line[name] for line in store.read_rows(folder / store.METRICS_FILE) if line.get("closed") == "ray")


def test_a_run_on_a_cluster_is_the_run_of_one_process_even_if_a_replica_is_killed_while_it_judges(
    machines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records to the byte, weights to 1e-4: two processes add gradients in another order, and Adam scales up what is small.

    Without dropout, since each process draws its own.
    """
    from safetensors.torch import load_file
    from torch.testing import assert_close

    alone, cluster = tmp_path / "alone", tmp_path / "cluster"
    run(load_recipe("micro-fast", [f"{key}={value}" for key, value in SMALL.items()]), alone, QuietProgress())

    generate, killers = RayEngine.generate, []

    def killed(self: RayEngine, requests: Sequence[Request], sampling: Sampling) -> Any:
        if (cluster / "m2" / store.JUDGEMENTS_FILE).exists() and not killers:
            killers.append(threading.Thread(target=kill_a_replica_at_work))
            killers[0].start()
        return generate(self, requests, sampling)

    monkeypatch.setattr(RayEngine, "generate", killed)
    recipe = load_recipe("micro-fast", [f"{key}={value}" for key, value in {**SMALL, **ON_RAY}.items()])
    run(recipe, cluster, QuietProgress())
    killers[0].join()
    assert usage(cluster, "deaths") == 1
    assert usage(cluster, "loaded") >= 4

    files = {path.relative_to(alone) for path in alone.rglob("*.jsonl")} - {Path(store.METRICS_FILE)}
    assert {Path("m2", name) for name in (store.RESPONSES_FILE, store.JUDGEMENTS_FILE, store.PAIRS_FILE)} <= files
    for file in sorted(files):
        assert (cluster / file).read_bytes() == (alone / file).read_bytes(), file
    for name in ("sft", "m1", "m2"):
        ours, theirs = (load_file(folder / name / "model" / "model.safetensors") for folder in (cluster, alone))
        for part, values in theirs.items():
            assert_close(ours[part], values, rtol=0, atol=1e-4)


def test_a_machine_that_is_lost_takes_no_answer_with_it(machines: Any, tiny_model: Path) -> None:
    """There is no room for another replica then: the two that are left do its work."""
    asked = [Request(f"r{i}", f"write about {i}", 2, i) for i in range(40)]
    sampling = Sampling(0.9, 0.95, 200)
    settings = {"device": "cpu", "threads": 1}
    expected = open_engine(EngineOptions.model_validate(settings), tiny_model).generate(asked, sampling)
    ray = {"name": "ray", "ray": {"replicas": 3, "block": 1, "deaths": 1}}
    engine: Any = open_engine(EngineOptions.model_validate({**settings, **ray}), tiny_model)
    try:
        deadline = time.monotonic() + 120
        while engine.usage()["loaded"] < 3 and time.monotonic() < deadline:
            assert engine.generate(asked[:3], sampling) == expected[:3]
        lost = threading.Thread(target=machines.remove_node, args=(machines.list_all_nodes()[-1], False))
        lost.start()
        while engine.usage()["deaths"] < 1 and time.monotonic() < deadline:  # how soon Ray knows is not ours to say
            assert engine.generate(asked, sampling) == expected
        lost.join()
        assert engine.generate(asked, sampling) == expected
        assert engine.usage()["deaths"] == 1
    finally:
        engine.close()
