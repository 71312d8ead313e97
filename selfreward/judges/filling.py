"""Judgements filled into a file: only those that it does not hold yet are made."""

from collections.abc import Sequence
from pathlib import Path

from selfreward import store
from selfreward.engines.opening import Engines
from selfreward.judges import open_judge
from selfreward.judges.votes import judgement_id
from selfreward.progress import Progress
from selfreward.recipe import Judge, Recipe
from selfreward.records import Judgement, Response


def judge_into(
    path: Path,
    responses: Sequence[Response],
    settings: Judge,
    recipe: Recipe,
    engines: Engines,
    model_folder: str,
    name: str,
    progress: Progress,
) -> Sequence[Judgement]:
    """Judgements of responses by one model, filled into a file; `settings` may differ from the recipe's judge.

    A judge whose engine is a server that serves a model of another name is that model, whatever `model_folder` says.
    """
    judge = open_judge(settings.name)
    batch_size = (settings.engine or recipe.engine).batch_size
    return store.fill(
        path,
        Judgement,
        responses,
        lambda response: judgement_id(name, response.id),
        lambda batch: judge(engines.of(model_folder, settings.engine), batch, settings, name, recipe.seed),
        batch_size,
        progress,
    )
