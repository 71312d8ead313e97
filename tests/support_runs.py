"""Runs the command in processes that can be killed, without the seconds that importing torch takes.

As a script it is a server: it imports what a run needs once, then forks a process for every line of its input, a `Job` as
JSON. It answers each with a line: the exit status and the number of changes of the disk that were made. What a killed
process leaves behind is what is on the disk, so a kill just before a change stands for a kill at any time since the change
before; a kill after some seconds falls into the middle of a write, too.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, TypedDict

# A run of all stages that takes seconds: people stand in for what its models say.
SMALL = {
    "seeds.num_ift": 24, "seeds.num_eft_prompts": 20, "eft.attempts": 2, "prompts.num": 9, "sft.batch": 16,
    "sft.epochs": 1, "dpo.batch": 4, "dpo.epochs": 1, "judge.votes": 2, "responses.num_samples": 3, "evaluation.num_prompts": 5,
    "evaluation.num_ranked_sets": 3, "evaluation.votes": 1, "evaluation.num_samples": 1, "engine.batch_size": 5,
    "engine.name": "support_engines:people",
}  # fmt: skip
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")


class Job(TypedDict, total=False):
    """What is to be run, and what is to happen to it."""

    arguments: list[str]
    errors: str  # file to which its output is added
    environment: dict[str, str]
    kill_at: int | None  # number of the change of the disk before which it gets the signal
    kill_after_s: float | None
    signal: int  # SIGKILL where none is given
    asked: str | None  # file to which the seeds of all requests to the model are added, a line for each batch
    checkpoint_every_s: float | None
    clock_jumps: bool  # the time of day leaps by a day now and then, forwards and backwards


class Runs:
    """The server, seen from a test."""

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        tests = str(Path(__file__).parent)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([tests, str(Path(tests).parent)])}
        self.server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, *arguments: str, kill_at: int | None = None, **environment: str) -> tuple[int, int]:
        """Exit status (-9: killed) and changes of the disk of `selfreward` with these arguments."""
        return self.do({"arguments": list(arguments), "kill_at": kill_at, "environment": environment})

    def do(self, job: Job) -> tuple[int, int]:
        """Exit status and changes of the disk of a job."""
        assert self.server.stdin is not None and self.server.stdout is not None
        self.server.stdin.write(json.dumps({**job, "errors": str(self.errors)}) + "\n")
        self.server.stdin.flush()
        status, changes = json.loads(self.server.stdout.readline())
        return status, changes

    def close(self) -> None:
        """End the server."""
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(timeout=30)


def command(job: Job, report: int) -> None:
    """Is the command, in a process of its own; hands the number of changes so far to the file descriptor `report`."""
    from selfreward.cli import app

    changes = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, str) or not (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
        elif event not in CHANGES:
            return
        changes += 1
        os.pwrite(report, b"%8d" % changes, 0)
        if changes == job.get("kill_at"):
            os.kill(os.getpid(), job.get("signal", signal.SIGKILL))

    os.environ.update(job.get("environment", {}))
    errors = os.open(job["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
    if asked := job.get("asked"):
        note_requests(asked)
    if seconds := job.get("checkpoint_every_s"):
        from selfreward.training import trainer

        trainer.CHECKPOINT_EVERY_S = seconds
    if job.get("clock_jumps"):
        jump_clock()
    sys.addaudithook(count)
    sys.argv = ["selfreward", *job["arguments"]]
    app(job["arguments"])


def note_requests(path: str) -> None:
    """Has the local engine write down what it is asked, before it answers."""
    from selfreward.engines.local import LocalEngine

    generate, file = LocalEngine.generate, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def noted(self: Any, requests: Any, sampling: Any) -> Any:
        os.write(file, (json.dumps([request.seed for request in requests]) + "\n").encode())
        return generate(self, requests, sampling)

    LocalEngine.generate = noted  # type: ignore[method-assign]


def jump_clock() -> None:
    """Every tenth look at the clock finds it a day off, then a day back; time.monotonic goes on as a system's does."""
    true, looks = time.time, 0

    def jumping() -> float:
        nonlocal looks
        looks += 1
        return true() + 86400 * (looks // 10 % 3 - 1)

    time.time = jumping


def serve() -> None:
    """Answers jobs until the input ends."""
    from selfreward.training import data, dpo, sft, trainer  # noqa: F401 - what takes its time

    for line in sys.stdin:
        report, job = os.memfd_create("changes"), json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                command(job, report)
            except SystemExit as left:
                status = int(left.code or 0)
            except BaseException:
                import traceback

                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
        kill = threading.Timer(job.get("kill_after_s") or 0, os.kill, (child, job.get("signal", signal.SIGKILL)))
        if job.get("kill_after_s"):
            kill.start()
        # Not reaped before the timer is over: its number could be another process's by then.
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        kill.cancel()
        if kill.ident:
            kill.join()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([status, int(os.pread(report, 8, 0) or 0)]), flush=True)
        os.close(report)


if __name__ == "__main__":
    serve()
