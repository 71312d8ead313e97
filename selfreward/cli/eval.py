"""`selfreward eval`: one command for each measurement of models; the work is in `selfreward.evaluation`."""

import typer

app = typer.Typer(help="Measure models: against one another and on public benchmarks.", no_args_is_help=True)
