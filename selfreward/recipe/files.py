"""Recipes as YAML: the shipped ones by name, files, run folders, and single values written over them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from selfreward.errors import BadInput, nearest
from selfreward.recipe.whole import Recipe

_SHIPPED = Path(__file__).parents[1] / "recipes"
RECIPE_FILE = "recipe.yaml"  # in a run folder
MOST_VALUES = 10_000  # in a recipe; one with all its defaults written out has fewer than 200


class _OneValuePerKey(yaml.SafeLoader):
    """YAML in which a key that stands twice is a fault; plain YAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _yaml(text: str, where: object) -> Any:
    """The plain values that YAML says; BadInput with the line where it says nothing."""
    try:
        values = _OneValuePerKey(text).get_single_data()
        if sum(1 for _ in islice(_all_values(values), MOST_VALUES + 1)) > MOST_VALUES:
            raise ValueError(f"it says more than {MOST_VALUES} values")
        return values
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        deep = "it is nested too deep, or within itself" if isinstance(error, RecursionError) else None
        reason = deep or " ".join(str(getattr(error, "problem", None) or error).split())
        raise BadInput(f"not YAML: {reason}", place, "mend the file") from None


def _all_values(value: Any) -> Iterator[Any]:
    """A value and all within it. What stands there once under a name may be meant, by aliases of aliases, a billion times."""
    yield value
    if isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _all_values(inner)


def list_recipes() -> dict[str, str]:
    """Name -> first comment line of every shipped recipe."""
    files = sorted(_SHIPPED.glob("*.yaml"))
    return {file.stem: file.read_text().partition("\n")[0].removeprefix("#").strip() for file in files}


def _recipe_file(name_or_path: str | Path) -> Path:
    """The YAML file that a shipped name, a file or a run folder stands for."""
    name, path = str(name_or_path), Path(name_or_path)
    shipped = list_recipes()
    if name in shipped:
        return _SHIPPED / f"{name}.yaml"
    if path.is_dir():
        if not (path / RECIPE_FILE).is_file():
            raise BadInput(f"not a run folder: it has no {RECIPE_FILE}", path, "give a recipe or a folder made by run")
        return path / RECIPE_FILE
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise BadInput("no such file or folder", path, "`selfreward recipes list` names the shipped recipes")
    raise BadInput("no such recipe", name, nearest(name, shipped))


def _override(values: dict[str, Any], text: str) -> None:
    """Writes `dpo.lr=1e-4` into plain values."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise BadInput("not an override", text, "write --set dpo.lr=1e-4")
    *sections, key = path.strip().split(".")
    inner = values
    for section in sections:
        below = inner.get(section)
        inner[section] = dict(below) if isinstance(below, Mapping) else {}
        inner = inner[section]
    inner[key] = _yaml(value, f"--set {path}")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by name, a YAML file, or the recipe of a run folder; overrides read `dpo.lr=1e-4`.

    Everything is validated before anything runs: BadInput names the file and every fault in it.
    """
    file = _recipe_file(name_or_path)
    try:
        values = _yaml(file.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {error}", file, "give a text file of YAML") from None
    if not isinstance(values, dict):
        raise BadInput("a recipe is a mapping of keys to values", file, "see `selfreward recipes show micro`")
    return recipe_of(values, overrides, file)


def recipe_of(values: Mapping[str, Any], overrides: Sequence[str], where: object) -> Recipe:
    """The recipe that plain values say once overrides are written over them; BadInput as `load_recipe`."""
    changed = dict(values)
    for override in overrides:
        _override(changed, override)
    return Recipe.of(changed, where)


def to_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML, every value written out; `load_recipe` reads it back to an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
