"""How a recipe names a function: one of ours by its name, one of the user's as `package.module:function`."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from selfreward.errors import BadInput, nearest

F = TypeVar("F", bound=Callable[..., Any])


def find(name: str, ours: Mapping[str, F], where: str) -> F:
    """The function of this name; BadInput where there is none. Modules beside the working folder can be named too."""
    if name in ours:
        return ours[name]
    module, _, function = name.partition(":")
    if not function or not module or module.startswith("."):
        raise BadInput(f"unknown name {name!r}", where, f"{nearest(name, ours)} Or name package.module:function")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found: F = getattr(import_module(module), function)
    except Exception as error:  # whatever the user's module raises while it is imported
        reason = str(error) or type(error).__name__
        raise BadInput(f"cannot import {name!r}: {reason}", where, "check module and function") from error
    if not callable(found):
        raise BadInput(f"{name!r} is no function", where, "check module and function")
    return found
