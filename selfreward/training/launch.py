"""Starts the processes that teach a lesson, passes on what they report, and ends them when there is no more use for them."""

import fcntl
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput, StageFailed
from selfreward.progress import Advance, Progress
from selfreward.training.order import EVENTS_FILE, Order, Rows, write_order
from selfreward.training.processes import config_file, num_machines
from selfreward.training.worker import LOCK_FILE

WORKER = "selfreward.training.worker"
POLL_S = 0.1
PATIENCE_S = 45.0  # torch's launcher gives its processes 30 seconds to end
NUM_LOG_LINES = 20  # of a log's end, in a message


def launch(order: Order, rows: Rows, folder: Path, logs: Path, progress: Progress, log: Callable[..., None]) -> None:
    """Has an order carried out by `training.processes` processes; returns when the model is there.

    Raises what they raise: BadInput, StageFailed, and out of memory as the RuntimeError that torch makes of it. Where a
    process just ends, StageFailed says how its log ends, `logs`/train_m2.log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    output = logs / f"train_{order.folder.name}.log"
    with _waiting(folder / LOCK_FILE):
        write_order(order, rows, folder)
        with output.open("ab") as file:
            begin = file.tell()
            process = subprocess.Popen(
                command(order, folder), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the one that waits, which then ends them in order
            )  # fmt: skip
        try:
            failures = _follow(process, folder / EVENTS_FILE, progress, log)
        finally:
            _end(process)
    if failures:
        kind, why = failures[0]
        raise {"BadInput": BadInput, "StageFailed": StageFailed}.get(kind, RuntimeError)(why)
    if process.returncode:
        end = output.read_bytes()[begin:].decode(errors="replace").strip().splitlines()[-NUM_LOG_LINES:]
        what = f"the processes ended with exit code {process.returncode}; the log ends:\n  " + "\n  ".join(end) + "\n"
        raise StageFailed(what, output, "run again to go on from the last checkpoint")


def command(order: Order, folder: Path) -> list[str]:
    """What starts all processes, on this machine or, through Slurm, on those of the configuration."""
    training = order.recipe.training
    if training.launcher == "ray_train":
        return [sys.executable, "-m", "selfreward.training.ray_train", str(folder)]
    machines = num_machines(training)
    accelerate = [
        "-m", "accelerate.commands.launch", "--config_file", str(config_file(training)),
        "--num_processes", str(training.processes),
    ]  # fmt: skip
    worker = ["-m", WORKER, str(folder)]
    if machines == 1:
        return [sys.executable, *accelerate, "--main_process_port", "0", *worker]
    # Each machine has one task, which starts the processes there; its number is known there alone.
    return [
        "srun", f"--nodes={machines}", f"--ntasks={machines}", "--ntasks-per-node=1", "--kill-on-bad-exit=1",
        "bash", "-c", 'exec "$0" "$@" --machine_rank "$SLURM_NODEID" ' + shlex.join(worker),
        sys.executable, *accelerate,
    ]  # fmt: skip


@contextmanager
def _waiting(lock: Path) -> Iterator[None]:
    """Holds the lock by which the processes know that somebody waits for them; what is left of earlier ones ends first."""
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _follow(
    process: "subprocess.Popen[bytes]", events: Path, progress: Progress, log: Callable[..., None]
) -> list[tuple[str, str]]:
    """Passes the events on until the process has ended; (kind, reason) of each failure among them."""
    failures: list[tuple[str, str]] = []
    with ExitStack() as stages:
        advance: Advance = _nothing
        for event in _events(process, events):
            if "stage" in event:
                advance = stages.enter_context(progress.stage(event["stage"], event["total"], event["done"]))
            elif "advance" in event:
                advance(event["advance"])
            elif "log" in event:
                log(**event["log"])
            else:
                failures.append((event["failed"], event["why"]))
    return failures


def _nothing(items: int) -> None:
    """Before the first stage there is nothing to advance."""


def _events(process: "subprocess.Popen[bytes]", file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file as they come, to the last one that the process left."""
    read = 0
    while True:
        ended = process.poll() is not None  # asked before reading: what it wrote last is then read
        if file.exists():
            with file.open("rb") as opened:
                opened.seek(read)
                whole = opened.read().rpartition(b"\n")[0]
            if whole:
                read += len(whole) + 1
                yield from (json.loads(line) for line in whole.splitlines())
        if ended:
            return
        time.sleep(POLL_S)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends the launcher, which ends its processes; those that it leaves see the lock go."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
