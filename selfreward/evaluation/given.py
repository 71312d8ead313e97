"""Files that a person gives to an evaluation: every row is checked, and what is wrong is told with its place.

Nothing is skipped: unlike a run's own files, which may end on a line that was being written, these are whole or refused.
"""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from selfreward.errors import BadInput
from selfreward.recipe import Source
from selfreward.seeds.rows import RawRow, rows


class Row(BaseModel):
    """One row of a given file, frozen; fields that it does not name are of no use here and are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


R = TypeVar("R", bound=Row)


def read_given(path: Path, row: type[R]) -> list[tuple[str, R]]:
    """(place, row) of every row of a .json list or .jsonl file (also .gz), or of a .parquet; BadInput for the first bad one."""
    if not path.is_file():
        raise BadInput("no such file", path)
    found = [(raw.place, _checked(raw, row)) for raw in rows(Source(path=str(path)))]
    if not found:
        raise BadInput("holds no rows", path)
    return found


def _checked(raw: RawRow, row: type[R]) -> R:
    try:
        return row.model_validate(json.loads(raw.value) if isinstance(raw.value, bytes) else raw.value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        field = str(fault["loc"][0]) if fault["loc"] else ""
        given = "" if fault["type"] == "missing" or not field else f" (got {fault['input']!r:.60})"
        message = "not an object" if fault["type"] == "model_type" else fault["msg"].removeprefix("Value error, ")
        what = f"{field}: {message}{given}" if field else message
    except (ValueError, RecursionError) as error:
        what = f"not JSON: {error}"
    raise BadInput(what, raw.place)
