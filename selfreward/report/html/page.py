"""A page of sections: the template, its style, and a policy that lets it load, run and send nothing."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from selfreward import __version__
from selfreward.errors import BadInput
from selfreward.report.html.blocks import Section, Text
from selfreward.text import visible

T = TypeVar("T")
_GENERATOR = 'name="generator" content="selfreward'  # by which a page of ours is known


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole page. Every text is escaped, and its control characters are written out, whoever wrote it."""
    style = _file("style.css")
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    environment = Environment(
        undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    template = environment.from_string(_file("page.jinja"))
    return template.render(
        title=title, sections=sections, style=Markup(style), style_hash=allowed, version=__version__
    )  # fmt: skip


def check_target(path: Path) -> None:
    """BadInput where a page cannot be written without the loss of something else: a folder, or a file that is no page of ours."""
    if path.is_dir():
        raise BadInput("is a folder", path, "give the name of a file with --to")
    if path.exists() and _GENERATOR.encode() not in path.read_bytes()[:2000]:
        raise BadInput("is there already, and is no report", path, "give another name with --to")


def part(make: Callable[[T], Section], of: T) -> Section:
    """A section; one in its place that says so, where a file holds what no run writes there."""
    try:
        return make(of)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # BadInput is a ValueError
        name = make.__name__.replace("_", " ")
        said = f"This part could not be made, a file of the run holds what no run writes there: {error}"
        return Section(make.__name__, name.capitalize(), "", [Text(said, "alarm")])


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _file(name: str) -> str:
    return (resources.files("selfreward.report.html") / name).read_text(encoding="utf-8")
