"""What is wrong with a recipe, in one message: every fault with its path, and the nearest name for an unknown key."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from selfreward.errors import nearest


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a type is or, where it is optional, holds."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _section(recipe: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that holds the key at `path`; None where `path` leads through something that is no section."""
    found = recipe
    for key in path[:-1]:
        field = found.model_fields.get(str(key))
        section = None if field is None else _model_in(field.annotation)
        if section is None:
            return None
        found = section
    return found


def faults(error: ValidationError, recipe: type[BaseModel], leaves: Sequence[str]) -> str:
    """Every fault of a recipe, one line each; `leaves` are paths in it that a key may have been meant for."""
    lines = []
    for fault in error.errors(include_url=False):
        path = ".".join(str(part) for part in fault["loc"]) or "the recipe"
        section = _section(recipe, fault["loc"])
        if fault["type"] == "extra_forbidden" and section is not None:
            key = str(fault["loc"][-1])
            elsewhere = [leaf for leaf in leaves if leaf.rpartition(".")[2] == key.rpartition(".")[2]]
            prefix = "".join(f"{part}." for part in fault["loc"][:-1])
            siblings = [f"{prefix}{name}" for name in section.model_fields]
            hint = f"did you mean {' or '.join(elsewhere)}?" if elsewhere else nearest(path, siblings)
            lines.append(f"{path}: unknown key, {hint}")
        elif fault["type"] == "missing":
            lines.append(f"{path}: is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
            value = fault["input"]
            hidden = isinstance(value, BaseModel | Mapping) or fault["loc"][-1:] in (("api_key_env",), ("url",))
            given = "" if hidden else f" (got {value!r:.60})"  # a key may have been written where its name belongs
            lines.append(f"{path}: {message}{given}")
    return lines[0] if len(lines) == 1 else f"{len(lines)} faults:\n  " + "\n  ".join(lines)
