"""`selfreward eval reward-model` and `judge`: how well scores, or models as judges, agree with people's ranks."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from selfreward.cli.common import AsJson, exit_codes, print_json, warn_of_code

# The names of `selfreward.statistics`, which takes too long to import for a command that only explains itself.
Ties = Annotated[
    Literal["excluded", "agreement", "half", "wrong"], typer.Option("--tie-policy", help="What equal scores are worth.")
]
Averaged = Annotated[
    Literal["micro", "macro"], typer.Option("--average", help="micro: over all pairs; macro: the mean over sets.")
]
Undefined = Annotated[
    Literal["zero", "skipped", "pooled"] | None,
    typer.Option(help="What a set scored all alike adds to correlations.  [default: the tie policy's]"),
]


def reward_model(
    sets: Annotated[Path, typer.Option("--sets", help='Lines of {"human_ranks": [0, 1], "scores": [4.5, null]}.')],
    ties: Ties = "excluded",
    average: Averaged = "micro",
    undefined: Undefined = None,
    as_json: AsJson = False,
) -> None:
    """Measure any judge's scores against people's ranks: the five metrics of a reward model, and their coverage."""
    with exit_codes():
        from selfreward.evaluation.scored_sets import measure, read_scored_sets

        found = measure(read_scored_sets(sets), (ties, average, undefined))
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        from selfreward.report.judges import render_reward_metrics

        render_reward_metrics(found, Console())


def judge(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="RUN, RUN/MODEL, or a model's folder.")],
    sets: Annotated[
        Path | None,
        typer.Option("--sets", help="Ranked responses, as docs/seeds.md has them.  [default: the run's own]"),
    ] = None,
    templates: Annotated[
        list[str] | None, typer.Option("--template", help="A judge template; repeatable.  [default: the recipe's]")
    ] = None,
    votes: Annotated[str | None, typer.Option(help="As 1,3,5,11: the first of one set of votes.")] = None,
    reads: Annotated[
        list[str] | None,
        typer.Option("--read", help="votes, expected or direct; repeatable.  [default: the recipe's]"),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="For a template that shows evidence.  [default: the recipe's]")
    ] = None,
    ties: Ties = "excluded",
    average: Averaged = "micro",
    undefined: Undefined = None,
    cache: Annotated[Path, typer.Option(help="Where judgements are kept.")] = Path("runs/judged"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure models as judges of ranked responses, with any template, number of votes and way to read them."""
    with exit_codes("interrupted; the same command goes on where it was"):
        from selfreward.evaluation.judging import Ways, measure_judges, numbers_of_votes, read_ranked_sets
        from selfreward.evaluation.named_models import named_models
        from selfreward.progress import open_progress

        ways = Ways(templates or [None], reads or [None], numbers_of_votes(votes) if votes else [None], database)
        found = named_models(models)
        ranked = None
        if sets is not None:
            ranked, left_out = read_ranked_sets(sets)
            if left_out:
                typer.echo(f"left out of {sets}: {', '.join(f'{fate} {n}' for fate, n in left_out.items())}", err=True)
        for recipe in {model.run: model.recipe for model in found}.values():
            warn_of_code(recipe)
        rows = measure_judges(found, ranked, ways, (ties, average, undefined), cache, open_progress(quiet))
        if as_json:
            print_json(rows)
            return
        from rich.console import Console

        from selfreward.report.judges import render_judges

        render_judges(rows, Console())
