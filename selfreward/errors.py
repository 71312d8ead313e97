"""The two ways a command ends badly on purpose, each one line for the person who typed it: what, where, what to do.

Everything else that is raised is a fault of this program; the command says so in one line, and where with `--debug`.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


def nearest(name: str, choices: Iterable[str]) -> str:
    """`did you mean x?` for the choice closest to `name`, else the list of choices."""
    known = list(choices)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"choose from: {', '.join(known)}" if known else "there is nothing to choose from"


def few(names: Sequence[object], num: int = 5) -> str:
    """The first names, and how many more there are: `'a', 'b' and 7 more`; long ones are cut."""
    shown = ", ".join(f"{name!r:.40}" for name in names[:num])
    return f"{shown} and {len(names) - num} more" if len(names) > num else shown


def _sentence(what: str, where: str, todo: str) -> str:
    """`where: what; todo`, without the parts that are empty."""
    located = f"{where}: {what}" if where else what
    return f"{located}; {todo}" if todo else located


class BadInput(ValueError):
    """What the user gave cannot be used; nothing was started. The command exits with 2."""

    exit_code = 2

    def __init__(self, what: str, where: object = "", todo: str = "") -> None:
        super().__init__(_sentence(what, str(where), todo))


class StageFailed(RuntimeError):
    """A stage of a run could not finish; what it had made is kept. The command exits with 3.

    `made` are records of the batch that failed which were finished all the same: `store.fill` writes them.
    """

    exit_code = 3

    def __init__(self, what: str, where: object = "", todo: str = "", made: Sequence[Any] = ()) -> None:
        super().__init__(_sentence(what, str(where), todo))
        self.made = made
