"""Files of benchmarks: one JSON object a line, every one of which must be what it is taken for."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from selfreward.errors import BadInput

M = TypeVar("M", bound=BaseModel)


def read_lines(path: Path, model: type[M]) -> list[tuple[str, M]]:
    """(place, object) of every line that is not blank; BadInput with file:line for one that is not a `model`.

    Unlike the files of a run these were not written here: a last line that is torn is an error, as is a file without any.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", path) from None
    found = []
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        try:
            if line.strip():
                found.append((place, model.model_validate_json(line)))
        except ValidationError as error:
            raise BadInput(first_fault(error), place) from None
    if not found:
        raise BadInput("holds no line", path)
    return found


def first_fault(error: ValidationError) -> str:
    """Where the first fault of an object is, and what it is."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
