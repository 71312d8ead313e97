"""One round of `micro` through each engine: what a server or a cluster costs for each item beside this process.

    python benchmarks/engines.py [--engines local server ray] [--model runs/micro/m1/model]

Every engine holds the same weights, makes new prompts, answers the first engine's prompts and judges the first engine's
responses. The server is `transformers serve` on the loopback where that is installed, else the endpoint of the tests over
the engine `local`; neither answers several requests in one batch. Medians over runs, engines in turn.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from common import write_results
from transformers.utils.import_utils import is_serve_available

from selfreward import store
from selfreward.engines import find_engine
from selfreward.engines.base import Request, Sampling
from selfreward.engines.local import LocalEngine
from selfreward.engines.opening import opened
from selfreward.progress import QuietProgress
from selfreward.prompts import Attempt
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Prompt, Response
from selfreward.round import Round
from selfreward.seeds import Seeds, load_seeds

TESTS = Path(__file__).parent.parent / "tests"
sys.path.append(str(TESTS))

from support_serving import served_copy, transformers_server  # noqa: E402 - the tests are no package

SERVERS = ("transformers", "endpoint")


@contextmanager
def endpoint_server(model: Path) -> Iterator[str]:
    """The URL of the tests' endpoint with a local engine behind it, which answers one request at a time."""
    from support_endpoint import FakeEndpoint

    engine, lock = LocalEngine(model, device="cpu", dtype="float32"), threading.Lock()

    class ModelEndpoint(FakeEndpoint):
        def complete(self, body: dict[str, Any], prompt: str) -> tuple[int, dict[str, str], Any]:
            request = Request("", prompt, body.get("n", 1), body["seed"])
            with lock:
                (samples,) = engine.generate(
                    [request], Sampling(body["temperature"], body["top_p"], body["max_tokens"])
                )
            choices = [
                {
                    "index": i,
                    "message": {"role": "assistant", "content": sample.text},
                    "finish_reason": "stop" if sample.finished else "length",
                }
                for i, sample in enumerate(samples)
            ]
            return 200, {}, {"model": self.model, "choices": choices}

    fake = ModelEndpoint(model=str(model.resolve()))
    try:
        yield fake.url
    finally:
        fake.close()
        engine.close()


class Work:
    """What all engines are given: seeds and, once the first engine has made them, prompts and responses."""

    def __init__(self, seeds: Seeds) -> None:
        self.seeds = seeds
        self.prompts: Sequence[Prompt] = ()
        self.responses: Sequence[Response] = ()


def timed_round(recipe: Recipe, model: Path, folder: Path, work: Work) -> dict[str, Any]:
    """Seconds to open the engine and have its first answer, and of each stage with its items."""
    seconds: dict[str, float] = {}

    def log(**line: Any) -> None:
        seconds[line["stage"].split()[1]] = line["seconds"]

    with opened(recipe.engine) as engines:
        start = time.monotonic()
        engines.of(str(model)).generate([Request("first", "Write a sentence.", 1, 0)], Sampling(1.0, 1.0, 4))
        open_s = time.monotonic() - start
        round_ = Round(2, recipe, work.seeds, [], folder / "m2", lambda k: str(model), engines, QuietProgress(log))
        round_.folder.mkdir(parents=True)
        prompts = round_.new_prompts()
        work.prompts = work.prompts or prompts
        responses = round_.sample(work.prompts)
        work.responses = work.responses or responses
        judgements = round_.judge(work.responses)
    items = {
        "prompts": len(store.read(round_.folder / store.ATTEMPTS_FILE, Attempt)),
        "responses": len(responses),
        "judgements": sum(len(judgement.votes) for judgement in judgements),
    }
    read = sum(vote.score is not None for judgement in judgements for vote in judgement.votes)
    return {"open_s": open_s, "seconds": seconds, "items": items, "votes_read": read}


def compare(
    engines: Sequence[str], model: str, overrides: Sequence[str], num_prompts: int, num_runs: int, server: str, replicas: int
) -> dict[str, Any]:  # fmt: skip
    """By engine: seconds of the stages, for each item, and what an item costs beyond the same with `local`."""
    small = [f"prompts.num={num_prompts}", "seeds.num_eft_prompts=0", "evaluation.num_ranked_sets=1", *overrides]
    url = "http://127.0.0.1/v1"  # until it is known

    def recipe(name: str) -> Recipe:
        options = {"server": [f"engine.server.url={url}"], "ray": [f"engine.ray.replicas={replicas}"]}
        return load_recipe("micro", [*small, f"engine.name={name}", *options.get(name, [])])

    for name in engines:
        find_engine(recipe(name).engine.name)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        held = served_copy(model, folder / "model")
        work = Work(load_seeds(load_recipe("micro", small), folder / "seed"))
        serving = transformers_server(folder) if server == "transformers" else endpoint_server(held)
        start = time.monotonic()
        with serving if "server" in engines else _none() as url:
            start_s = time.monotonic() - start
            for run in range(num_runs):
                for name in engines:
                    found[name].append(timed_round(recipe(name), held, folder / f"{name}-{run}", work))
    rows = {name: summary(runs) for name, runs in found.items()}
    local = rows.get("local")
    for row in rows.values():
        row["overhead_s_per_item"] = local and {
            stage: value - local["s_per_item"][stage] for stage, value in row["s_per_item"].items()
        }
    if "server" in rows:
        rows["server"]["start_s"] = start_s
    return {
        "model": model,
        "prompts": num_prompts,
        "runs": num_runs,
        "threads": torch.get_num_threads(),
        "server": SERVER_NAMES[server] if "server" in engines else None,
        "replicas": replicas if "ray" in engines else None,
        "items": "attempts at a prompt, responses, votes",
        "engines": rows,
    }


SERVER_NAMES = {
    "transformers": "transformers serve, as it comes: requests one after the other, samples asked for one by one",
    "endpoint": "the endpoint of the tests over the engine local, in this process: requests one after the other",
}


@contextmanager
def _none() -> Iterator[str]:
    yield ""


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the runs."""
    stages = list(runs[0]["items"])

    def median(stage: str) -> float:
        return statistics.median(run["seconds"][stage] / run["items"][stage] for run in runs)

    return {
        "open_s": statistics.median(run["open_s"] for run in runs),
        "round_s": statistics.median(sum(run["seconds"].values()) for run in runs),
        "s_per_item": {stage: median(stage) for stage in stages},
        "all_runs": list(runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=("local", "server", "ray"), default=["local", "server", "ray"])
    parser.add_argument("--model", default="micro-m0", help="of the round: M1 of a run, or a base model")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--server", choices=SERVERS, default=SERVERS[0] if is_serve_available() else SERVERS[1])
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--set", dest="extra", action="append", default=[], help="as in `selfreward run`")
    given = parser.parse_args()
    found = compare(given.engines, given.model, given.extra, given.prompts, given.runs, given.server, given.replicas)
    write_results("engines", found)


if __name__ == "__main__":
    main()
