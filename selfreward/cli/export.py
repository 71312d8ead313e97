"""`selfreward export` and `push`: what a person takes along from a run, into a folder or to the hub."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from selfreward.cli.common import exit_codes

Source = Annotated[
    Path, typer.Argument(metavar="RUN[/MODEL]", help="A model of a run, as runs/micro/m3; for data, a round or a run.")
]


def export(
    source: Source,
    target: Annotated[Path, typer.Argument(help="The folder to write; it must not exist.")],
    what: Annotated[
        Literal["model", "pairs", "judgements", "sft", "eft"],
        typer.Option(
            help="The model, or data: of the round that made it, of the whole run, or of its seeds (sft, eft)."
        ),
    ] = "model",
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="Of data: trl, llama-factory, axolotl or parquet.  [default: trl]"),
    ] = None,
) -> None:
    """Write a model as a plain transformers folder, or data for other trainers, with a card."""
    with exit_codes():
        from selfreward.errors import BadInput
        from selfreward.export import export_data, export_model

        if what == "model":
            if format_name is not None:
                raise BadInput("has no effect on a model", "--format", "say what data with --what, or leave it out")
            export_model(source, target)
            typer.echo(f"{target}")
            return
        exported = export_data(source, target, [what], format_name or "trl")
        for file, rows in exported.rows.items():
            typer.echo(f"{target / file}: {rows} rows")
        for note in exported.notes:
            typer.echo(note, err=True)


def push(
    source: Annotated[Path, typer.Argument(metavar="RUN[/MODEL]", help="A run: its data; RUN/MODEL: that model.")],
    repo: Annotated[str, typer.Argument(help="The repository on the hub, as owner/name.")],
    public: Annotated[bool, typer.Option("--public", help="For everybody to see.  [default: private]")] = False,
    dry_run: Annotated[
        Path | None,
        typer.Option("--dry-run", metavar="FOLDER", help="Write here what would be sent, and send nothing."),
    ] = None,
) -> None:
    """Send a model, or the data of a run, to the hub, with a card; private unless told otherwise."""
    with exit_codes():
        from selfreward.export import hub

        if dry_run is not None:
            hub.write_pushed(source, dry_run)
            typer.echo(f"{dry_run}: nothing was sent")
        else:
            typer.echo(hub.push(source, repo, public))
