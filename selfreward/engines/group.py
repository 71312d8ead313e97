"""A group of processes, ended in order: asked first, then killed. As a program this waits for the one that started it to end.

    python -m selfreward.engines.group GROUP PATIENCE_S

It holds the reading end of a pipe to which nobody writes: the system closes the other end however that process ends, by
SIGKILL too, and then the group is ended. Not prctl's signal at the parent's death: it goes to one process of the group, when
a thread ends, and on Linux alone.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

POLL_S = 0.05
GONE_S = 10.0  # for the system to clear what was killed


def end_group(group: int, patience_s: float, reap: Callable[[], object] = lambda: None) -> None:
    """Ends a process group and waits until none of it is left; what does not end within `patience_s` is killed.

    `reap` is called while it waits: a child of the caller's that ended and was not asked how still counts.
    """
    for signum, seconds in ((signal.SIGTERM, patience_s), (signal.SIGKILL, GONE_S)):
        deadline = time.monotonic() + seconds
        left = _signal(group, signum)
        while left and time.monotonic() < deadline:
            time.sleep(POLL_S)
            reap()
            left = _signal(group, 0)


def end_with_this_process(group: int, patience_s: float) -> "subprocess.Popen[bytes]":
    """Starts the program above: kill it once the group has ended otherwise."""
    # A session of its own: what ends this process from a terminal must leave somebody to end the group.
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(group), str(patience_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal(group: int, signum: int) -> bool:
    """Sends a signal to a process group, 0 asks alone; False where none of it is left."""
    try:
        os.killpg(group, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_group(int(sys.argv[1]), float(sys.argv[2]))
