"""What `mkdocs build` does besides: pages made from code or lying outside of docs/, and links that lead to them.

The first page is the README, the settings are those of `selfreward.recipe`, and a file of code that a page links to becomes a page
under source/, so that the site is whole without a network.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from selfreward.recipe import Recipe, list_recipes
from selfreward.recipe.fields import Section

ROOT = Path(__file__).parents[1]
AT_THE_TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".jinja": "jinja", ".json": "json"}
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)([^)]*)\)")
awaited: set[str] = set()  # pages of the navigation that are not there


# The pages


def on_config(config: MkDocsConfig) -> None:
    """Leaves out of the navigation what is not there, and puts what nobody named at its end."""
    there = {path.name for path in (ROOT / "docs").glob("*.md")} | {*AT_THE_TOP.values(), "settings.md"}
    awaited.update(set(_named(config.nav or [])) - there)
    config.nav = _without_missing(config.nav or [], there)
    if more := sorted(there - set(_named(config.nav))):
        config.nav.append({"More": more})


def _without_missing(nav: list[Any], there: set[str]) -> list[Any]:
    kept = []
    for entry in nav:
        title, value = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(value, list):
            value = _without_missing(value, there)
        if value and (isinstance(value, list) or value in there):
            kept.append(value if title is None else {title: value})
    return kept


def _named(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from _named(value) if isinstance(value, list) else [value]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not in docs/."""
    for path, page in AT_THE_TOP.items():
        files.append(File.generated(config, page, content=_relinked((ROOT / path).read_text(), path, page)))
    files.append(File.generated(config, "settings.md", content=settings_page()))
    ahead = [*AT_THE_TOP, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    seen = set(ahead)
    while ahead:
        path = ahead.pop()
        for target in _targets(path):
            if target not in seen and not target.startswith("docs/"):
                seen.add(target)
                files.append(File.generated(config, _page_of(target), content=source_page(target)))
                if target.endswith(".md"):
                    ahead.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links of a page in docs/ to files outside into links to their pages."""
    if page.file.generated_by:
        return markdown
    return _relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def source_page(path: str) -> str:
    """A file of the repository, or all files of a folder, as a page."""
    file = ROOT / path
    if file.suffix == ".md":
        return _relinked(file.read_text(), path, _page_of(path))
    inner = sorted(one for one in file.iterdir() if one.is_file()) if file.is_dir() else [file]
    blocks = (f'````{LANGUAGES.get(one.suffix, "text")} title="{one.name}"\n{one.read_text()}````\n' for one in inner)
    return f"# {path}\n\n" + "\n".join(blocks)


# Links


def _targets(path: str) -> Iterator[str]:
    """Files and folders of the repository that a document links to."""
    for match in LINK.finditer((ROOT / path).read_text()):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        if "://" not in match[2] and (ROOT / target).exists():
            yield target


def _page_of(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path in AT_THE_TOP:
        return AT_THE_TOP[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"source/{path}" if path.endswith(".md") else f"source/{path}.md"


def _relinked(markdown: str, path: str, page: str) -> str:
    """A document whose links, written for where it lies, lead to pages of the site; those to awaited pages are words."""

    def lead(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        if _page_of(target) in awaited:
            return match[1]
        if "://" in match[2] or match[2].startswith("mailto:") or not (ROOT / target).exists():
            return match[0]
        return f"[{match[1]}]({posixpath.relpath(_page_of(target), posixpath.dirname(page) or '.')}{match[3]})"

    return LINK.sub(lead, markdown)


# Settings


def settings_page() -> str:
    """Every setting of a recipe: its default, the values it may have, and where the default comes from."""
    recipes = "".join(f"| `{name}` | {line} |\n" for name, line in list_recipes().items())
    parts = [
        "# Settings\n\nA recipe is a YAML file; every setting has a default, which is the paper's where it has one. Sections are "
        "those of arXiv 2401.10020. Written from the code, as `selfreward recipes schema` is.\n\n"
        f"| shipped recipe | is |\n|---|---|\n{recipes}",
        f"## The recipe\n\n{_table(Recipe)}",
    ]
    parts += [f"## {path}\n\n{section.__doc__}\n\n{_table(section)}" for path, section in _sections(Recipe)]
    return "\n".join(parts)


def _sections(model: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    for name, field in model.model_fields.items():
        kind = type(field.default)
        if issubclass(kind, Section):
            yield prefix + name, kind
            yield from _sections(kind, f"{prefix}{name}.")


def _table(model: type[Section]) -> str:
    """The settings of one section; sections inside have tables of their own."""
    properties = model.model_json_schema()["properties"]
    rows = []
    for name, field in model.model_fields.items():
        if isinstance(field.default, Section):
            continue
        default = "wanted" if field.is_required() else f"`{_written(field.default)}`"
        source = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name}` | {default} | {_values(properties[name])} | {source} |")
    return "| setting | default | values | source |\n|---|---|---|---|\n" + "\n".join(rows) + "\n" if rows else ""


def _written(value: object) -> str:
    """A default as YAML has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _values(schema: Mapping[str, Any]) -> str:
    """What a setting may be, in words, from its JSON Schema."""
    if "$ref" in schema:
        return "a section of its own"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_values(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null",
            "object": "mapping"}.get(schema.get("type", ""), "")  # fmt: skip
    if schema.get("type") == "array":
        return f"list of {_values(schema['items'])}" if "items" in schema else "list"
    limits = [f"{sign} {schema[key]:g}" for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"),
                                                         ("exclusiveMaximum", "<")) if key in schema]  # fmt: skip
    return " ".join([kind or "any", ", ".join(limits)]).strip()
