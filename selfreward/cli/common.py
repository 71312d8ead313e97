"""What the commands share: arguments, the ways to end, JSON on stdout, and the model of a run that is meant."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout and nothing else there.")]


def _terminated(signum: int, frame: object) -> None:
    """SIGTERM ends a command as Ctrl-C does, so that a scheduler's stop is a clean one."""
    raise KeyboardInterrupt


@contextmanager
def exit_codes(on_interrupt: str = "interrupted") -> Iterator[None]:
    """Turns the ways a command may end into one line on stderr and an exit code."""
    from selfreward.errors import BadInput, StageFailed

    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except (BadInput, StageFailed) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo(on_interrupt, err=True)
        raise typer.Exit(130) from None
    except OSError as error:
        typer.echo(f"error: {error}; what was finished is kept", err=True)
        raise typer.Exit(3) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def warn_of_code(recipe: Any) -> None:
    """Says aloud, whatever else is to be quiet, that a model's own code will run."""
    if any(engine.trust_remote_code for engine in recipe.engines):
        what = f"engine.trust_remote_code: Python code that comes with {recipe.model} runs with all your rights"
        typer.echo(f"warning: {what}", err=True)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def chosen_model(run: Path, name: str | None) -> str:
    """The model that is meant, the newest where none is named; BadInput where the run has none of that name."""
    from selfreward.store import RunFolder

    folder = RunFolder(run)
    chosen = name or folder.models()[-1]
    folder.model_path(chosen)
    warn_of_code(folder.recipe())
    return chosen
