"""Which snapshot of a long training early stopping chooses in the micro-world, and what the oracle says of all of them.

    python benchmarks/early_stopping.py [RUN] [--epochs 6] [--every 26]

RUN is a finished run of the micro-world; without one the recipe `micro` is run for one round. The pairs of its m2 are taught once
more from M1, for more epochs and with snapshots, which are then walked through by scores and by health, as a run would. The
oracle is the control: it has no part in any choice, and measures every snapshot on the prompts on which models are measured.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from common import write_results

from selfreward import store
from selfreward.engines.opening import opened
from selfreward.evaluation.early_stopping import choose_snapshot
from selfreward.evaluation.evaluate import evaluate
from selfreward.loop import run
from selfreward.progress import Progress, open_progress
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Lesson, Pair
from selfreward.seeds import load_seeds
from selfreward.training import train

WALKS = (("scores", 1), ("scores", 3), ("health", 1))  # by what, and with how much patience


def measure(work: Path, finished: Path | None, epochs: int, every: int) -> dict[str, Any]:
    """The walks, and the oracle's figures of M1 and of every snapshot."""
    progress = open_progress()
    if finished is None:
        finished = work / "run"
        run(load_recipe("micro", ["rounds=1"]), finished, progress)
    longer = [load_recipe(finished, [f"dpo.epochs={epochs}", *_early_stopping(every, *walk)]) for walk in WALKS]
    m1 = finished / "m1" / store.MODEL_FOLDER
    pairs = store.read(finished / "m2" / store.PAIRS_FILE, Pair)
    lesson = Lesson(method="dpo", pairs=tuple(pairs), start=1, reference=1)
    train(lesson, lambda k: str(m1), work / "long", longer[0], progress, lambda **_: None)
    snapshots = work / "long" / store.SNAPSHOTS_FOLDER
    walks = [_walk(work, snapshots, m1, recipe, progress) for recipe in longer]
    models = {0: m1} | {step: snapshots / f"step-{step}" for step in walks[0]["steps"]}
    recipe = load_recipe(finished)
    return {
        "recipe": recipe.name, "seed": recipe.seed, "epochs": epochs, "pairs": len(pairs), "batch": recipe.dpo.batch,
        "walks": walks,
        "oracle": [{"step": k, **_truth(work, k, model, finished, recipe, progress)} for k, model in models.items()],
    }  # fmt: skip


def _early_stopping(every: int, by: str, patience: int) -> list[str]:
    settings = {"every": every, "by": by, "patience": patience}
    return [f"training.early_stopping.{name}={value}" for name, value in settings.items()]


def _walk(work: Path, snapshots: Path, m1: Path, recipe: Recipe, progress: Progress) -> dict[str, Any]:
    """What a run would write, chosen among links to the snapshots."""
    early_stopping = recipe.training.early_stopping
    assert early_stopping is not None
    folder = work / f"{early_stopping.by}-{early_stopping.patience}" / "m2"
    shutil.copytree(snapshots, folder / store.SNAPSHOTS_FOLDER, copy_function=os.link)
    sets = load_seeds(recipe, work / "none").validation
    with opened(recipe.engine) as engines:
        choose_snapshot(folder, ("m1", str(m1)), recipe, sets, engines, progress)
    return dict(store.read_json(folder / store.EARLY_STOPPING_FILE))


def _truth(work: Path, step: int, model: Path, finished: Path, recipe: Recipe, progress: Progress) -> dict[str, Any]:
    """The oracle's figures of a model's answers and of its judgements."""
    folder = work / "oracle" / f"step-{step}"
    folder.mkdir(parents=True)
    with opened(recipe.engine) as engines:
        seeds = load_seeds(recipe, finished / store.SEED_FOLDER)
        found = evaluate(f"step-{step}", str(model), folder, [], recipe, seeds, engines, progress)
    judged = found["reward_modelling"]["oracle"]["half"]["pairwise_accuracy"]
    return {"score": found["capability"]["score"], "judge_pairwise_accuracy": judged}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--every", type=int, default=26)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        found = measure(Path(work), options.run, options.epochs, options.every)
        write_results("early_stopping", found)
