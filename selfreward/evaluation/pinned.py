"""Who judges an evaluation, pinned: the model and its weights, the words it is asked with, and how it is sampled.

Figures made by different judges do not compare, so every result holds the pin, and a folder of verdicts belongs to one.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from selfreward import store
from selfreward.engines import check_engine
from selfreward.engines.opening import judge_name
from selfreward.errors import BadInput
from selfreward.evaluation.answers import model_name
from selfreward.evaluation.mt_bench import judging
from selfreward.judges.grounded import check_shown, databases_of
from selfreward.judges.pairwise import SAMPLING, Read, begin_of
from selfreward.models import resolve_model
from selfreward.recipe import RECIPE_FILE, EngineOptions, Recipe, load_recipe, recipe_of
from selfreward.records import digest
from selfreward.stamp import weight_hashes
from selfreward.store import RunFolder
from selfreward.templates import Kind, render, text_hash

EVALS = Path("evals")  # where the folders of evaluations are that nobody gave a place
TEMPLATE = "forced_choice"
LENGTH = "length"  # the judge that looks at nothing but length
By = Literal["verdicts", "scores", "grades"]  # of a pair, of a response, of an answer in a chat


@dataclass(frozen=True)
class Pinned:
    """A judge that is ready to be opened."""

    by: By
    name: str
    pin: dict[str, Any]  # plain values: equal for judges whose figures compare
    recipe: Recipe | None  # None: the judge is a rule
    folder: str  # of its model; the name of a server's
    template: str
    read: Read

    @property
    def engine(self) -> EngineOptions:
        """What opens it; not for a rule."""
        assert self.recipe is not None, "a rule has no engine"
        return self.recipe.judge.engine or self.recipe.engine


def pinned(who: str, overrides: Sequence[str], by: By, template: str | None = None, read: Read | None = None) -> Pinned:
    """The judge that `who` names: `length`, RUN/mK, a model as in a recipe, or the address of a server.

    `overrides` are a recipe's: of the run, or of one with this model. Its `judge` section is what `by` scores uses, template
    and all; `template` and `read` are those of verdicts. BadInput for a judge that cannot be had, or would ignore what it is
    told, before anything is loaded.
    """
    if who == LENGTH:
        if by == "scores" or overrides or template or read:
            raise BadInput("length is a rule: it gives no scores and has no settings", "--judge")
        return Pinned(by, LENGTH, {"judge": LENGTH}, None, "", "", "written")
    if by == "scores" and (template or read):
        raise BadInput("scores are asked for by the recipe's judge", "--by", "say --set judge.template or judge.read")
    template, read = template or TEMPLATE, read or "written"
    recipe, model = _recipe_and_model(who, overrides)
    engine = recipe.judge.engine or recipe.engine
    server = engine.server.model
    folder = model() if server is None else server
    asked: dict[str, Any]
    if by == "scores":
        settings = recipe.judge.model_dump(mode="json", exclude={"engine"})
        asked = {"by": by, **settings, "seed": recipe.seed, **_words("judge", recipe.judge.template)}
        render("judge", recipe.judge.template, prompt="", response="")
        check_shown(recipe.judge)
        if found := databases_of([recipe.judge]):
            asked |= {"passages_sha256": found}
    elif by == "grades":
        asked = {"by": by, **asdict(judging.SAMPLING), **_words("turn", template)}
        render("turn", template, turns=[])
    else:
        sampling = asdict(SAMPLING) if read == "written" else {}
        asked = {"by": by, "read": read, **sampling, **_words("pairwise", template)}
        render("pairwise", template, prompt="", first="", second="")
        if read == "probabilities":
            begin_of(template)
    check_engine(engine)
    name = judge_name(engine, model_name(Path(who)) if _is_of_run(who) else who)
    weights = weight_hashes(folder) if server is None else {}
    pin = {"judge": name, "weights": weights, "engine": engine.name, "dtype": engine.dtype, **asked}
    return Pinned(by, name, pin, recipe, folder, template, read)


def _recipe_and_model(who: str, overrides: Sequence[str]) -> tuple[Recipe, Any]:
    """The recipe that says how the judge works, and what finds the folder of its model."""
    if who.startswith(("http://", "https://")):
        served = {"name": "judge", "judge": {"engine": {"name": "server", "server": {"url": who}}}}
        recipe = recipe_of(served, overrides, "--judge")
        if recipe.judge.engine is None or recipe.judge.engine.server.model is None:
            raise BadInput("which model judges?", who, "name it: --set judge.engine.server.model=NAME")
        return recipe, lambda: ""
    if _is_of_run(who):
        path = Path(who)
        return load_recipe(path.parent, overrides), lambda: RunFolder(path.parent).model_path(path.name)
    recipe = recipe_of({"name": "judge", "model": who}, overrides, "--judge")
    return recipe, lambda: resolve_model(recipe.model, recipe.revision, recipe.engine.trust_remote_code)


def _is_of_run(who: str) -> bool:
    return (Path(who).parent / RECIPE_FILE).is_file()


def _words(kind: Kind, template: str) -> dict[str, str]:
    return {"template": template, "template_sha256": text_hash(kind, template)}


def open_folder(file: str, said: dict[str, Any], to: Path | None, **also: Any) -> Path:
    """The folder of an evaluation, `evals/<hash>` of what was `said` of it where none is named; its `file` holds that, and `also`.

    BadInput where the folder holds something else, or an evaluation of which something else was said.
    """
    folder = to or EVALS / digest(json.dumps(said))
    path = folder / file
    if path.exists():
        there = store.read_json(path)
        if differ := [name for name in said if there.get(name) != said[name]]:
            raise BadInput(f"this folder has other {' and '.join(differ)}", folder, "give another folder with --to")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("holds something other than this evaluation", folder, "give a new folder with --to")
    else:
        store.write_json(path, {**said, **also})
    return folder
