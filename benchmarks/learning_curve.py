"""What M0 could do after how many tokens: oracle score of its answers and accuracy of its judgements, per checkpoint.

    python benchmarks/learning_curve.py PRETRAINING_FOLDER

The folder is one that `selfreward.micro.pretrain` wrote. Answers are sampled as in the loop, on prompts of the dev split.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from common import write_results

from selfreward.engines.base import Sampling
from selfreward.engines.local import LocalEngine
from selfreward.evaluation import micro
from selfreward.evaluation.reward_modelling import reward_modelling
from selfreward.judges import llm
from selfreward.micro import people
from selfreward.micro.almanac import fact
from selfreward.micro.oracle import checks
from selfreward.micro.tasks import read_instruction
from selfreward.recipe import load_recipe
from selfreward.records import Judgement, Response
from selfreward.responses import ranked_responses, sample


def measure(checkpoint: Path, num_prompts: int, num_sets: int) -> dict[str, Any]:
    """One row of the table."""
    recipe = load_recipe(
        "micro",
        [f"evaluation.num_prompts={num_prompts}", "evaluation.split=dev", f"evaluation.num_ranked_sets={num_sets}"],
    )
    engine = LocalEngine(checkpoint, batch_size=256, dtype="float32", device="cpu", threads=None)
    settings = recipe.responses
    prompts = micro.held_out_prompts(recipe)
    lines = sample(engine, prompts, 2, Sampling(settings.temperature, settings.top_p, settings.max_tokens), "m0", 0)
    greedy = sample(engine, prompts, 1, Sampling(0.0, 1.0, settings.max_tokens), "m0", 0)
    found = micro.capability([response for line in lines for response in line.samples])
    best = micro.capability([response for line in greedy for response in line.samples])
    sets = people.rank_responses(num_sets, 3, 0, "dev", set())
    judgements = llm.judge(engine, ranked_responses(sets), recipe.judge, "m0", 0)
    judged = reward_modelling(micro.oracle_ranking(sets), judgements)["half"]
    engine.close()
    return {
        "score": found["score"]["mean"],
        "ci95": found["score"]["ci95"],
        "perfect": found["perfect"]["mean"],
        "greedy_score": best["score"]["mean"],
        "by_family": {name: group["score"]["mean"] for name, group in found["by_family"].items()},
        "by_point": {point: share["mean"] for point, share in found["by_point"].items()},
        "facts_known": _facts_known([response for line in greedy for response in line.samples]),
        "judge_pairwise": judged["pairwise_accuracy"]["value"],
        "faults_seen": _faults_seen(judgements),
        "judge_exact": judged["exact_match"]["value"],
        "unscored": sum(judgement.score is None for judgement in judgements) / len(judgements),
    }


def _faults_seen(judgements: list[Judgement]) -> dict[str, float]:
    """Of the points that an answer lacks, the share of votes that say so, by point; votes without five verdicts are left out."""
    seen: dict[str, list[bool]] = {}
    for judgement in judgements:
        task = read_instruction(judgement.prompt)
        truth = checks(task, judgement.response) if task else ()
        for vote in judgement.votes:
            verdicts = re.findall(r": (yes|no)\.", vote.text)
            if len(verdicts) == len(truth):
                for check, verdict in zip(truth, verdicts, strict=True):
                    if not check.holds:
                        seen.setdefault(check.name, []).append(verdict == "no")
    return {name: sum(found) / len(found) for name, found in seen.items()}


def _facts_known(responses: list[Response]) -> float | None:
    """Share of questions of fact that are answered with the truth; one in eight is chance."""
    right = []
    for response in responses:
        task = micro.task_of(response.prompt)
        if task.town is not None and task.attribute is not None:
            right.append(fact(task.town, task.attribute) in response.text)
    return sum(right) / len(right) if right else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoints", type=int, nargs="+", help="their numbers of shards  [default: all]")
    parser.add_argument("--num-prompts", type=int, default=400)
    parser.add_argument("--num-sets", type=int, default=200)
    options = parser.parse_args()
    log = {}
    for line in (options.folder / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        log[entry["shard"] + 1] = entry
    rows = []
    for checkpoint in sorted(options.folder.glob("checkpoint-*")):
        num_shards = int(checkpoint.name.rpartition("-")[2])
        if options.checkpoints and num_shards not in options.checkpoints:
            continue
        entry = log[num_shards]
        rows.append(
            {
                "tokens": entry["tokens"],
                "loss": entry["loss"],
                **measure(checkpoint, options.num_prompts, options.num_sets),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    write_results("learning_curve", {"rows": rows, "log": list(log.values())})


if __name__ == "__main__":
    main()
