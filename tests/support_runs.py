"""Runs the command in processes that can be killed, without the seconds that importing torch takes.

As a script it is a server: it imports what a run needs once, then forks a process for every line of its input, a JSON
list of the command's arguments and the number of the change of the disk before which the process is to be killed. It
answers each with a line: the exit status and the number of changes that were made. What a killed process leaves behind is
what is on the disk, so a kill just before a change stands for a kill at any time since the change before.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")


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
        assert self.server.stdin is not None and self.server.stdout is not None
        job = {"arguments": arguments, "kill_at": kill_at, "environment": environment, "errors": str(self.errors)}
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        status, changes = json.loads(self.server.stdout.readline())
        return status, changes

    def close(self) -> None:
        """End the server."""
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(timeout=30)


def command(job: dict[str, Any], report: int) -> None:
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
        if changes == job["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    os.environ.update(job["environment"])
    errors = os.open(job["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    sys.addaudithook(count)
    sys.argv = ["selfreward", *job["arguments"]]
    app(job["arguments"])


def serve() -> None:
    """Answers jobs until the input ends."""
    from selfreward.training import data, dpo, sft, trainer  # noqa: F401 - what takes its time

    for line in sys.stdin:
        report = os.memfd_create("changes")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                command(json.loads(line), report)
            except SystemExit as left:
                status = int(left.code or 0)
            except BaseException:
                import traceback

                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([status, int(os.pread(report, 8, 0) or 0)]), flush=True)
        os.close(report)


if __name__ == "__main__":
    serve()
