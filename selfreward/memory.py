"""Going on with less when memory runs out: what did not fit is tried again in parts."""

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

from selfreward.errors import StageFailed

log = logging.getLogger(__name__)

T = TypeVar("T")


def with_less(work: Callable[[int], T], size: int, smaller: Callable[[int], int], what: str) -> tuple[T, int]:
    """What `work(size)` returns, and the size that fitted: each time memory runs out, `size` becomes `smaller(size)`.

    `what` is named in the log and, where even a size of 1 does not fit, in the StageFailed.
    """
    while True:
        try:
            return work(size), size
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if size <= 1:
                reason = str(error).partition("\n")[0]
                todo = "allow fewer tokens, a smaller dtype or an adapter, or use a larger machine"
                raise StageFailed(f"memory is too small for {what}, one at a time: {reason}", todo=todo) from None
        # Only here, where the error and all that its traceback holds is gone, can memory be had back.
        free_memory()
        log.warning("memory is too small for %s, %d at once: going on with %d", what, size, smaller(size))
        size = smaller(size)


def halved(size: int) -> int:
    """Half, rounded down, for `with_less`."""
    return size // 2


def free_memory() -> None:
    """Hands back what nothing refers to: models and trainers hold themselves in cycles."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU's or the processor's memory ran out, by torch's words for it."""
    from accelerate.utils.memory import should_reduce_batch_size

    return should_reduce_batch_size(error)
