"""Judges that need more of a round than an engine: other models of the run, or all responses to a prompt together.

Each takes the round and the responses and returns their judgements, filled into the round's file; it is named in the recipe
as any judge is (`judge.name`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from selfreward import store
from selfreward.errors import BadInput
from selfreward.judges import JUDGES
from selfreward.judges.reward_model import judge_into
from selfreward.named import find
from selfreward.progress import Progress
from selfreward.recipe import Recipe
from selfreward.records import Judgement, Response


class Judged(Protocol):
    """What these judges know of a `Round`, which imports this module."""

    folder: Path
    recipe: Recipe
    progress: Progress

    def reward_model(self) -> Path:
        """The folder of the run's reward model."""


def reward_model(round: Judged, responses: Sequence[Response]) -> Sequence[Judgement]:
    """A model of people's rankings that is frozen (Ouyang et al. 2022, arXiv 2203.02155); scores are its rewards."""
    path = round.folder / store.JUDGEMENTS_FILE
    return judge_into(path, responses, round.reward_model(), round.recipe, round.progress)


RoundJudge = Callable[[Any, Sequence[Response]], Sequence[Judgement]]
ROUND_JUDGES: dict[str, RoundJudge] = {"reward_model": reward_model}


def check_judge(recipe: Recipe) -> None:
    """BadInput where there is no judge of the recipe's name, of a round or of one response, or it lacks what it needs."""
    ours: dict[str, Callable[..., Any]] = {**JUDGES, **ROUND_JUDGES}
    find(recipe.judge.name, ours, "judge.name")
    stopping = recipe.training.early_stopping
    if recipe.judge.name in ROUND_JUDGES and stopping and stopping.by == "scores":
        todo = "choose pairwise or health, or another judge"
        raise BadInput(
            f"scores is for judges of single responses, not {recipe.judge.name}", "training.early_stopping.by", todo
        )
    if recipe.judge.name == "reward_model":
        check_reward_model(recipe, "the judge reward_model")


def check_reward_model(recipe: Recipe, who: str) -> None:
    """BadInput where `who` wants a reward model and none can be trained: no rankings, or a batch that does not divide."""
    if not recipe.seeds.num_eft_prompts:
        todo = "set it to the number of ranked prompts to train on"
        raise BadInput(f"is 0, and {who} needs people's rankings", "seeds.num_eft_prompts", todo)
    batch, processes = recipe.reward_model.batch, recipe.training.processes
    if batch % processes:
        what = f"a batch of {batch} does not divide evenly among {processes} processes"
        raise BadInput(what, "reward_model.batch", "change one of the two")
