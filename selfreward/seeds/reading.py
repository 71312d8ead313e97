"""From the rows of a source to the examples and ranked sets in it; every row that cannot be used is named or counted."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from selfreward.errors import BadInput
from selfreward.recipe import Source
from selfreward.records import Example, RankedSet
from selfreward.seeds.forms import FORMS, form_of
from selfreward.seeds.forms.row import Form, Row
from selfreward.seeds.rows import RawRow, rows

LANGUAGE = "en"  # of the paper's seeds (section 3.1.1)


@dataclass(frozen=True)
class Read:
    """What a source holds."""

    form: str
    found: list[Example | RankedSet]
    counts: Counter[str]  # rows, bad_lines, and what the form left out, by reason


class _BadLine(ValueError):
    """A row that cannot be used, and why."""


def read(source: Source, bad_lines: Literal["error", "skip"]) -> Read:
    """Everything a source holds; its form is told from the first row that is an object, where none is named.

    BadInput where there is no row that can be used or the form is not known, and for the first bad line unless they are
    skipped.
    """
    counts: Counter[str] = Counter(rows=0, bad_lines=0)
    name: str | None = source.form
    checked: list[Row] = []
    for raw in rows(source):
        counts["rows"] += 1
        try:
            values = _object(raw)
            name = name or form_of(values, source.path)
            checked.append(_checked(FORMS[name], values))
        except _BadLine as fault:
            if bad_lines == "error":
                raise BadInput(f"bad line: {fault}", raw.place, "mend it, or set seeds.bad_lines=skip") from None
            counts["bad_lines"] += 1
    if name is None or not checked:
        raise BadInput(f"none of its {counts['rows']} rows can be used", source.path, "give data that have some")
    if source.language and not FORMS[name].has_language:
        raise BadInput(f"a language is asked for, data of the form {name} name none", source.path, "leave it out")
    found: list[Example | RankedSet] = []
    for one in FORMS[name].read(checked, source.language or LANGUAGE):
        if isinstance(one, str):
            counts[one] += 1
        else:
            found.append(one)
    return Read(name, found, counts)


def _object(raw: RawRow) -> dict[str, Any]:
    try:
        values = json.loads(raw.value) if isinstance(raw.value, bytes) else raw.value
    except (ValueError, RecursionError) as error:
        raise _BadLine(f"not JSON, {error}") from None
    if not isinstance(values, dict):
        raise _BadLine(f"not an object, but {type(values).__name__}")
    return values


def _checked(form: Form, values: dict[str, Any]) -> Row:
    try:
        return form.row.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        raise _BadLine(f"{place}: {message}" if place else message) from None
