"""Text of models as HTML: escaped, control characters written out, what was searched for marked, long ones cut with a note."""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from selfreward.report.watched import duration, stage_line
from selfreward.text import visible

SHORT_CHARS, LONG_CHARS = 600, 20_000  # of a text in a list; on a page of its own, unless all of it is asked for
STATIC = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}


def clip(text: str, limit: int, terms: Sequence[str] = ()) -> Markup:
    """The first `limit` characters of a text, what was searched for marked, and a note of how many more there are."""
    shown = _marked(visible(text[:limit]), terms)
    if len(text) > limit:
        shown += Markup(' <span class="more">… {:,} more characters</span>').format(len(text) - limit)
    if not text:
        return Markup('<span class="more">(empty)</span>')
    return shown


def _marked(text: str, terms: Sequence[str]) -> Markup:
    if not terms:
        return escape(text)
    words = (re.escape(term.rstrip("*")) + (r"\w*" if term.endswith("*") else r"\b") for term in terms)
    pieces = re.split(rf"(?i)\b({'|'.join(words)})", text)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )


def bytes_text(size: int) -> str:
    """`1.2 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def points(score: float | None) -> str:
    """A score or a margin as it is read."""
    return "none" if score is None else f"{score:.2f}"


def html(template: str, **context: Any) -> str:
    """A page, or a part of one."""
    return _environment().get_template(f"{template}.jinja").render(**context)


def warm_up() -> None:
    """Compiles the templates, so that the first page does not wait for it."""
    environment = _environment()
    for name in environment.list_templates():
        environment.get_template(name)


def static(name: str) -> bytes:
    """A file that pages use, one of STATIC."""
    return (resources.files("selfreward.viewer") / "static" / name).read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("selfreward.viewer"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_plain,
    )  # fmt: skip
    environment.filters |= {
        "clip": clip, "bytes": bytes_text, "points": points, "duration": duration, "stage_line": stage_line, "segment": _segment,
    }  # fmt: skip
    environment.globals |= {"SHORT": SHORT_CHARS, "LONG": LONG_CHARS}
    return environment


def _plain(value: Any) -> Any:
    """Whatever a template puts out, whether or not somebody thought of it: no text has its control characters."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _segment(text: str) -> str:
    """A name as one part of an address."""
    return quote(text, safe="")
