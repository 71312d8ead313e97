"""How long an analysis takes: ROUGE-L of all pairs of many prompts, and the t-SNE map of two thousand.

    python benchmarks/analysis.py [--prompts 10000] [--points 2000] [--width 2048]

Prompts have 6 to 30 words drawn by Zipf's law; the map is of random clusters of vectors. Writes benchmarks/results/analysis.json.
"""

import argparse
import resource
import time
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from common import write_results

from selfreward.analysis.embeddings import directions, overlap, project
from selfreward.rouge import all_pairs

NUM_WORDS = 5000


def prompts(num: int) -> list[str]:
    rng = Random(0)
    weights = [1 / (rank + 1) for rank in range(NUM_WORDS)]
    return [" ".join(f"w{i}" for i in rng.choices(range(NUM_WORDS), weights, k=rng.randint(6, 30))) for _ in range(num)]


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds on the clock and of processors; the latter do not count what else a machine does."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.monotonic() - began, "cpu_seconds": cpu_s}


def measure(num_prompts: int, num_points: int, width: int) -> dict[str, Any]:
    texts = prompts(num_prompts)
    rng = np.random.default_rng(0)
    clusters = rng.normal(size=(20, width))
    vectors = directions(
        (clusters[rng.integers(20, size=num_points)] + rng.normal(size=(num_points, width))).astype("f4")
    )
    groups = ["ift" if i % 2 else "m2" for i in range(num_points)]
    return {
        "prompts": num_prompts,
        "points": num_points,
        "width": width,
        "rouge_all_pairs": timed(lambda: all_pairs(texts)),
        "overlap": timed(lambda: overlap(vectors, groups)),
        "t_sne": timed(lambda: project(vectors)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--width", type=int, default=2048)
    given = parser.parse_args()
    write_results("analysis", measure(given.prompts, given.points, given.width))
