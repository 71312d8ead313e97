"""Does the loop improve its model? Run seeds, controls and ablations of the micro recipe, measured on fresh prompts.

    python benchmarks/micro_effect.py --work FOLDER [--seeds 0 1 2 3 4] [--split test]

Variants of one seed share everything up to M1, which they have in common. All of them are ordinary runs in FOLDER, so a
benchmark that was stopped goes on where it was. Intervals are Student's t over run seeds.
"""

import argparse
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import over_seeds, run_in, write_results

from selfreward.recipe import Recipe, load_recipe
from selfreward.statistics import mean_ci
from selfreward.store import read_json

VARIANTS: dict[str, list[str]] = {  # in order of importance
    "self": [],
    "random_judge": ["judge.name=benchmarks.controls:random_judge"],
    "oracle_judge": ["judge.name=benchmarks.controls:oracle_judge"],
    "no_eft": ["seeds.num_eft_prompts=0"],
    "positives_only": ["strategy=positives_only"],
    "saturation": ["rounds=4"],
}
SHARED = {  # folders a variant takes over from another one of the same seed
    "random_judge": ("self", ("seed", "sft", "m1")),
    "oracle_judge": ("self", ("seed", "sft", "m1")),
    "positives_only": ("self", ("seed", "sft", "m1")),
    "saturation": ("self", ("seed", "sft", "m1", "m2", "m3")),
}
MODELS = ("sft", "m1", "m2", "m3", "m4", "m5")


def run_variant(work: Path, variant: str, recipe: Recipe, source: "Future[None] | None" = None) -> None:
    """One run, or what is left of it; `source` is the run it shares from."""
    if source is not None:
        source.result()
    shared_from, names = SHARED.get(variant, ("", ()))
    run_in(work, f"{variant}-{recipe.seed}", recipe, f"{shared_from}-{recipe.seed}", names)


def recipe_of(variant: str, seed: int, split: str, num_prompts: int, extra: list[str]) -> Recipe:
    """The micro recipe with what this variant, seed and measurement change."""
    measured = [f"seed={seed}", f"evaluation.split={split}", f"evaluation.num_prompts={num_prompts}"]
    return load_recipe("micro", [*measured, *extra, *VARIANTS[variant]])


def read_variant(work: Path, variant: str, seeds: list[int]) -> dict[str, Any]:
    """The figures of one variant over the seeds whose runs are finished, which it names."""
    last = MODELS[-1] if variant == "saturation" else "m3"
    seeds = [seed for seed in seeds if (work / f"{variant}-{seed}" / last / "eval.json").exists()]
    evals = [
        {m: read_json(path) for m in MODELS if (path := work / f"{variant}-{seed}" / m / "eval.json").exists()}
        for seed in seeds
    ]
    models = [m for m in MODELS if all(m in e for e in evals)]

    def score(e: dict[str, Any], m: str) -> float:
        return float(e[m]["capability"]["score"]["mean"])

    def wins(m: str, rival: str) -> dict[str, Any]:
        games = [e[m]["head_to_head"][rival] for e in evals]
        net = over_seeds([game["net"] for game in games])
        shares = {k: mean_ci([game[k] for game in games]) for k in ("win", "tie", "lose")}
        return {
            **{k: share.mean for k, share in shares.items()},
            **{f"{k}_ci95": share.ci95 for k, share in shares.items()},
            "net": net["mean"],
            "ci95": net["ci95"],
            "per_seed": net["per_seed"],
        }

    figures: dict[str, Any] = {
        "seeds": seeds,
        "scores": {m: over_seeds([score(e, m) for e in evals]) for m in models},
        "perfect": {m: over_seeds([float(e[m]["capability"]["perfect"]["mean"]) for e in evals]) for m in models},
        "length_words": {
            m: over_seeds([float(e[m]["capability"]["length_words"]["mean"]) for e in evals]) for m in models
        },
    }
    for later, earlier in zip(models[1:], models, strict=False):
        figures[f"{later}_minus_{earlier}"] = over_seeds([score(e, later) - score(e, earlier) for e in evals])
        figures[f"{later}_vs_{earlier}"] = wins(later, earlier)
    for m in models[1:]:
        figures[f"{m}_vs_sft"] = wins(m, "sft")
    for truth in ("human", "oracle"):
        key = "judge_pairwise" if truth == "oracle" else "judge_pairwise_human"
        figures[key] = {
            m: over_seeds([float(e[m]["reward_modelling"][truth]["half"]["pairwise_accuracy"]["value"]) for e in evals])
            for m in models
        }
    if "m1" in models:
        figures["judge_m1_minus_sft"] = over_seeds(
            [b - a for a, b in zip(*(figures["judge_pairwise"][m]["per_seed"] for m in ("sft", "m1")), strict=True)]
        )
    for group in ("by_family", "by_complexity"):
        figures[group] = {
            m: {
                name: mean_ci([float(e[m]["capability"][group][name]["score"]["mean"]) for e in evals]).mean
                for name in evals[0][m]["capability"][group]
                if all(name in e[m]["capability"][group] for e in evals)
            }
            for m in models
        }
    figures["by_point"] = {
        m: {
            point: mean_ci([float(e[m]["capability"]["by_point"][point]["mean"]) for e in evals]).mean
            for point in evals[0][m]["capability"]["by_point"]
        }
        for m in models
    }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--num-prompts", type=int, default=1024)
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--set", dest="extra", action="append", default=[], help="as in `selfreward run`")
    parser.add_argument("--only-read", action="store_true", help="start nothing, read the runs that are finished")
    parser.add_argument("--name", default="micro_effect", help="of the result file")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.workers) as pool:
        started: dict[tuple[str, int], Future[None]] = {}
        for variant in [] if options.only_read else options.variants:
            for seed in options.seeds:
                recipe = recipe_of(variant, seed, options.split, options.num_prompts, options.extra)
                source = started.get((SHARED.get(variant, ("",))[0], seed))
                started[variant, seed] = pool.submit(run_variant, options.work, variant, recipe, source)
        for run in started.values():
            run.result()
    figures = {"split": options.split, "num_prompts": options.num_prompts, "num_samples": 2, "settings": options.extra}
    figures["runs_commit"] = read_json(options.work / f"self-{options.seeds[0]}" / "stamp.json")["git"]
    figures |= read_variant(options.work, "self", options.seeds)
    for variant in options.variants[1:]:
        figures[variant] = read_variant(options.work, variant, options.seeds)
    if "saturation" in figures:  # "self" with two more rounds: what those add stands with the other models too
        for key in ("scores", "perfect", "length_words", "judge_pairwise", "judge_pairwise_human"):
            figures[key] |= {m: figures["saturation"][key][m] for m in ("m4", "m5")}
    write_results(options.name, figures)


if __name__ == "__main__":
    main()
