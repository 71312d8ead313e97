"""A judge on a server that fails one call in five: nothing is lost, nothing is wrong, nothing is made twice.

    python benchmarks/flaky_server.py [--judgements 2000]

A real HTTP server on this machine answers 429 with and without Retry-After, 500, hangs up, keeps silent past the time-out,
and answers half of the JSON or none. Judgements are filled into the file of a run through the engine `server`, with its
usual pauses, and compared with those of the same server without faults.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from common import write_results

from selfreward import store
from selfreward.engines.opening import opened
from selfreward.judges.filling import judge_into
from selfreward.judges.votes import judgement_id
from selfreward.progress import QuietProgress
from selfreward.recipe import Judge, Recipe
from selfreward.records import Judgement, Response, digest

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))
from support_endpoint import FakeEndpoint  # noqa: E402

KEY_ENV, KEY = "FLAKY_SERVER_KEY", "sk-this-key-stays-where-it-is"
MODEL = "judge-1"
FAILING = 0.2  # of the calls
TIMEOUT_S = 2.0
FAULTS: dict[str, Any] = {
    "429": (429, {}, {"error": {"message": f"slow down, Bearer {KEY}"}}),  # some repeat the key
    "429 with Retry-After": (429, {"Retry-After": "0.2"}, {"error": {"message": "slow down"}}),
    "500": (500, {}, "Internal Server Error"),
    "dropped connection": "drop",
    "time-out": "hang",
    "garbage": (200, {}, "upstream connect error"),
    "half JSON": (200, {}, '{"model": "judge-1", "choices": [{"mess'),
}


class FlakyEndpoint(FakeEndpoint):
    """Fails `share` of the calls for a judgement; `given` counts the faults."""

    def __init__(self, share: float, timeout_s: float) -> None:
        super().__init__(says=verdicts, model=MODEL)
        self.share, self.timeout_s, self.rng = share, timeout_s, Random(0)
        self.given: Counter[str] = Counter()
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] - a client that waited no longer

    def fault(self, body: dict[str, Any]) -> Any:
        """What goes wrong with this call, if anything; called by one thread at a time."""
        if body["messages"][0]["content"].startswith("Write down") or self.rng.random() >= self.share:
            return None
        name = self.rng.choice(list(FAULTS))
        self.given[name] += 1
        return FAULTS[name]


def verdicts(prompt: str, temperature: float) -> list[str]:
    """Judgements of a response, a function of the prompt; other prompts get words that differ."""
    rng = Random(prompt)
    return [f"Because of {rng.randrange(1000)}.\nScore: {rng.randrange(6)}" for _ in range(16)]


def responses(num: int) -> list[Response]:
    """`num` responses, four to a prompt."""
    return [
        Response(
            id=digest("flaky", n), prompt_id=digest("prompt", n // 4), prompt=f"task {n // 4}", text=f"answer {n}",
            model="m1", sample=n % 4, num_tokens=2, finished=True,
        )
        for n in range(num)
    ]  # fmt: skip


def judge_all(folder: Path, num: int, share: float, concurrency: int, timeout_s: float) -> dict[str, Any]:
    """Judges `num` responses in a run folder; what came of it, and what the server saw."""
    server = FlakyEndpoint(share, timeout_s)
    server.key = os.environ[KEY_ENV]
    settings = {"url": server.url, "model": MODEL, "api_key_env": KEY_ENV, "timeout_s": timeout_s,
                "concurrency": concurrency, "retries": 12}  # fmt: skip
    judge = Judge.model_validate({"votes": 3, "engine": {"name": "server", "server": settings, "batch_size": 128}})
    recipe = Recipe.of({"name": "flaky", "judge": judge.model_dump()})
    handler = logging.FileHandler(folder / "log.txt")
    logging.getLogger("selfreward").addHandler(handler)
    usage: dict[str, Any] = {}

    def keep(**values: Any) -> None:
        usage.update(values if "closed" in values else {})

    start = time.monotonic()
    try:
        with opened(recipe.engine, keep) as engines:
            path = folder / "m2" / store.JUDGEMENTS_FILE
            wanted = responses(num)
            judge_into(path, wanted, judge, recipe, engines, "m1", MODEL, QuietProgress())
    finally:
        server.close()
        logging.getLogger("selfreward").removeHandler(handler)
        handler.close()
    return {"path": path, "seconds": time.monotonic() - start, "usage": usage, "faults": dict(server.given)}


def compare(flaky: Path, plain: Path, num: int) -> dict[str, int]:
    """Judgements that are lost, wrong (not those of the server without faults), or there twice."""
    expected = {one.id: one for one in store.read(plain, Judgement)}
    found = store.read(flaky, Judgement)
    times = Counter(one.id for one in found)
    wanted = {judgement_id(MODEL, one.id) for one in responses(num)}
    return {
        "judgements": len(times), "lost": len(wanted - times.keys()),
        "wrong": sum(one != expected[one.id] for one in found), "twice": sum(n - 1 for n in times.values()),
    }  # fmt: skip


def measure(work: Path, num: int, concurrency: int = 16, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The figures; AssertionError where the key is found in anything that was written."""
    os.environ[KEY_ENV] = KEY
    for name in ("plain", "flaky"):
        (work / name).mkdir(parents=True)
    plain = judge_all(work / "plain", num, 0.0, concurrency, timeout_s)
    flaky = judge_all(work / "flaky", num, FAILING, concurrency, timeout_s)
    written = b"".join(path.read_bytes() for path in work.rglob("*") if path.is_file())
    assert KEY.encode() not in written
    pauses = (work / "flaky" / "log.txt").read_text().count("; try ")
    return {
        **compare(flaky["path"], plain["path"], num), "calls": sum(flaky["usage"][n] for n in ("requests", "retries")),
        "retries": flaky["usage"]["retries"], "pauses_in_the_log": pauses, "faults": flaky["faults"],
        "seconds": round(flaky["seconds"], 1), "seconds_without_faults": round(plain["seconds"], 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judgements", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        write_results("flaky_server", measure(Path(work), options.judgements))


if __name__ == "__main__":
    main()
