"""Ends a run again and again, in every way a machine has, and compares what it comes to with a run that was left alone.

    python benchmarks/crash.py [--kills 100] [--work FOLDER]

Chains of launches of `micro-fast`, each launch killed with SIGKILL before a random change of the disk or after a random
time, until one comes to its end; then runs that are stopped by SIGTERM and SIGINT, that meet a full and a read-only disk,
and whose clock jumps. Checkpoints are written every half second, so that kills meet them too. Every chain must end in the
files of the run that was left alone, bit for bit, weights too, which holds on one machine with one number of threads.
What is done is kept in FOLDER: the same command goes on.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from common import write_results

from selfreward import store
from selfreward.verifying import verify

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))
from support_runs import Job, Runs  # noqa: E402

RECIPE = "micro-fast"
CHECKPOINT_EVERY_S = 0.5
OF_LAUNCHES = (
    store.LOGS_FOLDER, store.METRICS_FILE, store.STAMP_FILE, store.LOCK_FILE, store.MANIFEST_FILE, store.REPORT_FILE,
)  # fmt: skip
STEPS = (
    store.LESSON_FILE, store.MODEL_FOLDER, store.EVAL_RESPONSES_FILE, store.EVAL_JUDGEMENTS_FILE, store.EVAL_FILE,
)  # fmt: skip
OF_A_ROUND = (store.ATTEMPTS_FILE, store.PROMPTS_FILE, store.RESPONSES_FILE, store.JUDGEMENTS_FILE, store.PAIRS_FILE)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but those that tell of its launches and their times."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith(OF_LAUNCHES)}


def stage_of(folder: Path) -> str:
    """Where a run was when it ended: the model and the newest thing of it that is there."""
    if any(folder.glob("*/checkpoints")):
        return f"training {next(folder.glob('*/checkpoints')).parent.name}"
    if any(folder.glob("*/model.tmp")):
        return f"saving {next(folder.glob('*/model.tmp')).parent.name}"
    for name in ("m3", "m2", "m1", "sft"):
        there = [step for step in (*OF_A_ROUND, *STEPS) if (folder / name / step).exists()]
        if there:
            return f"{name} after {there[-1]}"
    return "seed" if (folder / store.SEED_FOLDER).exists() else "start"


class Crash:
    """The work of the benchmark in its folder, and what is known so far (`state.json`)."""

    def __init__(self, work: Path, runs: Runs) -> None:
        self.work, self.runs = work, runs
        self.state_file = work / "state.json"
        self.state: dict[str, Any] = store.read_json(self.state_file) if self.state_file.exists() else {}
        if "straight" not in self.state:
            shutil.rmtree(work / "straight", ignore_errors=True)
            start = time.monotonic()
            status, changes = self.launch(work / "straight", {})
            assert status == 0, runs.errors.read_text()
            self.state["straight"] = {"seconds": time.monotonic() - start, "changes": changes}
            self.state |= {"chains": [], "faults": {}}
            self.keep()
        self.seconds, self.changes = self.state["straight"]["seconds"], self.state["straight"]["changes"]
        self.expected = contents(work / "straight")

    def keep(self) -> None:
        store.write_json(self.state_file, self.state)

    def launch(self, folder: Path, job: Job) -> tuple[int, int]:
        """Starts or continues a run."""
        is_run = (folder / "recipe.yaml").exists()
        arguments = ["run", str(folder)] if is_run else ["run", RECIPE, "--to", str(folder)]
        return self.runs.do({"arguments": arguments, "checkpoint_every_s": CHECKPOINT_EVERY_S, **job})

    def comes_out_equal(self, folder: Path) -> bool:
        """Whether a finished run is the one that was left alone, and nothing is wrong with it."""
        equal = contents(folder) == self.expected and verify(folder)["problems"] == []
        if equal:
            shutil.rmtree(folder)
        return equal

    def chain(self, kills: int) -> None:
        """One run, killed until `kills` are done or it comes to its end; then it is let go on to it."""
        number = len(self.state["chains"])
        folder, asked = self.work / f"chain_{number}", self.work / f"chain_{number}.asked"
        found: dict[str, Any] = self.state.setdefault("chain", {"kills": 0, "by_stage": {}, "launches": []})
        rng = Random(f"{number} {len(found['launches'])}")
        while True:
            job: Job = {"asked": str(asked)}
            if found["kills"] < kills:
                part = rng.uniform(0.01, 0.2)  # of a whole run, so that one run is killed many times
                if rng.random() < 0.5:
                    job["kill_after_s"] = part * self.seconds
                else:
                    job["kill_at"] = max(1, int(part * self.changes))
            status, _ = self.launch(folder, job)
            found["launches"].append(len(asked.read_text().splitlines()) if asked.exists() else 0)
            if status == -signal.SIGKILL:
                found["kills"] += 1
                found["by_stage"][stage_of(folder)] = found["by_stage"].get(stage_of(folder), 0) + 1
            self.keep()
            print(f"chain {number}: {found['kills']} kills, {stage_of(folder)}", file=sys.stderr, flush=True)
            if status == 0:
                break
            assert status == -signal.SIGKILL, self.runs.errors.read_text()
        found |= made_again(asked, found["launches"])
        found["equal"] = self.comes_out_equal(folder)
        self.state["chains"].append(found)
        del self.state["chain"]
        self.keep()

    def fault(self, name: str, run: Callable[[Path], dict[str, Any]]) -> None:
        """A run with a fault of another kind, once."""
        if name not in self.state["faults"]:
            folder = self.work / "fault"
            shutil.rmtree(folder, ignore_errors=True)
            self.state["faults"][name] = run(folder)
            self.keep()
            print(f"{name}: {self.state['faults'][name]}", file=sys.stderr, flush=True)

    def said(self, since: int) -> str:
        """The last line that a launch has said."""
        return self.runs.errors.read_text()[since:].strip().rpartition("\n")[2]

    def stopped(self, signum: signal.Signals, part: float) -> Callable[[Path], dict[str, Any]]:
        def run(folder: Path) -> dict[str, Any]:
            status, after_s = 0, part * self.seconds
            while status == 0:  # it came to its end before the signal came
                shutil.rmtree(folder, ignore_errors=True)
                begin = len(self.runs.errors.read_text())
                status, _ = self.launch(folder, {"signal": signum, "kill_after_s": after_s})
                after_s *= 0.7
            said, stage = self.said(begin), stage_of(folder)
            again, _ = self.launch(folder, {})
            fine = status == 130 and said.startswith("interrupted; continue with") and again == 0
            return {"as_promised": fine, "stage": stage, "equal": self.comes_out_equal(folder)}

        return run

    def on_a_full_disk(self, part: float) -> Callable[[Path], dict[str, Any]]:
        def run(folder: Path) -> dict[str, Any]:
            size = int(part * sum(map(len, self.expected.values())))
            begin = len(self.runs.errors.read_text())
            with tmpfs(folder, size) as resize:
                status, _ = self.launch(folder / "run", {})
                said, stage = self.said(begin), stage_of(folder / "run")
                is_one_line = "Traceback" not in self.runs.errors.read_text()[begin:]
                resize("size=4g")
                again, _ = self.launch(folder / "run", {})
                is_said = "No space left on device" in said or "full disk" in said
                fine = status == 3 and is_said and is_one_line and again == 0
                return {"as_promised": fine, "stage": stage, "equal": self.comes_out_equal(folder / "run")}

        return run

    def on_a_read_only_disk(self, folder: Path) -> dict[str, Any]:
        begin = len(self.runs.errors.read_text())
        with tmpfs(folder, 2**32) as change:
            self.launch(folder / "run", {"kill_after_s": 0.5 * self.seconds})
            before = contents(folder / "run")
            change("ro")
            status, _ = self.launch(folder / "run", {})
            said = self.said(begin)
            change("rw")
            fine = status == 2 and "cannot be written: Read-only file system" in said
            fine = fine and contents(folder / "run") == before
            again, _ = self.launch(folder / "run", {})
            return {"as_promised": fine and again == 0, "equal": self.comes_out_equal(folder / "run")}

    def with_a_clock_that_jumps(self, folder: Path) -> dict[str, Any]:
        status, _ = self.launch(folder, {"clock_jumps": True, "kill_after_s": 0.6 * self.seconds})
        again, _ = self.launch(folder, {"clock_jumps": True})
        return {"as_promised": status in (-signal.SIGKILL, 0) and again == 0, "equal": self.comes_out_equal(folder)}


@contextmanager
def tmpfs(folder: Path, size_bytes: int) -> Iterator[Callable[[str], None]]:
    """A file system in memory of its own; yields what changes its options. Needs the right to mount."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)], check=True)
    try:

        def change(option: str) -> None:
            subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)

        yield change
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    """Whether this process may mount a file system."""
    folder = Path("/tmp") / f"mount_{os.getpid()}"
    try:
        with tmpfs(folder, 2**20):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        folder.rmdir()


def made_again(asked: Path, launches: list[int]) -> dict[str, int]:
    """How many requests were made again after a kill, at most, and how many although their batch was over.

    `asked` has the seeds of one batch a line, which are a request's alone; `launches` where each launch ended in it. Of the
    batches of a launch all but the last were on the disk before it was killed.
    """
    batches = [seeds_in(line) for line in asked.read_text().splitlines()]
    over: set[int] = set()
    seen: Counter[int] = Counter()
    most = twice = begin = 0
    for end in launches:
        now = [seed for batch in batches[begin:end] for seed in batch]
        twice += sum(seed in over for seed in now)
        most = max(most, sum(seed in seen for seed in now))
        seen.update(now)
        over.update(seed for batch in batches[begin : max(begin, end - 1)] for seed in batch)
        begin = end
    return {"made_twice": twice, "made_again_at_most": most}


def seeds_in(line: str) -> list[int]:
    return [int(seed) for seed in line.strip("[]").split(",") if seed.strip()]


def figures(state: dict[str, Any]) -> dict[str, Any]:
    """The results."""
    chains, faults = state["chains"], state["faults"]
    by_stage: Counter[str] = Counter()
    for chain in chains:
        by_stage.update(chain["by_stage"])
    return {
        "recipe": RECIPE,
        "kills": sum(chain["kills"] for chain in chains),
        "runs": len(chains),
        "equal": sum(chain["equal"] for chain in chains),
        "made_twice": sum(chain["made_twice"] for chain in chains),
        "made_again_at_most": max((chain["made_again_at_most"] for chain in chains), default=0),
        "by_stage": dict(sorted(by_stage.items())),
        "faults": faults,
        "straight_s": round(state["straight"]["seconds"], 1),
        "changes": state["straight"]["changes"],
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--per-run", type=int, default=12, help="kills of one run at most")
    parser.add_argument("--stops", type=int, default=3, help="each of SIGTERM, SIGINT and a full disk")
    parser.add_argument("--work", type=Path, default=Path("runs/crash"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    runs = Runs(options.work.resolve() / "errors.txt")
    try:
        crash = Crash(options.work.resolve(), runs)
        while (done := sum(chain["kills"] for chain in crash.state["chains"])) < options.kills:
            crash.chain(min(options.per_run, options.kills - done))
        rng = Random(1)
        for number in range(options.stops):
            for signum in (signal.SIGTERM, signal.SIGINT):
                crash.fault(f"{signum.name} {number + 1}", crash.stopped(signum, rng.uniform(0.1, 0.9)))
        if may_mount():
            for number in range(options.stops):
                crash.fault(f"full disk {number + 1}", crash.on_a_full_disk(rng.uniform(0.1, 0.9)))
            crash.fault("read-only disk", crash.on_a_read_only_disk)
        else:
            print("no right to mount: full and read-only disks are left out", file=sys.stderr)
        crash.fault("a clock that jumps", crash.with_a_clock_that_jumps)
        write_results("crash", figures(crash.state))
    finally:
        runs.close()


if __name__ == "__main__":
    main()
