"""What strategies need of a recipe, and which settings they have no use for; both are said before anything runs.

A strategy that a table does not name needs nothing and may use everything, as one of a user's own.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from selfreward.errors import BadInput
from selfreward.judges import pairwise
from selfreward.recipe import Recipe
from selfreward.recipe.whole import flat
from selfreward.round_judges import check_reward_model
from selfreward.templates import render

NO_POINTS = ("reward_model", "pairwise", "implicit")  # judges whose scores are on other scales
WITHOUT_LIKELIHOODS = ("server", "vllm")


def _rankings(recipe: Recipe) -> None:
    if not recipe.seeds.num_eft_prompts:
        raise BadInput(
            f"{recipe.strategy} needs responses that people ranked", "seeds.num_eft_prompts", "set it above 0"
        )


def _points(recipe: Recipe) -> None:
    if recipe.judge.name in NO_POINTS:
        what = "rewards are" if recipe.judge.name == "reward_model" else f"scores of {recipe.judge.name} are"
        todo = "choose another judge, or another strategy"
        raise BadInput(f"{recipe.strategy} looks for 5 points, and {what} no points", "judge.name", todo)


def _reward_model(recipe: Recipe) -> None:
    check_reward_model(recipe, recipe.strategy)


def _one_process(recipe: Recipe) -> None:
    if recipe.training.launcher != "in_process":
        todo = "set it to in_process, or choose frozen_reward_model"
        raise BadInput(f"{recipe.strategy} is trained in one process", "training.launcher", todo)


def _judgements_in_words(recipe: Recipe) -> None:
    if recipe.judge.read == "direct" or recipe.judge.name != recipe.judge.own_name:
        todo = "set judge.name: llm or grounded, and judge.read: votes or expected"
        raise BadInput(f"{recipe.strategy} needs judgements in words", "judge", todo)


def _several_judgements(recipe: Recipe) -> None:
    _judgements_in_words(recipe)
    if recipe.judge.votes < 2:
        raise BadInput(f"{recipe.strategy} compares several judgements of a response", "judge.votes", "set it above 1")


def _meta_judge(recipe: Recipe) -> None:
    template = recipe.meta_judge.template
    render("pairwise", template, prompt="", first="", second="")
    if recipe.meta_judge.read == "probabilities":
        pairwise.begin_of(template)


def _judged_apart(recipe: Recipe) -> None:
    if recipe.judge.name == "pairwise":
        what = (
            f"{recipe.strategy} adds responses to those that are judged already, and pairwise compares all of a prompt"
        )
        raise BadInput(what, "judge.name", "choose another judge, or another strategy")


def _likelihoods(recipe: Recipe) -> None:
    if recipe.engine.name in WITHOUT_LIKELIHOODS:
        raise BadInput(
            f"{recipe.strategy} needs likelihoods of whole responses, which servers do not give", "engine.name",
            "choose local or ray",
        )  # fmt: skip


def _own_pairs_alone(recipe: Recipe) -> None:
    if recipe.pairs.replay:
        what = (
            f"{recipe.strategy} is about probabilities to win against the responses of a round, which other pairs lack"
        )
        raise BadInput(what, "pairs.replay", "leave it out")


def _each_from_the_last(recipe: Recipe) -> None:
    if recipe.lesson.start != "previous" or recipe.lesson.reference not in ("start", "previous"):
        what = f"the reward of {recipe.strategy} is that of a model over the one before, which it must come from"
        raise BadInput(what, "lesson", "leave it out")


def _to_the_end(recipe: Recipe) -> None:
    if recipe.training.early_stopping:
        what = f"is for lessons of DPO, and {recipe.strategy} teaches otherwise"
        raise BadInput(what, "training.early_stopping", "leave it out")


NEEDS: dict[str, tuple[Callable[[Recipe], None], ...]] = {  # what a recipe must have for a strategy
    "positives_only": (_points, _to_the_end),
    "sft_only": (_to_the_end,),
    "frozen_reward_model": (_reward_model,),
    "rlhf": (_reward_model, _one_process, _to_the_end),
    "human_dpo": (_rankings,),
    "dice": (_rankings, _likelihoods, _each_from_the_last),
    "consistency_regularised": (_likelihoods,),
    "meta_rewarding": (_several_judgements, _meta_judge),
    "sppo": (_own_pairs_alone,),
    "temporal": (_judged_apart,),
    "self_taught_evaluator": (_judgements_in_words, _to_the_end),
}

_PAIRING = ("pairs.name", "pairs.min_margin", "pairs.rho")
_ANSWER, _JUDGE = ("pairs.answer",), ("judge.name",)
_OF_PAIRS = ("pairs.replay", "dpo.nll")
_MODELS = ("lesson.start", "lesson.reference")
_ALL_OF_PAIRS = (*_PAIRING, *_ANSWER, *_OF_PAIRS)

IGNORES: dict[str, tuple[str, ...]] = {  # settings that are nothing to a strategy
    "self_rewarding": _ANSWER,
    "positives_only": (*_ALL_OF_PAIRS, *_MODELS),
    "frozen_reward_model": (*_ANSWER, *_JUDGE),
    "rlhf": (*_ALL_OF_PAIRS, *_JUDGE),
    "sft_only": (*_ALL_OF_PAIRS, *_MODELS, *_JUDGE),
    "human_dpo": (*_PAIRING, *_ANSWER, *_JUDGE),
    "spin": (*_PAIRING, *_ANSWER, *_JUDGE),
    "meta_rewarding": _ANSWER,
    "consistency_regularised": (*_ANSWER, *_JUDGE),
    "sppo": _ANSWER,
    "irpo": _ANSWER,
    "self_consistency": (*_PAIRING, *_JUDGE),
    "dice": (*_ANSWER, *_JUDGE),
    "temporal": _ANSWER,
    "self_taught_evaluator": (*_ALL_OF_PAIRS, *_MODELS),
    "process_based": (*_ANSWER, "pairs.name", "pairs.rho"),
}


def check_used(rounds: Sequence[Recipe]) -> None:
    """BadInput for a setting that is not at its default and of no use to the strategy of any round that has it."""
    plain = _settings(Recipe(name="any"))
    for path in dict.fromkeys(chain.from_iterable(IGNORES.values())):
        having = [one for one in rounds if _settings(one)[path] != plain[path]]
        if having and all(path in IGNORES.get(one.strategy, ()) for one in having):
            names = " and ".join(dict.fromkeys(one.strategy for one in having))
            raise BadInput(f"has no effect with {names}", path, "leave it out, or choose another strategy")


def _settings(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe by their paths; of the judge's name, whether it asks for another judge than the strategy's own."""
    judge, stopping = recipe.judge, recipe.training.early_stopping
    is_own = judge.name == judge.own_name
    is_own |= judge.name == "reward_model" and recipe.strategy in ("frozen_reward_model", "rlhf")
    is_asked = stopping is not None and stopping.by == "scores"  # whatever the strategy
    return dict(flat(recipe.model_dump())) | {"judge.name": None if is_own or is_asked else judge.name}
