"""What measuring costs: a thousand comparisons by a judge, ROUGE-L of all pairs of many prompts, a t-SNE map of two thousand.

    python benchmarks/evaluation.py [--model micro-m0] [--comparisons 1000] [--prompts 10000] [--points 2000] [--width 2048]

A comparison is of two responses of the micro-world, each judged by three votes of the model, as `eval head-to-head --by
scores` has it. Prompts have 6 to 30 words drawn by Zipf's law; the map is of random clusters of vectors.
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
from selfreward.engines.local import LocalEngine
from selfreward.judges import llm
from selfreward.micro import people
from selfreward.models import resolve_model
from selfreward.recipe import load_recipe
from selfreward.responses import ranked_responses
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


def judging(model: str, num: int) -> dict[str, float]:
    """Seconds of comparing `num` pairs of responses to the same prompts."""
    recipe = load_recipe("micro")
    responses = ranked_responses(people.rank_responses(num, 2, 0, "dev", set()))
    engine = LocalEngine(resolve_model(model), recipe.engine.batch_size, "float32", "cpu")
    llm.judge(engine, responses[: recipe.engine.batch_size], recipe.judge, model, 0)  # loads and warms up
    found = timed(lambda: llm.judge(engine, responses, recipe.judge, model, 0))
    engine.close()
    return {"comparisons": num, **found, "seconds_per_1000": 1000 * found["seconds"] / num}


def measure(model: str, num_comparisons: int, num_prompts: int, num_points: int, width: int) -> dict[str, Any]:
    texts = prompts(num_prompts)
    rng = np.random.default_rng(0)
    clusters = rng.normal(size=(20, width))
    vectors = directions(
        (clusters[rng.integers(20, size=num_points)] + rng.normal(size=(num_points, width))).astype("f4")
    )
    groups = ["ift" if i % 2 else "m2" for i in range(num_points)]
    return {
        "judging": judging(model, num_comparisons),
        "prompts": num_prompts,
        "points": num_points,
        "width": width,
        "rouge_all_pairs": timed(lambda: all_pairs(texts)),
        "overlap": timed(lambda: overlap(vectors, groups)),
        "t_sne": timed(lambda: project(vectors)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="micro-m0", help="the judge")
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--width", type=int, default=2048)
    given = parser.parse_args()
    write_results("evaluation", measure(given.model, given.comparisons, given.prompts, given.points, given.width))
