"""The `selfreward` command: run a recipe, show a run, ask its judge, talk to its models; `eval` measures them.

Exit codes: 0 done, 2 bad input (nothing was started), 3 a stage failed or we have a fault (what was made is kept), 130
interrupted. Each bad end is one line; `selfreward --debug ...` shows the traceback before it. Results go to stdout,
progress and messages to stderr; what a model wrote is shown with its control characters written out. Heavy imports happen
inside the commands that need them.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from selfreward import __version__
from selfreward.cli import eval as eval_commands
from selfreward.cli.common import (
    AsJson,
    RunArgument,
    chosen_model,
    debugging,
    exit_codes,
    print_json,
    warn_of_code,
)
from selfreward.cli.doctor import doctor
from selfreward.cli.export import export, push
from selfreward.cli.index import index
from selfreward.cli.labels import export_labels
from selfreward.cli.report import report
from selfreward.cli.verify import verify
from selfreward.cli.view import view
from selfreward.cli.watch import watch
from selfreward.text import visible

app = typer.Typer(
    help="Train language models that are their own judge (arXiv 2401.10020).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
recipes_app = typer.Typer(help="The recipes that are shipped, and what a recipe may say.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")
app.add_typer(eval_commands.app, name="eval")
app.command()(doctor)
app.command()(export)
app.command()(push)
app.command()(verify)
app.command()(index)
app.command()(report)
app.command()(view)
app.command()(watch)
app.command()(export_labels)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of what ends badly.")] = False,
) -> None:
    """Train language models that are their own judge (arXiv 2401.10020)."""
    debugging.set(debug)


def _print_tables(folder: Path, as_json: bool) -> None:
    """A run's tables on stdout."""
    from selfreward.report import render
    from selfreward.report import tables as tables_of

    tables = tables_of(folder)
    if as_json:
        print_json(tables)
        return
    from rich.console import Console

    from selfreward.errors import BadInput

    try:
        render(tables, Console())
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        todo = "--json shows what was read; delete the eval.json that was changed to have it made again"
        raise BadInput(f"a file of it holds what no run writes there: {error}", folder, todo) from error


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe, a YAML file, or a run folder to continue.")],
    to: Annotated[Path | None, typer.Option("--to", help="The run's folder, else runs/<name>.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another value, as dpo.lr=1e-4; repeatable.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same as --set seed=N.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a recipe from M0 to the last model; a run that was stopped goes on where it was."""
    with exit_codes():
        from selfreward.progress import open_progress
        from selfreward.recipe import load_recipe
        from selfreward.store import run_place

        changes = [*(overrides or []), *([f"seed={seed}"] if seed is not None else [])]
        loaded = load_recipe(recipe, changes)
        folder = to or run_place(recipe, loaded)
        warn_of_code(loaded)
    with exit_codes(f"interrupted; continue with: selfreward run {folder}"):
        from selfreward.loop import run as run_loop

        run_loop(loaded, folder, open_progress(quiet))
        _print_tables(folder, as_json)
        if not as_json and not quiet:
            typer.echo(f"run: {folder}   show again: selfreward show {folder}", err=True)


@app.command()
def show(run: RunArgument, as_json: AsJson = False) -> None:
    """Show what a run has measured so far."""
    with exit_codes():
        from selfreward.store import RunFolder

        RunFolder(run).recipe()
        _print_tables(run, as_json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders; the first is compared with.")],
    force: Annotated[bool, typer.Option("--force", help="Also runs that were measured differently.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs: strategies prompt by prompt, recipes over their seeds, and the paper's figures beside them."""
    with exit_codes():
        from selfreward.report.comparing import compare as compare_runs

        found = compare_runs(runs, force)
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        from selfreward.report.compared import render_comparison

        render_comparison(found, Console())


@app.command()
def analyse(
    run: RunArgument,
    model: Annotated[str | None, typer.Option(help="Whose states place the prompts.  [default: the newest]")] = None,
    points: Annotated[int, typer.Option(min=10, help="Prompts on the map, at most.")] = 2000,
    texts_only: Annotated[bool, typer.Option("--texts-only", help="No map of prompts: no model is loaded.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Analyse a run's texts: lengths, diversity, what was dropped, and a map of prompts, kept as analysis.json."""
    with exit_codes():
        name = chosen_model(run, model)
        from selfreward.analysis import analyse as analyse_run
        from selfreward.progress import open_progress

        found = analyse_run(run, name, points, texts_only, open_progress(quiet))
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        from selfreward.report.analysed import render_analysis

        render_analysis(found, Console())


@app.command()
def plan(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe, a YAML file, or a run folder to compare with.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As in run: plan.hardware=h100; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict tokens, time, memory, disk and cost of a recipe before anything runs; beside a run's own times."""
    with exit_codes():
        from selfreward import planning
        from selfreward.recipe import RECIPE_FILE, load_recipe

        found = planning.plan(load_recipe(recipe, overrides or []))
        if (Path(recipe) / RECIPE_FILE).is_file():
            from selfreward.report import tables

            found["stages"] = planning.beside(found["stages"], tables(Path(recipe))["time"])
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        planning.render_plan(found, Console())


@app.command()
def judge(
    run: RunArgument,
    prompt: Annotated[str, typer.Option(help="The instruction.")],
    response: Annotated[str, typer.Option(help="The answer to be judged.")],
    model: Annotated[str | None, typer.Option(help="Which model judges: m1, m2 ..., else the newest.")] = None,
    votes: Annotated[int, typer.Option(min=1, help="Readings of the judge.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Let a model of a run judge an answer: its votes, their texts, and the score in points, 0 to 5."""
    with exit_codes():
        name = chosen_model(run, model)
        from selfreward.asking import judge_one

        judgement = judge_one(run / name, prompt, response, votes)
        if as_json:
            print_json(judgement.model_dump())
            return
        for number, vote in enumerate(judgement.votes, start=1):
            points = vote.fault if vote.score is None else format(vote.score, "g")
            print(f"vote {number}: {points}\n{visible(vote.text)}\n")
        for passage in judgement.evidence:
            print(f"evidence: [{visible(passage.id)}] {visible(passage.text)}")
        score = "none" if judgement.score is None else f"{judgement.score:.2f} of 5"
        print(f"score: {score}  ({judgement.coverage:.0%} of {len(judgement.votes)} votes readable, judge {name})")


@app.command()
def chat(
    run: RunArgument,
    model: Annotated[str | None, typer.Option(help="Which model answers: m1, m2 ..., else the newest.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Answer this and leave.")] = None,
) -> None:
    """Talk to a model of a run, one instruction at a time; it does not remember earlier ones."""
    with exit_codes():
        name = chosen_model(run, model)
        from selfreward.asking import answer

        if prompt is not None:
            print(visible(answer(run / name, prompt)))
            return
        typer.echo(f"{name} of {run}. One instruction a line; Ctrl-D leaves.", err=True)
        while (line := _next_line()) is not None:
            if line.strip():
                print(visible(answer(run / name, line.strip())), flush=True)


def _next_line() -> str | None:
    """The next line of a person or a pipe; None at the end."""
    try:
        return input("> ") if sys.stdin.isatty() else input()
    except EOFError:
        return None


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """Name the shipped recipes."""
    with exit_codes():
        from selfreward.recipe import list_recipes

        recipes = list_recipes()
        if as_json:
            print_json(recipes)
            return
        width = max(len(name) for name in recipes)
        for name, line in recipes.items():
            print(f"{name:<{width}}  {line}")


@recipes_app.command("show")
def recipes_show(name: Annotated[str, typer.Argument(help="A shipped recipe, a YAML file or a run folder.")]) -> None:
    """Print a whole recipe as YAML, defaults included."""
    with exit_codes():
        from selfreward.recipe import load_recipe, to_yaml

        print(to_yaml(load_recipe(name)), end="")


@recipes_app.command("schema")
def recipes_schema() -> None:
    """Print the JSON Schema of a recipe, with the source of every default."""
    with exit_codes():
        from selfreward.recipe import schema

        print_json(schema())


def main() -> None:
    """The entry point of the installed command."""
    app()
