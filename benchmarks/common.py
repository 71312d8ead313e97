"""What benchmarks share: results with hardware, commit and command, runs in processes of their own, means over run seeds."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfreward.recipe import RECIPE_FILE, Recipe, to_yaml
from selfreward.stamp import git_commit, hardware
from selfreward.statistics import mean_ci
from selfreward.store import write_json, write_text

REPOSITORY = Path(__file__).parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"


def write_results(name: str, figures: dict[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json and return its path."""
    path = RESULTS / f"{name}.json"
    command = shlex.join(["python", *(Path(a).name if Path(a).is_absolute() else a for a in sys.argv)])
    write_json(path, {**figures, "hardware": hardware(), "commit": git_commit(), "command": command})
    print(json.dumps(figures, indent=1)[:4000])
    return path


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean and interval (Student's t) of figures of several run seeds, and the figures."""
    found = mean_ci(values)
    return {"mean": found.mean, "ci95": found.ci95, "per_seed": list(values)}


def run_in(work: Path, name: str, recipe: Recipe, shared_from: str = "", shared: Sequence[str] = ()) -> None:
    """The run `name` of a recipe, or what is left of it, in a process of its own with one thread.

    A run that is not there yet takes over the folders `shared` of another one.
    """
    folder = work / name
    if not folder.exists() and shared:
        beside = work / f"{name}.copy"
        shutil.rmtree(beside, ignore_errors=True)
        for part in shared:
            shutil.copytree(work / shared_from / part, beside / part)
        write_text(beside / RECIPE_FILE, to_yaml(recipe))
        beside.rename(folder)
    recipe_file = work / f"{name}.yaml"
    write_text(recipe_file, to_yaml(recipe))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    command = [sys.executable, "-m", "selfreward.cli", "run", str(recipe_file), "--quiet", "--to", str(folder)]
    start = time.monotonic()
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL)
    print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
