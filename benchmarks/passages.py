"""What an index of passages costs: making it, its memory, and asking it. Part of `grounded.py`, which writes the result.

    python benchmarks/passages.py NUM sqlite|tantivy FOLDER

A process of its own for each index, which imports no torch, so that its memory is the index's.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from selfreward.databases import open_database
from selfreward.databases.base import Database
from selfreward.databases.building import build
from selfreward.progress import QuietProgress
from selfreward.records import Passage

VOCABULARY = 200_000
WORDS_OF_A_QUERY = 8
EVERY = 2000  # passages of which one is looked for
TRIES = 3  # of a query; the best counts, so that what else a machine does is left out


def write_texts(path: Path, num: int, seed: int) -> list[str]:
    """Writes `num` passages of 30 to 89 words as JSONL; returns a query out of every EVERYth."""
    import numpy as np

    rng = np.random.default_rng(seed)
    shares = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    queries = []
    with path.open("w") as file:
        for n in range(num):
            drawn = np.searchsorted(shares, rng.random(int(rng.integers(30, 90))) * shares[-1])
            words = [f"w{word}" for word in drawn]
            file.write(f'{{"text": "{" ".join(words)}."}}\n')
            if n % EVERY == 0:
                queries.append(" ".join(words[:WORDS_OF_A_QUERY]))
    return queries


def index(num: int, form: str, folder: Path) -> dict[str, Any]:
    """The figures of one index, of this process alone: making it, its size, and asking it."""
    queries = write_texts(folder / "texts.jsonl", num, 0)
    before, start, cpu = peak_rss_bytes(), time.monotonic(), time.process_time()
    build(folder / "texts.jsonl", folder / "database", form, QuietProgress())
    made = {"index_s": time.monotonic() - start, "index_cpu_s": time.process_time() - cpu}
    peak = peak_rss_bytes()
    database = open_database(folder / "database")
    wall, cpu_s, first = list[float](), list[float](), 0
    for number, query in enumerate(queries):
        tries = [timed(database, query) for _ in range(TRIES)]
        wall.append(1000 * min(seconds for seconds, _, _ in tries))
        cpu_s.append(1000 * min(seconds for _, seconds, _ in tries))
        found = tries[0][2]
        first += bool(found) and found[0].id == f"texts.jsonl:{EVERY * number + 1}"
    database.close()
    files = (file for file in (folder / "database", *(folder / "database").glob("*")) if file.is_file())
    return {
        "passages": num, **made, "peak_rss_bytes": peak, "rss_before_bytes": before,
        "text_bytes": (folder / "texts.jsonl").stat().st_size, "database_bytes": sum(file.stat().st_size for file in files),
        "queries": len(queries), "query_ms_p50": at(wall, 0.5), "query_ms_p95": at(wall, 0.95),
        "query_cpu_ms_p50": at(cpu_s, 0.5), "query_cpu_ms_p95": at(cpu_s, 0.95), "found_first": first / len(queries),
    }  # fmt: skip


def peak_rss_bytes() -> int:
    """The most memory that this program has held; what getrusage says includes the program that started it."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, "Linux says it"
    return int(found[1]) * 1024


def timed(database: Database, query: str) -> tuple[float, float, list[Passage]]:
    """Seconds by the clock and of the processor that a query takes, and what it finds."""
    start, cpu = time.perf_counter(), time.process_time()
    found = database.search(query, 12)
    return time.perf_counter() - start, time.process_time() - cpu, found


def at(values: Sequence[float], share: float) -> float:
    """The value that this share of all is not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def in_a_process(num: int, form: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, str(num), form, folder]
        found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return found


def indexes(num: int) -> dict[str, Any]:
    """SQLite at a tenth of the size and whole, so that memory can be seen to be flat; tantivy where it is installed."""
    found = {"sqlite, a tenth": in_a_process(num // 10, "sqlite"), "sqlite": in_a_process(num, "sqlite")}
    if find_spec("tantivy"):
        found["tantivy"] = in_a_process(num, "tantivy")
    whole = found["sqlite"]
    return {
        "index_passages": num, "index_s": whole["index_s"], "index_peak_rss_bytes": whole["peak_rss_bytes"],
        "query_ms_p50": whole["query_ms_p50"], "query_ms_p95": whole["query_ms_p95"], "indexes": found,
    }  # fmt: skip


if __name__ == "__main__":
    number, kind, where = sys.argv[1:]
    print(json.dumps(index(int(number), kind, Path(where))))
