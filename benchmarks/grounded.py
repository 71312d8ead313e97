"""A judge that looks things up: what an index costs, how much better it judges facts, and what a loop gains by it.

    python benchmarks/grounded.py --work FOLDER [--seeds 0 1 2] [--passages 1000000] [--only index|judges]

The index holds synthetic passages, words drawn as rarely as words are in texts (Zipf's law); a query is eight words in a row out
of a passage that is then to be found. Runs are the recipes `micro` and `micro-grounded`, which differ in the judge alone,
on the test split; they stay in FOLDER, so that a benchmark that was stopped goes on. Their models judge ranked responses to
questions of fact with evidence and without, and pairs of answers that differ in nothing but the truth. Intervals are Student's t
over run seeds.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from common import RESULTS, write_results
from passages import indexes

from selfreward.engines.local import LocalEngine
from selfreward.evaluation.micro import oracle_ranking, task_of
from selfreward.evaluation.reward_modelling import reward_modelling
from selfreward.judges import open_judge
from selfreward.micro import oracle, people
from selfreward.micro.almanac import fact
from selfreward.micro.tasks import draw_instruction
from selfreward.micro.words import ATTRIBUTES
from selfreward.recipe import Recipe, load_recipe, to_yaml
from selfreward.records import RankedResponse, RankedSet, digest
from selfreward.responses import Responses, ranked_responses
from selfreward.stamp import git_commit
from selfreward.statistics import mean_ci
from selfreward.store import read_json, stream, write_text

REPOSITORY = Path(__file__).parent.parent
RECIPES = {"plain": "micro", "grounded": "micro-grounded"}
WAYS = ("ungrounded", "grounded")  # of asking: the judges of the two recipes
MODELS = ("sft", "m1", "m2", "m3")
JUDGES = ("m1", "m3")  # that are measured with evidence and without


def run_recipe(work: Path, name: str, seed: int, num_prompts: int) -> Path:
    """A run of one of RECIPES, or what is left of it, in a process of its own with one thread; returns its folder."""
    folder = work / f"{name}-{seed}"
    if (folder / MODELS[-1] / "eval.json").exists():
        return folder
    recipe = load_recipe(
        RECIPES[name], [f"seed={seed}", "evaluation.split=test", f"evaluation.num_prompts={num_prompts}"]
    )
    write_text(work / f"{name}-{seed}.yaml", to_yaml(recipe))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "selfreward.cli", "run", f"{folder}.yaml", "--quiet", "--to", str(folder)]
    subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder


def fact_sets(num: int, seed: int) -> list[RankedSet]:
    """Ranked responses to `num` questions of fact of the test split, as people write them."""
    sets: list[RankedSet] = []
    in_vain = 0
    while len(sets) < num:
        tried = (in_vain,) if in_vain else ()  # a draw that brought nothing would be drawn again for ever
        drawn = people.rank_responses(
            num, 3, digest_seed(seed, len(sets), *tried), "test", {one.prompt for one in sets}
        )
        facts = [one for one in drawn if task_of(one.prompt).family == "fact"]
        in_vain = 0 if facts else in_vain + 1
        sets += facts
    return oracle_ranking(sets[:num])


def truth_sets(num: int, seed: int) -> list[RankedSet]:
    """`num` questions of fact with a perfect answer, and one that is untrue and otherwise as good."""
    rng = Random(f"truth/{seed}")
    sets: dict[str, RankedSet] = {}
    while len(sets) < num:
        task, text = draw_instruction(rng, "test")
        if task.family != "fact":
            continue
        assert task.town is not None and task.attribute is not None
        true = fact(task.town, task.attribute)
        false = rng.choice([value for value in ATTRIBUTES[task.attribute] if value != true])
        answers = [f"The {task.attribute} of {task.town} is {value}{task.ending or '.'}" for value in (true, false)]
        assert [oracle.score(task, answer) for answer in answers] == [5, 4]
        ranked = [RankedResponse(text=answer, rank=rank) for rank, answer in enumerate(answers)]
        rng.shuffle(ranked)
        sets[text] = RankedSet(id=digest("truth", text), prompt=text, responses=tuple(ranked))
    return list(sets.values())


def digest_seed(*parts: int) -> int:
    return int(digest("grounded", *parts), 16) % 10**6


def judged(folder: Path, sets: dict[str, list[RankedSet]], recipes: dict[str, Recipe]) -> dict[str, Any]:
    """Pairwise accuracy of some models of a run, asked in both ways about the same sets; ties count half."""
    found: dict[str, Any] = {}
    for model in JUDGES:
        engine = LocalEngine(str(folder / model / "model"), batch_size=256, dtype="float32", device="cpu")
        for way in WAYS:
            settings = recipes[way].judge
            for kind, some in sets.items():
                judgements = open_judge(settings.name)(engine, ranked_responses(some), settings, model, 0)
                accuracy = reward_modelling(some, judgements)["half"]["pairwise_accuracy"]["value"]
                coverage = sum(one.coverage for one in judgements) / len(judgements)
                found.setdefault(model, {}).setdefault(way, {})[kind] = {"pairwise": accuracy, "readable": coverage}
        engine.close()
    return found


def answered(folder: Path) -> dict[str, dict[str, float]]:
    """Oracle score of each model, whole and of the facts, and the share of its answers to these that is true."""
    found = {}
    for model in MODELS:
        capability = read_json(folder / model / "eval.json")["capability"]
        lines = stream(folder / model / "eval_responses.jsonl", Responses)
        facts = [(task_of(one.prompt), one.text) for line in lines for one in line.samples]
        points = [oracle.checks(task, text) for task, text in facts if task.family == "fact"]
        true = [check.holds for checks in points for check in checks if check.name == "content"]
        found[model] = {
            "score": capability["score"]["mean"],
            "fact": capability["by_family"]["fact"]["score"]["mean"],
            "facts_true": sum(true) / len(true),
        }
    return found


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    found = mean_ci(values)
    return {"mean": found.mean, "ci95": found.ci95, "per_seed": list(values)}


def judges(work: Path, seeds: Sequence[int], num_prompts: int, num_sets: int) -> dict[str, Any]:
    """Everything that is measured of the judges and of what is taught by them."""
    recipes = {"ungrounded": load_recipe("micro"), "grounded": load_recipe("micro-grounded")}
    asked, scores = {name: [] for name in RECIPES}, {name: [] for name in RECIPES}  # type: ignore[var-annotated]
    for seed in seeds:
        sets = {"facts": fact_sets(num_sets, seed), "truth": truth_sets(num_sets, seed)}
        for name in RECIPES:
            folder = run_recipe(work, name, seed, num_prompts)
            kept = work / f"{name}-{seed}.judged.json"
            if not kept.exists():
                write_text(kept, json.dumps(judged(folder, sets, recipes)))
            asked[name].append(json.loads(kept.read_text()))
            scores[name].append(answered(folder))
            print(f"{name} {seed} is done", file=sys.stderr, flush=True)

    def accuracy(name: str, model: str, way: str, kind: str) -> list[float]:
        return [one[model][way][kind]["pairwise"] for one in asked[name]]

    def gain(better: Sequence[float], worse: Sequence[float]) -> dict[str, Any]:
        return over_seeds([b - w for b, w in zip(better, worse, strict=True)])

    rows: dict[str, Any] = {}
    for name in RECIPES:
        for model in JUDGES:
            rows[f"{model} of {RECIPES[name]}"] = {
                kind: {
                    **{way: over_seeds(accuracy(name, model, way, kind)) for way in WAYS},
                    "difference": gain(*(accuracy(name, model, way, kind) for way in reversed(WAYS))),
                }
                for kind in ("facts", "truth")
            }
    trained = {
        what: {
            model: {
                **{name: over_seeds([one[model][what] for one in scores[name]]) for name in RECIPES},
                "difference": gain(*([one[model][what] for one in scores[name]] for name in ("grounded", "plain"))),
            }
            for model in MODELS
        }
        for what in ("score", "fact", "facts_true")
    }
    same_model = rows["m1 of micro"]["facts"]  # which was never taught with evidence
    return {
        "seeds": list(seeds), "num_prompts": num_prompts, "num_sets": num_sets,
        "pairwise_ungrounded": same_model["ungrounded"], "pairwise_grounded": same_model["grounded"],
        "judges": rows, "trained": trained,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num-prompts", type=int, default=1024)
    parser.add_argument("--num-sets", type=int, default=200)
    parser.add_argument("--passages", type=int, default=10**6)
    parser.add_argument("--only", choices=("index", "judges"), help="the other part stays as the result file has it")
    options = parser.parse_args()
    if options.only != "index" and options.work is None:
        parser.error("--work FOLDER is where the runs lie")
    path = RESULTS / "grounded.json"
    figures: dict[str, Any] = read_json(path) if options.only and path.exists() else {}
    made_by = dict(figures.get("made_by", {}))  # each part has a command of its own
    for part in ("index", "judges"):
        if options.only in (None, part):
            made_by[part] = {"commit": git_commit(), "command": shlex.join(["python", *map(str, sys.argv)])}
    figures["made_by"] = made_by
    if options.only != "judges":
        figures |= indexes(options.passages)
    if options.only != "index":
        options.work.mkdir(parents=True, exist_ok=True)
        figures |= judges(options.work.resolve(), options.seeds, options.num_prompts, options.num_sets)
    write_results("grounded", figures)


if __name__ == "__main__":
    main()
