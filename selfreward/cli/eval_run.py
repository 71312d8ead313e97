"""`selfreward eval RUN`: a whole run measured in one go."""

from typing import Annotated, Literal

import typer

from selfreward.cli.common import AsJson, RunArgument, exit_codes, print_json
from selfreward.cli.eval_options import Judge, Quiet, ReadFrom, Settings, Template, warn


def run(
    run: RunArgument,
    judge: Judge = None,
    by: Annotated[
        Literal["verdicts", "scores"] | None,
        typer.Option(help="A verdict on the pair, or the higher of two scores.  [default: verdicts]"),
    ] = None,
    settings: Settings = None,
    template: Template = None,
    read: ReadFrom = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a whole run: head to head, kinds of prompts, judges and lengths, beside the paper's. `eval RUN` is short for it.

    In the micro-world the oracle compares answers; elsewhere, and wherever an option says so, the judge does: by default
    the newest model of the run. What is missing is made first, and kept.
    """
    with exit_codes("interrupted; the same command goes on"):
        from selfreward import report
        from selfreward.evaluation.pinned import pinned
        from selfreward.evaluation.whole_run import complete, measure_run, trained_models
        from selfreward.progress import open_progress
        from selfreward.report.whole_run import render_whole_run, with_tables
        from selfreward.store import RunFolder

        folder, progress = RunFolder(run), open_progress(quiet)
        names = trained_models(folder)
        who = None
        if judge or by or settings or template or read or not folder.recipe().seeds.is_micro:
            who = pinned(judge or str(run / names[-1]), settings or [], by or "verdicts", template, read)
            warn(who, [run / name for name in names[:1]])
        complete(folder, progress)
        found = with_tables(measure_run(folder, who, progress), report.tables(run))
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        render_whole_run(found, Console())
