"""What the commands share: arguments, the ways to end, JSON on stdout, and the model of a run that is meant."""

import json
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from selfreward.text import visible

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout and nothing else there.")]

MOST_SHOWN = 300  # characters of a fault of our own
debugging: ContextVar[bool] = ContextVar("debugging", default=False)  # whether --debug was given


def _terminated(signum: int, frame: object) -> None:
    """SIGTERM ends a command as Ctrl-C does, so that a scheduler's stop is a clean one."""
    raise KeyboardInterrupt


@contextmanager
def exit_codes(on_interrupt: str = "interrupted") -> Iterator[None]:
    """Turns the ways a command may end into one line on stderr and an exit code; with --debug, and a traceback before it."""
    from selfreward.errors import BadInput, StageFailed

    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except typer.Exit:
        raise
    except (BadInput, StageFailed) as error:
        raise _ended(f"error: {error}", error.exit_code) from None
    except KeyboardInterrupt:
        raise _ended(on_interrupt, 130) from None
    except OSError as error:
        raise _ended(f"error: {error}; what was finished is kept", 3) from None
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:MOST_SHOWN]
        what = f"error: a fault of selfreward's own, {said}; what was finished is kept"
        raise _ended(f"{what}; see where with: selfreward --debug ...", 3) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _ended(line: str, code: int) -> typer.Exit:
    """Says how a command ended; what leaves it with this code."""
    if debugging.get():
        typer.echo(visible(traceback.format_exc()), err=True, nl=False)
    typer.echo(visible(line), err=True)
    return typer.Exit(code)


def warn_of_code(recipe: Any) -> None:
    """Says aloud, whatever else is to be quiet, that a model's own code will run."""
    if any(engine.trust_remote_code for engine in recipe.engines):
        what = f"engine.trust_remote_code: Python code that comes with {recipe.model} runs with all your rights"
        typer.echo(f"warning: {what}", err=True)


def print_json(value: Any) -> None:
    """JSON on stdout; control characters in it are escaped, those too that JSON would let stand."""
    print(visible(json.dumps(value, indent=2, ensure_ascii=False)))


def chosen_model(run: Path, name: str | None) -> str:
    """The model that is meant, the newest where none is named; BadInput where the run has none of that name."""
    from selfreward.store import RunFolder

    folder = RunFolder(run)
    chosen = name or folder.models()[-1]
    folder.model_path(chosen)
    warn_of_code(folder.recipe())
    return chosen
