"""The prompts a model is given, as jinja2 templates: `judge/` asks for a judgement of one response, `pairwise/` which of two
is better, `turn/` for a grade of the last answer in a chat, `prompts/` for one more task.

`chat/` holds chat templates for models that bring none; `selfreward.chat` has transformers apply them.

A judge template may set `begin`: what a judge that is to give its points at once says before them, as it would write it
there. It may show `evidence`, passages with `id` and `text`. A template is named by its file, or is a .jinja file of the
user's. Texts of models and passages are data: they are put in once, verbatim, and never read as a template.
"""

import hashlib
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

from selfreward.errors import BadInput, nearest

Kind = Literal["judge", "pairwise", "turn", "prompts", "chat"]
SUFFIX = ".jinja"
FIELDS: dict[Kind, frozenset[str]] = {  # what a template of each kind must use, and all but MAY_USE that it can
    "judge": frozenset({"prompt", "response"}),
    "pairwise": frozenset({"prompt", "first", "second"}),
    "turn": frozenset({"turns"}),
    "prompts": frozenset({"tasks"}),
}
MAY_USE: dict[Kind, frozenset[str]] = {"judge": frozenset({"evidence"})}


def render(kind: Kind, template: str, **fields: object) -> str:
    """The prompt that a template makes of its fields; one that it may use and that is not given is empty.

    BadInput where there is no such template, where it is not valid, and where it uses other fields than FIELDS says.
    """
    try:
        return _compiled(kind, source(kind, template), template).render({**_optional(kind), **fields})
    except BadInput:
        raise
    except Exception as error:  # a template can divide by zero, add a number to a text, go round for ever
        raise BadInput(f"cannot be filled in: {error}", template, "mend the template") from error


def beginning(template: str, kind: Kind = "judge") -> str | None:
    """What a template of a judge sets as `begin`; None where it sets nothing. BadInput as `render`."""
    compiled = _compiled(kind, source(kind, template), template)
    try:
        begin = getattr(compiled.make_module({**_optional(kind), **dict.fromkeys(FIELDS[kind], "")}), "begin", None)
    except Exception as error:
        raise BadInput(f"cannot be filled in: {error}", template, "mend the template") from error
    return None if begin is None else str(begin)


def shows_evidence(template: str) -> bool:
    """Whether a judge template shows what was looked up. BadInput as `render`."""
    text = source("judge", template)
    _compiled("judge", text, template)
    return "evidence" in meta.find_undeclared_variables(SandboxedEnvironment().parse(text))


def template_names(kind: Kind) -> list[str]:
    """Names of the shipped templates of a kind."""
    folder = resources.files("selfreward.templates") / kind
    return sorted(file.name.removesuffix(SUFFIX) for file in folder.iterdir() if file.name.endswith(SUFFIX))


def source(kind: Kind, template: str) -> str:
    """The text of a template; BadInput where there is none."""
    if not template.endswith(SUFFIX):
        if template not in template_names(kind):
            where = f"{kind}.template"
            raise BadInput(f"no {kind} template {template!r}", where, nearest(template, template_names(kind)))
        return (resources.files("selfreward.templates") / kind / (template + SUFFIX)).read_text(encoding="utf-8")
    try:
        return Path(template).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # not there, not text, no name that a file can have
        todo = f"give a text file or a shipped template: {', '.join(template_names(kind))}"
        raise BadInput(f"cannot be read as a template: {error}", template, todo) from error


def text_hash(kind: Kind, template: str) -> str:
    """SHA-256 of a template's text: one that is edited under its name asks something else. BadInput where there is none."""
    return hashlib.sha256(source(kind, template).encode()).hexdigest()


@lru_cache(maxsize=8)
def _compiled(kind: Kind, source: str, name: str) -> Template:
    """The template, checked; keyed by its text, so that a file which was changed is read again."""
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    wanted = " and ".join(sorted(FIELDS[kind]))
    try:
        used = meta.find_undeclared_variables(environment.parse(source))
        if used - MAY_USE.get(kind, frozenset()) != FIELDS[kind]:
            said = ", ".join(sorted(used)) or "nothing"
            raise BadInput(f"a {kind} template uses {wanted}, this one {said}", name, "mend the template")
        return environment.from_string(source)
    except (TemplateError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"not a jinja2 template: {reason}", name, "mend the template") from error


def _optional(kind: Kind) -> dict[str, object]:
    return dict.fromkeys(MAY_USE.get(kind, ()), ())
