"""`selfreward view` on a run of a million responses: how long a page takes before, while and after the run is indexed.

    python benchmarks/viewer.py [--responses 1000000] [--pages 20]

The run is synthetic: four responses to a prompt, three votes on each, texts of a few hundred characters, pairs of all
prompts whose scores differ. The server runs as a person starts it, with an empty cache, and is asked over HTTP by one client; the
index is made by its own process beside it. Milliseconds are a clock's, so a busy machine counts: its load stands beside them.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import write_results

from selfreward import store
from selfreward.judges.votes import make_judgement
from selfreward.pairing import best_vs_worst
from selfreward.recipe import RECIPE_FILE, Recipe, to_yaml
from selfreward.records import Example, Prompt, Record, Response, Vote, digest
from selfreward.responses import Responses

NUM_SAMPLES, NUM_VOTES, NUM_WORDS, RARE = 4, 3, 20_000, "zyzzyva"
AT_ONCE = 1000  # prompts that are made and written together


def texts(rng: random.Random) -> Iterator[str]:
    """Sentences of 40 words, the common ones more often, as in a language."""
    words = [f"{a}{b}{c}" for a in "bdfgklmnprstvz" for b in ("a", "e", "io", "u") for c in ("n", "st", "rel", "mo")]
    words = [one + two for one in words for two in words][:NUM_WORDS]
    weights = [1 / place for place in range(1, len(words) + 1)]
    pool = rng.choices(words, weights, k=2_000_000)
    while True:
        begin = rng.randrange(len(pool) - 40)
        yield " ".join(pool[begin : begin + 40])


def write_run(folder: Path, num_responses: int) -> None:
    """The run, on the disk."""
    folder.mkdir(parents=True)
    recipe = Recipe(name="large", rounds=1)
    (folder / RECIPE_FILE).write_text(to_yaml(recipe))
    rng = random.Random(0)
    said = texts(rng)
    ift = [Example(id=digest("ift", n), prompt=next(said), response=next(said), source="ift") for n in range(100)]
    store.write_once(folder / store.SEED_FOLDER / store.IFT_FILE, ift)
    part = folder / "m2"
    for first in range(0, num_responses // NUM_SAMPLES, AT_ONCE):
        records: dict[str, list[Record]] = {name: [] for name in (store.PROMPTS_FILE, store.RESPONSES_FILE)}
        judgements = []
        for n in range(first, min(first + AT_ONCE, num_responses // NUM_SAMPLES)):
            text = f"{n} {next(said)[:80]}" + (f" {RARE}" if n % 25_000 == 24_999 else "")
            prompt = Prompt(id=digest("prompt", text), text=text, source="m1")
            samples = tuple(
                Response(
                    id=digest("response", prompt.id, i), prompt_id=prompt.id, prompt=text, text=next(said), model="m1",
                    sample=i, num_tokens=60, finished=True,
                )
                for i in range(NUM_SAMPLES)
            )  # fmt: skip
            records[store.PROMPTS_FILE].append(prompt)
            records[store.RESPONSES_FILE].append(Responses(id=prompt.id, samples=samples))
            for response in samples:
                points = rng.choices(range(6), k=NUM_VOTES)
                words = next(said)
                votes = [Vote(score=p, fault=None, text=f"{words[:120]}\nScore: {p}") for p in points]
                judgements.append(make_judgement(response, votes, "m1"))
        records |= {store.JUDGEMENTS_FILE: list(judgements), store.PAIRS_FILE: list(best_vs_worst(judgements).pairs)}
        for name, found in records.items():
            part.mkdir(exist_ok=True)
            with (part / name).open("a") as file:
                file.writelines(f"{record.model_dump_json()}\n" for record in found)


class Server:
    """The command, asked over HTTP."""

    def __init__(self, runs: Path, cache: Path) -> None:
        command = [sys.executable, "-m", "selfreward.cli", "view", str(runs), "--port", "0"]
        environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        self.address = self.process.stderr.readline().split()[0].rstrip("/")

    def get(self, path: str, **asked: str) -> tuple[float, str]:
        """(milliseconds, page)."""
        begin = time.perf_counter()
        with urllib.request.urlopen(f"{self.address}{path}?{urllib.parse.urlencode(asked)}") as answer:
            text = answer.read().decode()
        return 1000 * (time.perf_counter() - begin), text

    def peak_rss_bytes(self) -> int:
        """Of the server alone, without the process that makes indexes."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def spread(ms: list[float]) -> dict[str, float]:
    ordered = sorted(ms)
    return {"p50": statistics.median(ordered), "p95": ordered[int(0.95 * (len(ordered) - 1))], "max": ordered[-1]}


def measure(server: Server, num_pages: int, files: Path) -> dict[str, Any]:
    part, rng = "/runs/large/files/m2", random.Random(1)
    server.get("/static/app.css")  # the process is there, its first page is not
    first = {
        "runs": server.get("/")[0], "run": server.get("/runs/large")[0],
        **{name: server.get(f"{part}/{name}")[0] for name in ("responses", "judgements", "pairs")},
        "pair": server.get(f"{part}/pairs/0")[0],
    }  # fmt: skip
    begin, indexing = time.monotonic(), []
    size = {name: (files / f"{name}.jsonl").stat().st_size for name in ("responses", "judgements", "pairs", "prompts")}
    while True:
        shares = []
        for name in size:
            ms, text = server.get(f"{part}/{name}")
            indexing.append(ms)
            found = re.search(r"(\d+) % indexed", text)
            shares.append(int(found[1]) if found else 100)
        if min(shares) == 100:
            break
        time.sleep(0.5)
    index_s = time.monotonic() - begin
    after: dict[str, list[float]] = {}

    def timed(what: str, path: str, **asked: str) -> str:
        ms, text = server.get(path, **asked)
        after.setdefault(what, []).append(ms)
        return text

    last = re.search(r'\?at=(\d+)"\s*>last', server.get(f"{part}/judgements")[1])
    assert last is not None
    for _ in range(num_pages):
        timed("end of the file", f"{part}/judgements", at=last[1])
        timed("a common word", f"{part}/responses", q="banban", page=str(rng.randrange(100)))
        timed("a beginning", f"{part}/responses", q=rng.choice(["ba*", "ban*", "bend*"]))
        timed("a rare word", f"{part}/pairs", q=RARE)
        timed("highest margins", f"{part}/pairs", order="highest", page=str(rng.randrange(100)))
        page = timed(
            "a word, scores of a range", f"{part}/judgements", least="4.5", q="banban", page=str(rng.randrange(5))
        )
        begins = re.findall(rf'{part}/judgements/(\d+)"', page)
        timed("lineage", f"{part}/judgements/{rng.choice(begins)}")
    assert "10 found" in timed("a rare word", f"{part}/prompts", q=RARE) or size["prompts"] < 10**7
    return {
        "first_page_ms": first, "while_indexing_ms": spread(indexing), "index_s": index_s,
        "indexed_ms": {what: spread(ms) for what, ms in after.items()}, "server_peak_rss_bytes": server.peak_rss_bytes(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=10**6)
    parser.add_argument("--pages", type=int, default=20, help="of each kind, once all is indexed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, cache = Path(folder) / "runs" / "large", Path(folder) / "cache"
        write_run(run, options.responses)
        server = Server(run.parent, cache)
        try:
            found = measure(server, options.pages, run / "m2")
        finally:
            server.close()
        sizes = {
            "run_bytes": sum(path.stat().st_size for path in run.rglob("*") if path.is_file()),
            "index_bytes": sum(path.stat().st_size for path in cache.rglob("*.sqlite")),
        }
        write_results(
            "viewer", {"responses": options.responses, **sizes, **found, "load_average": list(os.getloadavg())}
        )


if __name__ == "__main__":
    main()
