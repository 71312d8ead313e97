"""`selfreward eval human-form` and `human-read`: pairs for people to compare, and what they said."""

from pathlib import Path
from typing import Annotated

import typer

from selfreward.cli.common import AsJson, exit_codes, print_json

Side = Annotated[Path, typer.Argument(help="A model of a run, as runs/micro/m3, or a file of outputs.")]


def human_form(
    model_1: Side,
    model_2: Side,
    to: Annotated[Path, typer.Option("--to", help="The form to write: .html, or .csv for a spreadsheet.")],
    key: Annotated[
        Path | None, typer.Option(help="Whose response is whose: keep it away.  [default: beside the form, .key.json]")
    ] = None,
    num: Annotated[int, typer.Option(min=1, help="Prompts.")] = 50,
    seed: Annotated[int, typer.Option(help="Chooses prompts and sides.")] = 0,
) -> None:
    """Write pairs of two models' responses as a blind form for people, and its key into a file of its own."""
    with exit_codes():
        from selfreward.evaluation.human_form import blind_pairs, read_answers, write_form

        pairs, behind = blind_pairs(read_answers(model_1), read_answers(model_2), num, seed)
        key = key or to.with_suffix(".key.json")
        write_form(pairs, behind, to, key)
        alike = f", {behind.identical} more are answered alike by both" if behind.identical else ""
        typer.echo(f"{to}: {len(pairs)} pairs{alike}; the key is {key}")


def human_read(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Filled forms, one for each person.")],
    key: Annotated[Path, typer.Option(help="What human-form wrote beside the form.")],
    as_json: AsJson = False,
) -> None:
    """Read filled forms: the majority's wins, ties and losses, how far people agree, and the paper's figures."""
    with exit_codes():
        from selfreward.evaluation.human_answers import majority, read_annotators, read_key

        behind = read_key(key)
        found = majority(read_annotators(files, behind), behind)
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        from selfreward.report.people import render_people

        render_people(found, Console())
