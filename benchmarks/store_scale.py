"""A round of a million responses through the files of a run: time of an item, memory, and the scan of a resumed run.

    python benchmarks/store_scale.py [--sizes 10000 1000000]

Synthetic prompts and responses, four to a prompt, three votes on each response, texts of a few hundred characters. What is
timed is what a round does around its model: responses and judgements filled into their files batch by batch, counted,
paired, the pairs written, and the judge's health measured. Each size runs in a process of its own, for its peak of memory;
then the finished files are gone through again, as a run does that is continued. Seconds are the processor's, so that a busy
machine does not count, but `wall_s`. The fastest of --repeats is kept.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from common import write_results

from selfreward import store
from selfreward.evaluation.health import judge_health
from selfreward.judges.votes import judgement_id, make_judgement
from selfreward.pairing import best_vs_worst
from selfreward.progress import QuietProgress
from selfreward.records import Judgement, Prompt, Response, Vote, digest
from selfreward.responses import Responses, Samples

NUM_SAMPLES, NUM_VOTES = 4, 3  # the paper's
BATCH = 64
WORDS = (
    "so",
    "the",
    "model",
    "that",
    "is",
    "asked",
    "to",
    "judge",
    "gives",
    "its",
    "reasons",
    "first",
    "and",
    "points",
)


class Prompts(Sequence[Prompt]):
    """Prompts that are made when they are looked at, so that memory is the store's alone."""

    def __init__(self, num: int) -> None:
        self.num = num

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < self.num:
            raise IndexError(place)
        return Prompt(id=digest("prompt", place), text=text(place, 12), source="m1")


def text(seed: object, words: int) -> str:
    """So many words."""
    return " ".join(Random(str(seed)).choices(WORDS, k=words))


def sampled(prompts: list[Prompt]) -> list[Responses]:
    return [
        Responses(
            id=prompt.id,
            samples=tuple(
                Response(
                    id=digest("response", prompt.id, i), prompt_id=prompt.id, prompt=prompt.text,
                    text=text(f"{prompt.id} {i}", 40), model="m1", sample=i, num_tokens=50, finished=True,
                )
                for i in range(NUM_SAMPLES)
            ),
        )
        for prompt in prompts
    ]  # fmt: skip


def judged(responses: list[Response]) -> list[Judgement]:
    found = []
    for response in responses:
        points = Random(response.id).choices(range(6), k=NUM_VOTES)
        votes = [Vote(score=p, fault=None, text=f"{text(response.id, 20)}\nScore: {p}") for p in points]
        found.append(make_judgement(response, votes, "m1"))
    return found


def go_through(folder: Path, num: int) -> dict[str, Any]:
    """A round of `num` responses; seconds of its stages. Records that are there already are read and not made."""
    prompts, seconds, quiet = Prompts(num // NUM_SAMPLES), {}, QuietProgress()
    start = time.process_time()

    def took(stage: str) -> None:
        nonlocal start
        seconds[stage] = time.process_time() - start
        start = time.process_time()

    lines = store.fill(folder / store.RESPONSES_FILE, Responses, prompts, lambda p: p.id, sampled, BATCH, quiet)
    responses = Samples(lines)
    took("responses")
    judgements = store.fill(
        folder / store.JUDGEMENTS_FILE, Judgement, responses, lambda r: judgement_id("m1", r.id), judged, BATCH, quiet
    )
    took("judgements")
    pairing = best_vs_worst(judgements)
    store.write_once(folder / store.PAIRS_FILE, pairing.pairs)
    took("pairs")
    health = judge_health(judgements)
    took("metrics")
    assert health["judgements"] == num and 0 < pairing.counts["pairs"] <= len(prompts)
    return seconds


def one_size(num: int, folder: Path) -> dict[str, Any]:
    """The figures of one size, of this process alone."""
    start = time.monotonic()
    made = go_through(folder, num)
    wall_s = time.monotonic() - start
    again = go_through(folder, num)
    return {
        "made_s": made, "wall_s": wall_s, "s_per_item": sum(made.values()) / num,
        "resume_scan_s": again["responses"] + again["judgements"],
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "file_bytes": sum(path.stat().st_size for path in folder.iterdir()),
    }  # fmt: skip


def in_a_process(num: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", str(num), "--folder", folder]
        found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**4, 10**6], help="numbers of responses")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(options.one, options.folder)))
        return
    sizes = {}
    for num in options.sizes:
        found = [in_a_process(num) for _ in range(options.repeats)]
        sizes[str(num)] = min(found, key=lambda one: one["s_per_item"])
    first, last = (sizes[str(num)] for num in (options.sizes[0], options.sizes[-1]))
    write_results(
        "store_scale",
        {
            "items": options.sizes, "votes": NUM_VOTES, "sizes": sizes,
            "s_per_item": {num: one["s_per_item"] for num, one in sizes.items()},
            "s_per_item_ratio": last["s_per_item"] / first["s_per_item"],
            "peak_rss_bytes": {num: one["peak_rss_bytes"] for num, one in sizes.items()},
            "resume_scan_s": last["resume_scan_s"],
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
