"""THE place: what a round teaches. One short function per method, and the dict of them all.

A strategy takes a `Round` and returns a `Lesson`. One of a user's own is named in the recipe as
`package.module:function`.
"""

from collections.abc import Callable

from selfreward.errors import BadInput
from selfreward.pairing import best_vs_worst, positives
from selfreward.recipe import Recipe
from selfreward.records import Lesson
from selfreward.round import Round

Strategy = Callable[[Round], Lesson]


def self_rewarding(round: Round) -> Lesson:
    """Yuan et al. 2024, arXiv 2401.10020: the model's best response to each of its new prompts against its worst."""
    responses = round.sample(round.new_prompts())
    return round.dpo_lesson(best_vs_worst(round.judge(responses), seed=round.recipe.seed))


def positives_only(round: Round) -> Lesson:
    """The same paper's ablation (section 3.2): responses that score a perfect 5 join the seeds, M0 is fine-tuned on all."""
    responses = round.sample(round.new_prompts())
    return round.sft_lesson(positives(round.judge(responses)))


STRATEGIES: dict[str, Strategy] = {
    "self_rewarding": self_rewarding,
    "positives_only": positives_only,
}


def _no_early_stopping(recipe: Recipe) -> None:
    """A setting that would have no effect is refused."""
    if recipe.training.early_stopping:
        what = f"is for lessons of DPO, and {recipe.strategy} teaches by SFT alone"
        raise BadInput(what, "training.early_stopping", "leave it out")


# What a strategy needs of a recipe: raises BadInput before anything runs.
NEEDS: dict[str, Callable[[Recipe], None]] = {
    "positives_only": _no_early_stopping,
}
