"""`selfreward eval`: one command for each measurement of models; the work is in `selfreward.evaluation`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from selfreward.cli.common import AsJson, exit_codes, print_json

app = typer.Typer(help="Measure models: against one another and on public benchmarks.", no_args_is_help=True)


def _show(found: Mapping[str, Any], as_json: bool, render: Callable[[Mapping[str, Any], Any], None]) -> None:
    """A measurement on stdout, as JSON or as tables."""
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    render(found, Console())


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
