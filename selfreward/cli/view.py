"""`selfreward view`: runs in a browser, on this machine alone."""

from pathlib import Path
from typing import Annotated

import typer

from selfreward.cli.common import exit_codes


def view(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN...]", help="Run folders, or folders of runs.  [default: runs]")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where it listens on 127.0.0.1; 0: any that is free.")
    ] = 8350,
) -> None:
    """Browse runs in a browser: their records, lineages of pairs, answers side by side; follow one that is running."""
    with exit_codes():
        from selfreward.viewer import require

        require()
        from selfreward.viewer.serving import serve

        serve(runs or [Path("runs")], port, lambda url: typer.echo(f"{url}   Ctrl-C ends it.", err=True))
