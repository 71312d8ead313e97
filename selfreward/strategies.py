"""THE place: what a round teaches. One short function per method, and the dict of them all.

A strategy takes a `Round` and returns a `Lesson`. One of a user's own is named in the recipe as
`package.module:function`.
"""

from collections.abc import Callable

from selfreward.pairing import best_vs_worst, positives
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
