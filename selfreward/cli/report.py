"""`selfreward report`: a run, or several beside one another, as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from selfreward.cli.common import exit_codes

SEVERAL = Path("runs-compared.html")


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN [RUN...]", help="Run folders; the first is compared with.")
    ],
    to: Annotated[
        Path | None, typer.Option(help=f"The file to write, else report.html in the run, or {SEVERAL} for several.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also runs that were measured differently.")] = False,
) -> None:
    """Write a page that explains a run, or several beside one another: one HTML file, to be opened offline."""
    with exit_codes():
        from selfreward.report.html import write_report

        if len(runs) == 1:
            written = write_report(runs[0], to)
        else:
            from selfreward.report.html.several import write_several

            written = write_several(runs, to or SEVERAL, force)
        typer.echo(f"{written}")
