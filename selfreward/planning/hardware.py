"""The devices a plan can be made for: those of data sheets, and this machine, measured."""

from dataclasses import dataclass
from typing import Any

from selfreward.errors import BadInput, nearest


@dataclass(frozen=True)
class Hardware:
    """One device."""

    name: str
    flops: float  # dense FLOP/s in the precision that is used
    bandwidth: float  # bytes/s of its memory
    memory_bytes: float
    op_s: float  # to start one operation
    weight_bytes: int  # bytes of one weight while generating: 2 in bfloat16, 4 in float32

    @property
    def is_gpu(self) -> bool:
        """Training then recomputes activations, and computes in bfloat16."""
        return self.weight_bytes == 2


# Data sheets: dense bfloat16, memory bandwidth, memory. An operation of eager PyTorch is started in about 5 us.
HARDWARE = {
    h.name: h
    for h in (
        Hardware("h200", 989e12, 4.8e12, 141e9, 5e-6, 2),
        Hardware("h100", 989e12, 3.35e12, 80e9, 5e-6, 2),
        Hardware("a100", 312e12, 2.04e12, 80e9, 5e-6, 2),
        Hardware("rtx4090", 165e12, 1.01e12, 24e9, 5e-6, 2),
        Hardware("l4", 121e12, 0.30e12, 24e9, 5e-6, 2),
    )
}
THIS = "this"  # measured here


def hardware_named(name: str) -> Hardware:
    """A device of the table, or this machine, which is then measured for a second; BadInput for another name."""
    if name == THIS:
        return measure()
    if name not in HARDWARE:
        raise BadInput(f"no hardware {name!r}", "plan.hardware", nearest(name, [THIS, *HARDWARE]))
    return HARDWARE[name]


def measure() -> Hardware:
    """What this machine does: a large product, a large copy and many small additions, the best of a few tries."""
    import os
    import time

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32

    def fastest(work: Any, times: int) -> float:
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    n = 8192 if device == "cuda" else 1024
    square, small = torch.ones(n, n, dtype=dtype, device=device), torch.ones(8, device=device)
    block = torch.ones(2**28 if device == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.zeros_like(block)
    memory = (
        torch.cuda.get_device_properties(0).total_memory
        if device == "cuda"
        else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    return Hardware(
        name=THIS,
        flops=2 * n**3 / fastest(lambda: square @ square, 8),
        bandwidth=2 * block.numel() / fastest(lambda: target.copy_(block), 8),
        memory_bytes=memory,
        op_s=fastest(lambda: [small + small for _ in range(1000)], 5) / 1000,
        weight_bytes=2 if device == "cuda" else 4,
    )
