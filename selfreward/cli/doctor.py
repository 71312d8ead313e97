"""`selfreward doctor`: looks at this machine before a run does."""

from pathlib import Path
from typing import Annotated

import typer

from selfreward.cli.common import AsJson, exit_codes, print_json


def doctor(
    recipe: Annotated[
        str | None, typer.Argument(help="Look at what this recipe needs too: its model, engines and servers.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As in run; repeatable.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="Where the run is to lie.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Look at versions, hardware, disk, memory and servers, and say what to do. Exit code 3 where something is wrong."""
    with exit_codes():
        from selfreward.doctor import examine
        from selfreward.recipe import load_recipe

        found = examine(load_recipe(recipe, overrides or []) if recipe else None, to)
        if as_json:
            print_json(found)
        else:
            print("  ".join(f"{name} {version}" for name, version in found["versions"].items()))
            print("  ".join(f"{name}: {value}" for name, value in found["hardware"].items()))
            print("extras: " + "  ".join(f"{n} {'yes' if here else 'no'}" for n, here in found["extras"].items()))
            for one in found["findings"]:
                todo = f" -> {one['todo']}" if one["todo"] else ""
                print(f"{one['state']:<5} {one['name']}: {one['said']}{todo}")
        if any(one["state"] == "wrong" for one in found["findings"]):
            raise typer.Exit(3)
