"""Drawn votes against expected scores: one judge reads the same responses in each way.

    python benchmarks/expected_score.py [--model micro-m0] [--sets 14] [--votes 3] [--reference 32]

Responses are those of ranked sets of the micro-world, dev split, three to a prompt. The reference is the mean of many drawn
votes: what all ways but the direct one estimate.
"""

import argparse
import time
from itertools import combinations
from typing import Any

from common import write_results
from scipy.stats import pearsonr, spearmanr

from selfreward.engines.local import LocalEngine
from selfreward.evaluation.micro import oracle_ranking
from selfreward.evaluation.reward_modelling import reward_modelling
from selfreward.judges import llm
from selfreward.micro import people
from selfreward.models import resolve_model
from selfreward.recipe import Judge, load_recipe
from selfreward.records import Judgement
from selfreward.responses import ranked_responses


def compare(model: str, num_sets: int, votes: int, reference: int, seed: int) -> dict[str, Any]:
    """What each way of reading gives, and how near it comes to the reference."""
    sets = people.rank_responses(num_sets, 3, seed, "dev", set())
    responses = ranked_responses(sets)
    judge = load_recipe("micro").judge
    engine = LocalEngine(resolve_model(model), batch_size=256, dtype="float32", device="cpu")
    settings = {
        "reference": judge.model_copy(update={"votes": reference}),
        "votes": judge.model_copy(update={"votes": votes}),
        "expected": judge.model_copy(update={"votes": votes, "read": "expected"}),
        "expected, one": judge.model_copy(update={"votes": 1, "read": "expected"}),
        "direct": judge.model_copy(update={"votes": 1, "read": "direct"}),
    }
    # The reference has a seed of its own: it must not share votes with what it is compared to.
    found = {name: _judged(engine, responses, s, seed + (name == "reference")) for name, s in settings.items()}
    engine.close()
    rows = {}
    for name, (judgements, seconds) in found.items():
        accuracy = reward_modelling(oracle_ranking(sets), judgements)["half"]["pairwise_accuracy"]
        rows[name] = {
            "scored": sum(j.score is not None for j in judgements),
            "coverage": sum(j.coverage for j in judgements) / len(judgements),
            **_agreement(judgements, found["reference"][0]),
            "tied_pairs": _tied(judgements),
            "pairwise_accuracy": accuracy,
            "seconds": seconds,
        }
    return {
        "model": model,
        "responses": len(responses),
        "votes": votes,
        "reference_votes": reference,
        "rows": rows,  # each beside the reference
        "votes_beside_expected": _agreement(found["votes"][0], found["expected"][0]),  # of the same justifications
    }


def _agreement(ours: list[Judgement], others: list[Judgement]) -> dict[str, float | None]:
    """Correlations and mean distance, points, of the scores of responses that both have scored."""
    theirs = {j.response_id: j.score for j in others}
    pairs = [(j.score, b) for j in ours if j.score is not None and (b := theirs[j.response_id]) is not None]
    sides = list(zip(*pairs, strict=True))
    return {
        "pearson": pearsonr(*sides).statistic if len(pairs) > 1 else None,
        "spearman": spearmanr(*sides).statistic if len(pairs) > 1 else None,
        "distance_points": sum(abs(a - b) for a, b in pairs) / len(pairs) if pairs else None,
    }


def _judged(engine: LocalEngine, responses: Any, settings: Judge, seed: int) -> tuple[list[Judgement], float]:
    began = time.monotonic()
    return llm.judge(engine, responses, settings, "m0", seed), time.monotonic() - began


def _tied(judgements: list[Judgement]) -> float | None:
    """Share of the pairs of scored responses to one prompt that have equal scores."""
    by_prompt: dict[str, list[float]] = {}
    for judgement in judgements:
        if judgement.score is not None:
            by_prompt.setdefault(judgement.prompt_id, []).append(judgement.score)
    pairs = [a == b for scores in by_prompt.values() for a, b in combinations(scores, 2)]
    return sum(pairs) / len(pairs) if pairs else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="micro-m0")
    parser.add_argument("--sets", type=int, default=14)
    parser.add_argument("--votes", type=int, default=3)
    parser.add_argument("--reference", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write_results("expected_score", compare(given.model, given.sets, given.votes, given.reference, given.seed))
