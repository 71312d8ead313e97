"""Every strategy on the micro-world under one budget of tokens, beside a judge that guesses and one that knows the truth.

    python benchmarks/strategies.py --work FOLDER [--seeds 0 1 2] [--strategies NAME ...]

All strategies of a seed share seeds, SFT baseline and M1, and what two rounds of one take is what it costs: tokens sampled
(prompts and responses), judged (written by a judge, or read for a likelihood) and trained on. The number of new prompts was
chosen so that these come to what self_rewarding takes, or to twice its prompts at most; what cannot spend it on prompts takes
what it needs. The tokens are reported. All are ordinary runs in FOLDER, so a benchmark that was stopped goes on where it
was. Intervals are Student's t over run seeds.
"""

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import over_seeds, run_in, write_results

from selfreward import store
from selfreward.chat import encode_example, load_tokenizer
from selfreward.judges.pairwise import Meeting
from selfreward.prompts import Attempt
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Judgement
from selfreward.responses import Responses
from selfreward.statistics import mean_ci
from selfreward.store import RunFolder, read_json, read_rows

FIRST = "self_rewarding"  # the others of its seed share what it has up to M1
NOBODYS = ("", "chance", "truth", "no instruction of the micro-world")  # texts of votes that no model wrote
SHARED = ("seed", "sft", "m1")
# Of the strategies, in the order of the table. The first figure is the number of new prompts a round: what each costs was
# counted in runs of seed 0 with other numbers.
SETTINGS: dict[str, tuple[int, list[str]]] = {
    FIRST: (650, []),
    "sft_only": (0, []),
    "human_dpo": (0, []),
    "frozen_reward_model": (500, []),
    "rlhf": (450, []),
    "spin": (0, []),
    "positives_only": (310, []),  # M0 reads all seeds again, which takes most of the budget
    "positives_only_more": (650, ["strategy=positives_only"]),  # and this is over it
    "meta_rewarding": (520, []),
    "meta_rewarding_rho": (520, ["strategy=meta_rewarding", "pairs.rho=0.3"]),  # with its control of length
    "consistency_regularised": (610, []),
    "sppo": (650, []),
    "irpo": (650, []),
    "self_consistency": (1300, []),
    "dice": (880, []),
    "temporal": (240, []),
    "self_taught_evaluator": (290, []),  # as positives_only
    "process_based": (650, []),
    "random_judge": (650, ["strategy=self_rewarding", "judge.name=benchmarks.controls:random_judge"]),
    "oracle_judge": (650, ["strategy=self_rewarding", "judge.name=benchmarks.controls:oracle_judge"]),
}


def recipe_of(name: str, seed: int, split: str) -> Recipe:
    """The micro recipe with what a strategy or a control changes."""
    num_prompts, changes = SETTINGS[name]
    strategy = [] if any(one.startswith("strategy=") for one in changes) else [f"strategy={name}"]
    prompts = [f"prompts.num={num_prompts}"] if num_prompts else []
    return load_recipe("micro", [f"seed={seed}", f"evaluation.split={split}", *strategy, *prompts, *changes])


class Tokens:
    """Counts what the rounds of a run sampled, judged and trained on."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.recipe = run, run.recipe()
        self.tokenizer = load_tokenizer(run.model_path("sft"))
        self.rounds = [store.model_name(k) for k in range(2, self.recipe.rounds + 2)]

    def count(self) -> dict[str, int]:
        """Tokens of all rounds."""
        found: defaultdict[str, int] = defaultdict(int)
        for name in self.rounds:
            folder = self.run.path / name
            found["sampled"] += self._written(one.text for one in _records(folder, store.ATTEMPTS_FILE, Attempt))
            for path in folder.glob("responses*.jsonl"):
                lines = store.read(path, Responses)
                found["sampled"] += sum(one.num_tokens or 0 for line in lines for one in line.samples)
            judgements = _records(folder, store.JUDGEMENTS_FILE, Judgement)
            found["judged"] += self._written(vote.text for one in judgements for vote in one.votes)
            for meeting in _records(folder, store.META_JUDGEMENTS_FILE, Meeting):
                found["judged"] += self._written(verdict.text for verdict in meeting.verdicts)
            found["judged"] += self._likelihoods(folder)
        # A training that was interrupted has said its tokens again.
        trained = {
            (line.get("within"), line["model"]): line["num_tokens"]
            for line in read_rows(self.run.metrics)
            if "num_tokens" in line and (line.get("within") or line["model"]) in (*self.rounds, "reward_model")
        }
        return {**found, "trained": sum(trained.values())}

    def _likelihoods(self, folder: Path) -> int:
        """Tokens read for likelihoods."""
        files = list(folder.glob(store.LIKELIHOODS_FILE.format(model="*")))
        responses = _records(folder, store.RESPONSES_FILE, Responses) if files else []
        lengths = {
            one.id: sum(map(len, encode_example(self.tokenizer, one.prompt, one.text)))
            for line in responses
            for one in line.samples
        }
        return sum(lengths[line["id"]] for path in files for line in read_rows(path))

    def _written(self, texts: Iterable[str]) -> int:
        """Tokens of texts, each with its end; none of those that nobody wrote."""
        return sum(len(encode_example(self.tokenizer, "", text)[1]) for text in texts if text not in NOBODYS)


def _records(folder: Path, name: str, record_type: Any) -> list[Any]:
    return store.read(folder / name, record_type) if (folder / name).exists() else []


def wall_s(run: RunFolder) -> float:
    """Seconds of the stages of the rounds, without what measures the models."""
    rounds = [store.model_name(k) for k in range(2, run.recipe().rounds + 2)]
    lines = [line for line in read_rows(run.metrics) if "stage" in line]
    return sum(
        line["seconds"]
        for line in lines
        if "eval_" not in line["stage"]
        and any(word in line["stage"].split() for word in (*rounds, "ahead", "reward_model"))
    )


def diversity(run: RunFolder, model: str) -> float:
    """Distinct pairs of neighbouring words, as a share of all, in a model's answers to the held-out prompts."""
    pairs: list[tuple[str, str]] = []
    for line in store.read(run.path / model / store.EVAL_RESPONSES_FILE, Responses):
        for one in line.samples:
            words = one.text.lower().split()
            pairs += itertools.pairwise(words)
    return len(set(pairs)) / len(pairs)


def figures(work: Path, name: str, seeds: list[int]) -> dict[str, Any]:
    """What a strategy reached over the run seeds whose runs are finished, which it names."""
    runs = [RunFolder(work / f"{name}-{seed}") for seed in seeds]
    runs = [run for run in runs if (run.path / "m3" / store.EVAL_FILE).exists()]
    evals = [{m: read_json(run.path / m / store.EVAL_FILE) for m in ("sft", "m1", "m2", "m3")} for run in runs]
    games = [e["m3"]["head_to_head"]["sft"] for e in evals]
    tokens = [Tokens(run).count() for run in runs]

    def score(e: dict[str, Any], m: str) -> float:
        return float(e[m]["capability"]["score"]["mean"])

    def judge(e: dict[str, Any], m: str) -> float:
        return float(e[m]["reward_modelling"]["oracle"]["half"]["pairwise_accuracy"]["value"])

    net = over_seeds([game["net"] for game in games])
    return {
        "strategy": name,
        "seeds": [run.recipe().seed for run in runs],
        "num_prompts": SETTINGS[name][0],
        "settings": SETTINGS[name][1],
        "score": over_seeds([score(e, "m3") for e in evals]),
        "by_model": {m: over_seeds([score(e, m) for e in evals]) for m in ("sft", "m1", "m2", "m3")},
        "m2_minus_m1": over_seeds([score(e, "m2") - score(e, "m1") for e in evals]),
        "m3_minus_m2": over_seeds([score(e, "m3") - score(e, "m2") for e in evals]),
        "vs_sft": {**{k: mean_ci([game[k] for game in games]).mean for k in ("win", "tie", "lose")}, "net": net["mean"],
                   "ci95": net["ci95"], "per_seed": net["per_seed"]},
        "judge_pairwise": over_seeds([judge(e, "m3") for e in evals]),
        "judge_m1": over_seeds([judge(e, "m1") for e in evals]),
        "avg_length": over_seeds([float(e["m3"]["capability"]["length_words"]["mean"]) for e in evals]),
        "diversity": over_seeds([diversity(run, "m3") for run in runs]),
        "tokens": {kind: mean_ci([one[kind] for one in tokens]).mean for kind in ("sampled", "judged", "trained")},
        "wall_s": mean_ci([wall_s(run) for run in runs]).mean,
    }  # fmt: skip


def main() -> None:
    """Runs what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--strategies", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--only-read", action="store_true", help="start nothing, read the runs that are finished")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}

    def run(name: str, seed: int, first: "Future[None] | None") -> None:
        if first is not None:
            first.result()
        if (work / f"{name}-{seed}" / "m3" / store.EVAL_FILE).exists():
            return
        try:
            shared = (f"{FIRST}-{seed}", SHARED) if first is not None else ("", ())
            run_in(work, f"{name}-{seed}", recipe_of(name, seed, options.split), *shared)
        except Exception as error:
            failed[f"{name}-{seed}"] = str(error)
            print(f"{name}-{seed} failed: {error}", flush=True)

    if not options.only_read:
        with ThreadPoolExecutor(options.workers) as pool:
            firsts = {seed: pool.submit(run, FIRST, seed, None) for seed in options.seeds}
            for seed, first in firsts.items():
                for name in options.strategies:
                    if name != FIRST:
                        pool.submit(run, name, seed, first)
    rows = [figures(work, name, options.seeds) for name in options.strategies
            if any((work / f"{name}-{seed}" / "m3" / store.EVAL_FILE).exists() for seed in options.seeds)]  # fmt: skip
    print(json.dumps(failed))
    stamps = (work / f"{FIRST}-{seed}" / store.STAMP_FILE for seed in options.seeds)
    commits = sorted({str(read_json(stamp)["git"]) for stamp in stamps if stamp.exists()})
    write_results("strategies", {"split": options.split, "runs_commits": commits, "strategies": rows, "failed": failed})


if __name__ == "__main__":
    main()
