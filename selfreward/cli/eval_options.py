"""Options that several commands of `selfreward eval` have, and what they say before a model is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from selfreward.cli.common import warn_of_code

Judge = Annotated[
    str | None, typer.Option(help="Who judges: a model as in a recipe, RUN/mK, the URL of a server, or `length`.")
]
By = Annotated[Literal["verdicts", "scores"], typer.Option(help="A verdict on the pair, or the higher of two scores.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A recipe's value for the judge, as engine.batch_size=8; repeatable."
    ),
]
Template = Annotated[
    str | None,
    typer.Option(help="What the judge is asked: a pairwise template (forced_choice) or a .jinja file."),
]
ReadFrom = Annotated[
    Literal["written", "probabilities"] | None,
    typer.Option(
        "--read",
        help="Verdicts as written (head-to-head), or from the probabilities of 1 and 2 (alpaca).",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


def warn(judge: Any, sides: Sequence[Path]) -> None:
    """Says aloud that code of models will run, of the judge's or of those that answer."""
    from selfreward.evaluation.answers import is_model
    from selfreward.store import RunFolder

    recipes = [RunFolder(side.parent).recipe() for side in sides if is_model(side)]
    for recipe in [*recipes, *([judge.recipe] if judge.recipe else [])]:
        warn_of_code(recipe)
