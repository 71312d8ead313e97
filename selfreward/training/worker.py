"""One of the processes that teach a lesson together: `accelerate launch -m selfreward.training.worker RUN/m2/order`.

Any launcher will do that sets what torch.distributed reads (RANK, WORLD_SIZE, MASTER_ADDR ...) and what accelerate reads.
What the one that waits wants to know is added to the order's events: stages, steps and scalars by the first process,
why it could not go on by any.
"""

import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput, StageFailed
from selfreward.memory import is_out_of_memory
from selfreward.progress import Advance, QuietProgress
from selfreward.training.order import add_event, read_order
from selfreward.training.teach import teach

LOCK_FILE = "launch.lock"  # held by the one that waits, for as long as it lives


class EventProgress(QuietProgress):
    """Adds stages and steps to the events; shown where somebody looks."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Advance]:
        add_event(self.folder, stage=name, total=total, done=done)
        yield lambda items: add_event(self.folder, advance=items)


def work(folder: Path) -> int:
    """Carries out the order in a folder as one of its processes; the exit code."""
    order, rows = read_order(folder)
    _leave_with(folder / LOCK_FILE)
    is_first = int(os.environ.get("RANK", "0")) == 0

    def log(**scalars: Any) -> None:
        if is_first:
            add_event(folder, log=scalars)

    try:
        teach(order, rows, EventProgress(folder) if is_first else QuietProgress(), log)
    except (BadInput, StageFailed) as error:
        add_event(folder, failed=type(error).__name__, why=str(error))
        print(error, file=sys.stderr)
        return error.exit_code
    except RuntimeError as error:
        if is_out_of_memory(error):
            add_event(folder, failed="OutOfMemory", why=str(error))
        raise
    from accelerate import PartialState

    PartialState().destroy_process_group()
    return 0


def _leave_with(lock: Path) -> None:
    """Ends this process when the one that waits for it has ended, however it did; nobody would stop it otherwise."""
    lock.touch()
    file = lock.open("rb")
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        file.close()
        return  # nobody waits: it was started by hand

    def watch() -> None:
        fcntl.flock(file, fcntl.LOCK_SH)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    code = work(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not sys.exit: threads of torch's that outlive the interpreter abort the process now and then
