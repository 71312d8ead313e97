"""Two processes that train together, for tests: forked from one that has imported torch, in the place of accelerate's.

As a script it takes the folder of an order, and forks as many workers as the order wants, as a launcher would start them.
What a test wants to be otherwise in them is said in the environment:

SELFREWARD_TEST_CHECKPOINTS=1    a checkpoint after every step
SELFREWARD_TEST_KILL=RANK:STEP   this process is killed before it has finished this step
SELFREWARD_TEST_FSDP=1           accelerate's FSDP on processors, which it would silently turn into DDP
SELFREWARD_TEST_MEMORY=ROWS      more rows on a device at once do not fit
SELFREWARD_TEST_DRAWS=FILE       each process adds its first random number of the training
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any


def command(order: Any, folder: Path) -> list[str]:
    """In the place of `launch.command`."""
    return [sys.executable, __file__, str(folder)]


def fsdp_on_processors() -> None:
    """Accelerate knows FSDP of GPUs alone; PyTorch's works over gloo too."""
    from accelerate.state import AcceleratorState, DistributedType, PartialState

    begin = AcceleratorState.__init__

    def with_fsdp(self: Any, *args: Any, fsdp_plugin: Any = None, **options: Any) -> None:
        begin(self, *args, fsdp_plugin=fsdp_plugin, **options)
        if fsdp_plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = with_fsdp


def worker(folder: Path, rank: int, world_size: int, port: int) -> int:
    """Is one of the processes."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_WORLD_SIZE=str(world_size),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    import torch

    from selfreward.training import dpo, sft, trainer
    from selfreward.training.order import read_order
    from selfreward.training.processes import config_file
    from selfreward.training.ray_train import accelerate_environment
    from selfreward.training.worker import work

    told = os.environ
    os.environ.update(accelerate_environment(config_file(read_order(folder)[0].recipe.training)))
    if "SELFREWARD_TEST_FSDP" in told:
        fsdp_on_processors()
    if "SELFREWARD_TEST_CHECKPOINTS" in told:
        trainer.CHECKPOINT_EVERY_S = 0.0
    killed, last = (int(n) for n in told.get("SELFREWARD_TEST_KILL", "-1:-1").split(":"))
    most = int(told.get("SELFREWARD_TEST_MEMORY", 10**9))

    def watched(step: Any) -> Any:
        def training_step(self: Any, *args: Any, **options: Any) -> Any:
            if "SELFREWARD_TEST_DRAWS" in told and self.state.global_step == 0:
                with Path(told["SELFREWARD_TEST_DRAWS"]).open("a") as draws:
                    state = torch.get_rng_state()
                    draws.write(f"{rank} {torch.rand(()).item()}\n")
                    torch.set_rng_state(state)
            if (rank, self.state.global_step) == (killed, last):
                time.sleep(0.3)  # what the others had to write is written
                os.kill(os.getpid(), signal.SIGKILL)
            if self.args.per_device_train_batch_size > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")
            return step(self, *args, **options)

        return training_step

    for module in (sft, dpo):
        module.Trainer.training_step = watched(module.Trainer.training_step)
    return work(folder)


def main(folder: Path) -> int:
    """Forks the processes and waits; when one fails the others are ended, as by any launcher."""
    from selfreward.training import dpo, sft, trainer  # noqa: F401 - what takes its time
    from selfreward.training.order import read_order

    world_size = read_order(folder)[0].recipe.training.processes
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = set()
    for rank in range(world_size):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = worker(folder, rank, world_size, port)
            except BaseException:
                import traceback

                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        children.add(child)

    def end(*_: Any) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    worst = 0
    while children:
        child, status = os.wait()
        children.discard(child)
        if status:
            worst = worst or os.waitstatus_to_exitcode(status)
            end()
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
