"""What is passed on between processes that train and the one that waits: progress, scalars, failures, the end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from selfreward.errors import BadInput, StageFailed
from selfreward.memory import is_out_of_memory
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.training.order import Order, add_event, read_order, write_order

launching = import_module("selfreward.training.launch")
worker = import_module("selfreward.training.worker")

ROOT = Path(__file__).parents[2]
ROWS = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}]
WORKS = "from pathlib import Path; import sys; from selfreward.training.order import add_event as add; f = Path(sys.argv[1]);"


def order(folder: Path, **training: Any) -> Order:
    told = Recipe.of({"name": "x", "training": {"launcher": "accelerate", "processes": 2, **training}})
    return Order(
        method="sft", lesson="a lesson", start=folder / "m0", reference=None, reference_weights="", folder=folder / "m1",
        recipe=told, distributed_type="MULTI_CPU",
    )  # fmt: skip


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Any], list[Any]]]:
    """Launches a line of Python in the place of the processes; items per stage, and what was logged."""

    def run(code: str, log: Any = None) -> tuple[list[Any], list[Any]]:
        monkeypatch.setattr(
            launching, "command", lambda order, folder: [sys.executable, "-c", f"{WORKS} {code}", str(folder)]
        )
        stages: list[Any] = []
        logged: list[Any] = []
        launching.launch(
            order(tmp_path), ROWS, tmp_path / "m1" / "order", tmp_path / "logs",
            QuietProgress(lambda **line: stages.append((line["stage"], line["items"]))),
            log or (lambda **scalars: logged.append(scalars)),
        )  # fmt: skip
        return stages, logged

    return run


def test_an_order_and_its_rows_come_back_as_they_were_handed_over(tmp_path: Path) -> None:
    write_order(order(tmp_path), ROWS, tmp_path / "order")
    add_event(tmp_path / "order", advance=1)
    assert read_order(tmp_path / "order") == (order(tmp_path), ROWS)
    write_order(order(tmp_path), ROWS, tmp_path / "order")
    assert not (tmp_path / "order" / "events.jsonl").exists()  # another launch begins without the events of the last


def test_steps_and_scalars_reach_the_one_that_waits(launched: Any) -> None:
    stages, logged = launched(
        "add(f, stage='train m1', total=3, done=1); add(f, advance=1); add(f, log={'loss': .5}); add(f, advance=1)"
    )
    assert stages == [("train m1", 2)]
    assert logged == [{"loss": 0.5}]


@pytest.mark.parametrize(("kind", "raised"), [("StageFailed", StageFailed), ("BadInput", BadInput)])
def test_what_a_process_refuses_is_raised_in_its_words(launched: Any, kind: str, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=r"^training: it went wrong; do better$"):
        launched(f"add(f, failed='{kind}', why='training: it went wrong; do better'); sys.exit(3)")


def test_running_out_of_memory_in_a_process_is_that_error_here(launched: Any) -> None:
    with pytest.raises(RuntimeError) as error:
        launched("add(f, failed='OutOfMemory', why='CUDA out of memory. Tried to allocate 9 GiB.'); sys.exit(1)")
    assert is_out_of_memory(error.value)


def test_a_process_that_dies_fails_the_stage_with_the_end_of_its_log(launched: Any, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"(?s)exit code -9; the log ends:\n  line 41\n.*\n  line 60\n") as failed:
        launched("[print('line', i, flush=True) for i in range(61)]; import os; os.kill(os.getpid(), 9)")
    assert "line 40\n" not in str(failed.value)
    assert str(tmp_path / "logs" / "train_m1.log") in str(failed.value)
    with pytest.raises(StageFailed, match="the log ends:\n  again\n"):
        launched("print('again', flush=True); sys.exit(1)")  # the log of the first attempt is kept and not shown again
    assert "line 60\nagain\n" in (tmp_path / "logs" / "train_m1.log").read_text()


def test_an_interrupt_ends_the_processes(launched: Any, tmp_path: Path) -> None:
    def interrupted(**scalars: Any) -> None:
        raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        launched(
            "import os, time; add(f, log={}); (f / 'pid').write_text(str(os.getpid())); time.sleep(60)", interrupted
        )
    assert time.monotonic() - begin < 30
    assert not is_alive(int((tmp_path / "m1" / "order" / "pid").read_text()))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_leaves_when_the_one_that_waits_is_killed(tmp_path: Path) -> None:
    """Not even a handler runs in a process that is killed: the system frees its lock."""
    lock = tmp_path / worker.LOCK_FILE
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); time.sleep(60)"
    waits = subprocess.Popen([sys.executable, "-c", hold, str(lock)], stdout=subprocess.PIPE)
    assert waits.stdout is not None
    waits.stdout.readline()
    code = "import sys, time; from pathlib import Path; from selfreward.training.worker import _leave_with as leave;"
    works = subprocess.Popen(
        [sys.executable, "-c", f"{code} leave(Path(sys.argv[1])); print(flush=True); time.sleep(60)", str(lock)],
        stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert works.stdout is not None
    works.stdout.readline()
    assert works.poll() is None
    waits.kill()
    assert works.wait(30) == 1
    waits.wait()


def test_a_process_that_was_started_by_hand_stays(tmp_path: Path) -> None:
    worker._leave_with(tmp_path / worker.LOCK_FILE)
    time.sleep(0.1)  # this very process would have gone


def test_accelerate_is_given_the_configuration_and_the_number_of_processes(tmp_path: Path) -> None:
    words = launching.command(order(tmp_path, config="fsdp2", processes=4), tmp_path)
    assert words[1:3] == ["-m", "accelerate.commands.launch"]
    assert words[words.index("--config_file") + 1].endswith("configs/fsdp2.yaml")
    assert words[words.index("--num_processes") + 1] == "4"
    assert words[-3:] == ["-m", "selfreward.training.worker", str(tmp_path)]
    ray = launching.command(order(tmp_path, launcher="ray_train"), tmp_path)
    assert ray[1:] == ["-m", "selfreward.training.ray_train", str(tmp_path)]


def test_several_machines_are_started_by_slurm_one_task_each(tmp_path: Path) -> None:
    """Each task knows its number; here `srun` is a script that shows what the second of two machines would run."""
    config = tmp_path / "two machines.yaml"
    config.write_text(
        "{distributed_type: FSDP, fsdp_config: {fsdp_version: 2}, num_machines: 2, main_process_ip: head}"
    )
    given = order(tmp_path, config=str(config), processes=16)
    words = launching.command(given, tmp_path / "an order")
    assert words[:5] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    show = "import sys; print(sys.argv[1:])"
    at = words.index(sys.executable)
    done = subprocess.run(
        [*words[5 : at + 1], "-c", show, *words[at + 1 :]], env=os.environ | {"SLURM_NODEID": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(
        ["-m", "accelerate.commands.launch", "--config_file", str(config), "--num_processes", "16",
         "--machine_rank", "1", "-m", "selfreward.training.worker", str(tmp_path / "an order")]
    )  # fmt: skip
