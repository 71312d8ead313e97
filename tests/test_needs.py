"""What a strategy needs, and what it has no use for, is said before anything runs."""

from typing import Any

import pytest

from selfreward.errors import BadInput
from selfreward.loop import check
from selfreward.needs import IGNORES, NEEDS, check_used
from selfreward.recipe import Recipe
from selfreward.strategies import STRATEGIES, check_strategy

ELSEWHERE = {"name": "server", "server": {"url": "http://127.0.0.1:9/v1"}}


def recipe(**changes: Any) -> Recipe:
    return Recipe.of({"name": "x", **changes})


def test_every_strategy_works_with_the_recipe_of_the_micro_world_and_says_what_it_does_without() -> None:
    assert IGNORES.keys() == STRATEGIES.keys() and NEEDS.keys() <= STRATEGIES.keys()
    for name in STRATEGIES:
        check(recipe(strategy=name))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "positives_only", "judge": {"name": "pairwise"}}, "scores of pairwise are no points"),
        ({"strategy": "positives_only", "judge": {"name": "implicit"}}, "scores of implicit are no points"),
        ({"strategy": "consistency_regularised", "engine": {"name": "vllm"}}, "engine.name: .* needs likelihoods"),
        ({"strategy": "dice", "engine": ELSEWHERE}, "engine.name: dice needs likelihoods"),
        ({"strategy": "dice", "lesson": {"reference": "m1"}}, "lesson: the reward of dice"),
        ({"strategy": "meta_rewarding", "meta_judge": {"template": "nothing"}}, "no pairwise template"),
        ({"strategy": "meta_rewarding", "judge": {"votes": 1}}, "judge.votes: .* compares several judgements"),
        ({"strategy": "self_taught_evaluator", "judge": {"read": "direct", "votes": 1}}, "needs judgements in words"),
        ({"strategy": "sppo", "pairs": {"replay": 1}}, "pairs.replay: sppo is about probabilities"),
        ({"strategy": "temporal", "judge": {"name": "pairwise"}}, "judge.name: temporal adds responses"),
    ],
)
def test_what_a_strategy_lacks_is_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check_strategy(recipe(**changes))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"strategy": "spin", "pairs": {"rho": 0.3}}, "pairs.rho"),
        ({"strategy": "human_dpo", "pairs": {"min_margin": 1}}, "pairs.min_margin"),
        ({"strategy": "process_based", "pairs": {"name": "json:loads"}}, "pairs.name"),
        ({"strategy": "self_rewarding", "pairs": {"answer": "last_line"}}, "pairs.answer"),
        ({"strategy": "positives_only", "pairs": {"replay": 1}}, "pairs.replay"),
        ({"strategy": "sft_only", "lesson": {"start": "m1"}}, "lesson.start"),
        ({"strategy": "rlhf", "dpo": {"nll": 1}}, "dpo.nll"),
        ({"strategy": "consistency_regularised", "judge": {"name": "pairwise"}}, "judge.name"),
        ({"strategy": "frozen_reward_model", "judge": {"name": "implicit"}}, "judge.name"),
    ],
)
def test_a_setting_without_effect_is_refused_not_ignored(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput, match=rf"^{path}: has no effect with {changes['strategy']}; leave it out"):
        check(recipe(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "rlhf", "judge": {"name": "reward_model"}},  # the judge that it has
        {"strategy": "dice", "judge": {"name": "grounded", "database": "micro", "template": "micro_grounded"}},  # EFT's
        {"strategy": "temporal", "pairs": {"rho": 0.2, "min_margin": 1}},
        {"strategy": "json:loads", "pairs": {"rho": 0.2}},  # one of a user's own may use all
    ],
)
def test_a_setting_that_somebody_uses_is_let_through(changes: dict[str, Any]) -> None:
    check_used([recipe(**changes)])


def test_in_a_schedule_one_round_that_uses_a_setting_is_enough() -> None:
    rounds: dict[str, Any] = {"rounds": 2, "strategy": "spin"}
    check(recipe(**rounds, pairs={"rho": 0.3}, schedule=[{}, {"strategy": "self_rewarding"}]))
    with pytest.raises(BadInput, match=r"^pairs\.rho: has no effect with spin"):
        check(recipe(**rounds, schedule=[{"pairs.rho": 0.3}, {"strategy": "self_rewarding"}]))


def test_what_the_strategy_of_a_later_round_lacks_is_said_too() -> None:
    with pytest.raises(BadInput, match=r"judge\.votes: meta_rewarding compares several"):
        check(recipe(schedule=[{}, {"strategy": "meta_rewarding", "judge.votes": 1}]))
