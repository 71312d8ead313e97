"""The models that a command means: a whole run, one model of it, or a folder of weights of no run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selfreward.errors import BadInput
from selfreward.models import check_model_folder
from selfreward.recipe import RECIPE_FILE, Recipe
from selfreward.store import RunFolder


@dataclass(frozen=True)
class NamedModel:
    """A model, and the recipe by which it is asked."""

    label: str  # micro/m2: as it is shown
    name: str  # m2: as it stands in judgements
    folder: str  # its weights
    recipe: Recipe
    run: Path | None  # None: a folder of weights, asked with the defaults of a recipe


def named_models(paths: Sequence[Path]) -> list[NamedModel]:
    """The models of RUN (all that were trained), RUN/MODEL or a model's folder, in order, none twice. BadInput for others."""
    found = [model for path in paths for model in _models_of(path)]
    return list({model.label: model for model in found}.values())


def _models_of(path: Path) -> list[NamedModel]:
    if (path / RECIPE_FILE).is_file():
        names = RunFolder(path).models()[1:]  # M0 has not been taught to judge: ask for RUN/m0 to measure it
        if not names:
            raise BadInput("has no trained model yet", path, f"finish it with: selfreward run {path}")
        return [_of_run(path, name) for name in names]
    if (path.parent / RECIPE_FILE).is_file():
        return [_of_run(path.parent, path.name)]
    if not path.exists():
        raise BadInput("no such run or model", path, "give RUN, RUN/MODEL as runs/micro/m2, or a model's folder")
    check_model_folder(path)
    return [NamedModel(str(path), path.name, str(path), Recipe(name="model"), None)]


def _of_run(run: Path, name: str) -> NamedModel:
    folder = RunFolder(run)
    return NamedModel(f"{run.resolve().name}/{name}", name, folder.model_path(name), folder.recipe(), run)
