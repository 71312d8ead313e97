"""`selfreward export-labels`: what a person marked in the viewer, as data."""

from pathlib import Path
from typing import Annotated

import typer

from selfreward.cli.common import RunArgument, exit_codes


def export_labels(
    run: RunArgument,
    target: Annotated[Path, typer.Argument(help="The .jsonl to write; it must not exist.")],
) -> None:
    """Write the pairs that a person marked in `selfreward view` as ranked data, which a recipe's seeds.ranked reads."""
    with exit_codes():
        from selfreward.labels import export_labels as write
        from selfreward.store import RunFolder

        RunFolder(run).recipe()
        typer.echo(f"{target}: {write(run, target)} labels")
