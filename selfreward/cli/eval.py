"""`selfreward eval`: one command for each measurement of models; the work is in `selfreward.evaluation`."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from selfreward.cli import eval_judges, eval_people, eval_run
from selfreward.cli.common import AsJson, chosen_model, exit_codes, print_json
from selfreward.cli.eval_options import By, Judge, Quiet, ReadFrom, Settings, Template, warn


class RunsAndCommands(typer.core.TyperGroup):
    """`eval RUN` is `eval run RUN`, for a folder or whatever is written as a path; a command's name comes first."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is meant, and its arguments."""
        is_path = args[0] not in self.commands and (os.sep in args[0] or Path(args[0]).is_dir())
        return super().resolve_command(ctx, ["run", *args] if is_path else args)


app = typer.Typer(
    cls=RunsAndCommands,
    help="Measure models. `selfreward eval RUN` measures a whole run; the commands do one thing each.",
    no_args_is_help=True,
)

Side = Annotated[Path | None, typer.Argument(help="A model of a run, as runs/micro/m3, or a file of outputs.")]
To = Annotated[Path | None, typer.Option(help="The folder of the verdicts; else evals/<hash of who plays and judges>.")]
Prompts = Annotated[
    Path | None, typer.Option(help="What models of runs are to answer; else the outputs' or held-out ones.")
]
Force = Annotated[bool, typer.Option("--force", help="Take figures of different judges together.")]


@app.command("head-to-head")
def head_to_head(
    model_1: Side = None,
    model_2: Side = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(help='Count these: a line {"id", "order": 0 or 1, "winner": 1, 2, 0 or null} for each verdict.'),
    ] = None,
    judge: Judge = None,
    by: By = "verdicts",
    settings: Settings = None,
    template: Template = None,
    read: ReadFrom = None,
    prompts: Prompts = None,
    to: To = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Wins, ties and losses of one model against another, each prompt judged in both orders."""
    with exit_codes("interrupted; the same command goes on"):
        from selfreward.errors import BadInput

        if verdicts is not None:
            _refuse("--verdicts", model_1, judge, settings, template, read, prompts, to)
            from selfreward.evaluation.verdicts import read_verdicts, tally

            _print_head_to_head(tally(read_verdicts(verdicts, force)), as_json)
            return
        if not (model_1 and model_2 and judge):
            raise BadInput("who plays, and who judges?", "head-to-head", "give two models and --judge, or --verdicts")
        from selfreward.evaluation.match import answers_of, match, open_match
        from selfreward.evaluation.pinned import pinned
        from selfreward.progress import open_progress

        who = pinned(judge, settings or [], by, template, read)
        sides = (model_1, model_2)
        folder, progress = open_match(sides, prompts, who, to), open_progress(quiet)
        warn(who, sides)
        found = match(answers_of(sides, prompts, folder, progress), who, folder, progress)
        _print_head_to_head(found, as_json)
        typer.echo(f"match: {folder}", err=True)


@app.command()
def matches(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of matches, as evals/<hash>.")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Results of matches side by side, and the paper's; of one judge, unless forced."""
    with exit_codes():
        from selfreward.evaluation.match import results

        found = results(folders, force)
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        from selfreward.report.evals import render_matches

        render_matches(found, Console())


@app.command()
def alpaca(
    model: Side = None,
    annotations: Annotated[
        list[Path] | None, typer.Option(help="annotations.json of a model; repeatable: a line for each.")
    ] = None,
    outputs: Annotated[Path | None, typer.Option(help="model_outputs.json, to be checked against annotations.")] = None,
    reference: Annotated[Path | None, typer.Option(help="The outputs that the model is compared with.")] = None,
    length_controlled: Annotated[
        bool, typer.Option("--length-controlled", help="The rate at equal lengths too.")
    ] = False,
    difficulty: Annotated[Path | None, typer.Option(help="df_gamed.csv of AlpacaEval: its own length control.")] = None,
    judge: Judge = None,
    settings: Settings = None,
    template: Template = None,
    read: ReadFrom = None,
    to: To = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """AlpacaEval 2.0: win rates from annotations, or of a model that is annotated here."""
    with exit_codes("interrupted; the same command goes on"):
        from selfreward.errors import BadInput
        from selfreward.evaluation.alpaca import leaderboard

        if bool(annotations) == bool(model):
            raise BadInput("give a model, or its --annotations", "alpaca")
        if annotations:
            _refuse("--annotations", judge, settings, template, read, to)
        if model is not None:
            if not (reference and judge):
                raise BadInput(
                    "a model is compared with something by somebody", "alpaca", "give --reference and --judge"
                )
            from selfreward.evaluation.annotate import annotate
            from selfreward.evaluation.match import answers_of, open_match
            from selfreward.evaluation.pinned import pinned
            from selfreward.progress import open_progress

            _refuse("a model", outputs)
            who = pinned(
                judge, settings or [], "verdicts", template, read or (None if judge == "length" else "probabilities")
            )
            sides = (model, reference)
            folder, progress = open_match(sides, None, who, to), open_progress(quiet)
            warn(who, sides)
            ours, theirs = answers_of(sides, None, folder, progress)
            annotations, reference = [annotate(ours, theirs, who, folder, progress)], None
            typer.echo(f"annotations: {annotations[0]}", err=True)
        found = leaderboard(annotations or [], outputs, reference, length_controlled, difficulty, force)
        if as_json:
            print_json(found[0] if len(found) == 1 else found)
            return
        from rich.console import Console

        from selfreward.report.evals import render_alpaca

        render_alpaca(found, Console())


@app.command("alpaca-outputs")
def alpaca_outputs(
    model: Annotated[Path, typer.Argument(metavar="RUN/MODEL", help="A model of a run, as runs/micro/m3.")],
    prompts: Annotated[Path, typer.Option(help="A .json or .jsonl file with an `instruction` in each row.")],
    to: Annotated[Path, typer.Option(help="The model_outputs.json to write; it must not exist.")],
    quiet: Quiet = False,
) -> None:
    """Write the answers of a model of a run as AlpacaEval's model_outputs.json."""
    with exit_codes("interrupted; the same command goes on"):
        from selfreward.evaluation.annotate import write_outputs
        from selfreward.progress import open_progress

        write_outputs(model, prompts, to, open_progress(quiet))
        typer.echo(f"{to}")


def _refuse(where: str, *others: object) -> None:
    """BadInput where something was given besides that would have no effect."""
    if any(other for other in others):
        from selfreward.errors import BadInput

        raise BadInput("is given with something that would have no effect", where, "give the one or the other")


def _print_head_to_head(found: dict[str, Any], as_json: bool) -> None:
    from selfreward.report.evals import render_head_to_head

    _show(found, as_json, render_head_to_head)


@app.command()
def ifeval(
    prompts: Annotated[Path, typer.Option(help="Lines {key, prompt, instruction_id_list, kwargs}.")],
    responses: Annotated[Path, typer.Option(help="Lines {prompt, response}.")],
    as_json: AsJson = False,
) -> None:
    """IFEval: the share of instructions that responses follow, as a program can check."""
    with exit_codes():
        from selfreward.evaluation import ifeval as benchmark
        from selfreward.report.benchmarks import render_ifeval

        tasks = benchmark.read_tasks(prompts)
        texts, unused = benchmark.read_responses(responses, tasks)
        _show({**benchmark.ifeval(tasks, texts), "unused_responses": unused}, as_json, render_ifeval)


@app.command("mt-bench")
def mt_bench(
    questions: Annotated[Path, typer.Option(help="Lines {question_id, category, turns, reference}.")],
    side: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A model of a run, as runs/micro/m3, or a file of answers.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="Correct answers, in the form of answers, in place of the questions' own.")
    ] = None,
    judgements: Annotated[
        Path | None, typer.Option(help="Take these together: a line {question_id, turn, score or null} for each.")
    ] = None,
    judge: Judge = None,
    settings: Settings = None,
    template: Annotated[str, typer.Option(help="What the judge is asked: grade, or a .jinja file.")] = "grade",
    to: To = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """MT-Bench: chats of two turns, each answer graded 1 to 10 by a judge; or grades from elsewhere."""
    with exit_codes("interrupted; the same command goes on"):
        from selfreward.errors import BadInput
        from selfreward.report.benchmarks import render_mt_bench

        if judgements is not None:
            if side or judge:
                raise BadInput("stands for model and judge", "--judgements", "give the one or the others")
            from selfreward.evaluation.mt_bench.files import read_judgements, read_questions
            from selfreward.evaluation.mt_bench.table import mt_bench as taken_together

            asked = read_questions(questions, references)
            _show(taken_together(asked, read_judgements(judgements, asked)), as_json, render_mt_bench)
            return
        if not (side and judge):
            raise BadInput("who answers, and who judges?", "mt-bench", "give a model and --judge, or --judgements")
        from selfreward.evaluation.mt_bench.measure import Job, measure
        from selfreward.evaluation.pinned import pinned
        from selfreward.progress import open_progress

        who = pinned(judge, settings or [], "grades", template)
        if side.suffix != ".jsonl":  # a mistyped file is told as one
            warn(who, [side])
        found = measure(Job(questions, references, side), who, to, open_progress(quiet))
        _show(found, as_json, render_mt_bench)


@app.command()
def nlp(
    model: Annotated[Path, typer.Argument(metavar="RUN/MODEL", help="A model of a run, as runs/micro/m3.")],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="ARC-E, MMLU ..., a task of lm-eval, a .jsonl or .yaml file; several with commas, or repeated.  "
            "[default: the paper's nine]"
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many questions of each task, for a trial.")] = None,
    as_json: AsJson = False,
) -> None:
    """The paper's NLP benchmarks, and tasks from files, through lm-eval."""
    with exit_codes():
        from selfreward.evaluation.nlp import TASKS
        from selfreward.evaluation.nlp import nlp as measure
        from selfreward.report.benchmarks import render_nlp

        names = [name for some in tasks or TASKS for name in some.split(",")]
        chosen_model(model.parent, model.name)
        _show(measure(model, names, limit), as_json, render_nlp)


def _show(found: Mapping[str, Any], as_json: bool, render: Callable[[Mapping[str, Any], Any], None]) -> None:
    """A measurement on stdout, as JSON or as tables."""
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    render(found, Console())


app.command("run")(eval_run.run)
app.command("reward-model")(eval_judges.reward_model)
app.command("judge")(eval_judges.judge)
app.command("human-form")(eval_people.human_form)
app.command("human-read")(eval_people.human_read)
