"""`selfreward index`: a database of passages out of texts, for a judge that looks things up."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from selfreward.cli.common import AsJson, exit_codes, print_json


def index(
    source: Annotated[Path, typer.Argument(help="A file or a folder: text, Markdown, JSONL, JSON or Parquet.")],
    to: Annotated[Path, typer.Option("--to", metavar="DATABASE", help="The database to make; it must not exist.")],
    form: Annotated[
        Literal["sqlite", "tantivy"], typer.Option(help="sqlite: one file; tantivy: a folder (extra `tantivy`).")
    ] = "sqlite",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a database of passages in which a grounded judge looks things up (judge.database)."""
    with exit_codes("interrupted; nothing was made"):
        from selfreward.databases.building import build
        from selfreward.progress import open_progress

        counts = build(source, to, form, open_progress(quiet))
        if as_json:
            print_json({"database": str(to), **counts})
            return
        left_out = ", ".join(f"{fate.replace('_', ' ')} {n}" for fate, n in list(counts.items())[2:] if n)
        print(f"{to}: {counts['passages']} passages of {counts['files']} files")
        if left_out:
            print(f"left out: {left_out}")
