"""`import selfreward as sr`: what the command does, as functions, and a run as an object.

A run and a model are named as on the command line: `runs/micro` is a run, or its newest model; `runs/micro/m2` is a model. What
ends badly raises `BadInput` (nothing was started) or `StageFailed` (what was made is kept).
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from selfreward import store
from selfreward.cli.common import warn_of_code
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import Recipe, recipe_of
from selfreward.recipe import load_recipe as read_recipe
from selfreward.records import Judgement, Pair, Prompt, Record, Response
from selfreward.responses import Responses, Samples
from selfreward.store import RunFolder, model_name, run_place

__all__ = [
    "BadInput", "Recipe", "Run", "StageFailed", "ask", "compare", "judge", "load_recipe", "load_run", "plan", "run", "verify",
]  # fmt: skip

Place = str | os.PathLike[str]  # a Run is one, too
R = TypeVar("R", bound=Record)


class Run:
    """A run on disk. Records are read from its files when they are looked at, so that a large run is no larger in memory.

    It may still be running: what its files hold by now is what there is.
    """

    def __init__(self, path: Place) -> None:
        self.path = Path(path)
        self._folder = RunFolder(self.path)
        self.recipe: Recipe = self._folder.recipe()

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, models={self.models()})"

    def models(self) -> list[str]:
        """Names of the models that can be used, oldest first: m0, sft, m1 ..."""
        return self._folder.models()

    def prompts(self, k: int) -> Sequence[Prompt]:
        """The new prompts of round k, which made M_k; BadInput where it has none yet."""
        return self._records(k, store.PROMPTS_FILE, Prompt)

    def responses(self, k: int) -> Sequence[Response]:
        """The responses of round k to its prompts, the N samples of a prompt one after the other; BadInput as `prompts`."""
        return Samples(self._records(k, store.RESPONSES_FILE, Responses))

    def judgements(self, k: int) -> Sequence[Judgement]:
        """The judgements of the responses of round k, with all their votes; BadInput as `prompts`."""
        return self._records(k, store.JUDGEMENTS_FILE, Judgement)

    def pairs(self, k: int) -> Sequence[Pair]:
        """The pairs that M_k was taught; BadInput as `prompts`, and where the strategy makes no pairs."""
        return self._records(k, store.PAIRS_FILE, Pair)

    def eval(self, model: str) -> dict[str, Any]:
        """What was measured of a model, as in its eval.json; BadInput where it was not measured yet."""
        self._folder.model_path(model)
        path = self.path / model / store.EVAL_FILE
        if not path.exists():
            raise BadInput(f"{model} has not been measured", self.path, f"go on with: selfreward run {self.path}")
        return dict(store.read_json(path))

    def tables(self) -> dict[str, Any]:
        """The tables that `selfreward show --json` prints."""
        from selfreward import report

        return report.tables(self.path)

    def _records(self, k: int, file: str, record_type: type[R]) -> store.Lines[R]:
        path = self.path / model_name(k) / file
        if not path.exists():
            there = [str(j) for j in range(2, self.recipe.rounds + 2) if (self.path / model_name(j) / file).exists()]
            todo = f"of these rounds there are some: {', '.join(there)}" if there else "no round has made any yet"
            raise BadInput(f"round {k} has no {file}", self.path, todo)
        return store.open_lines(path, record_type)


def load_recipe(recipe: Place | Recipe, set: Mapping[str, object] | None = None) -> Recipe:
    """A shipped recipe by name, a YAML file, that of a run folder, or one that is given, with other values: {"dpo.lr": 1e-4}.

    BadInput names every fault at once.
    """
    overrides = [f"{key}={json.dumps(value, default=str)}" for key, value in (set or {}).items()]
    if isinstance(recipe, Recipe):
        return recipe_of(recipe.model_dump(), overrides, recipe.name)
    return read_recipe(os.fspath(recipe), overrides)


def run(
    recipe: Place | Recipe, to: Place | None = None, set: Mapping[str, object] | None = None, quiet: bool = False
) -> Run:
    """Runs a recipe from M0 to the last model, in `to`, else in runs/NAME; a run folder goes on where it stopped.

    BadInput before anything is started, StageFailed where a stage could not finish.
    """
    from selfreward.loop import run as run_loop
    from selfreward.progress import open_progress

    loaded = load_recipe(recipe, set)
    folder = Path(to) if to is not None else run_place(None if isinstance(recipe, Recipe) else recipe, loaded)
    warn_of_code(loaded)
    run_loop(loaded, folder, open_progress(quiet))
    return Run(folder)


def load_run(path: Place) -> Run:
    """A run on disk, finished or not; BadInput where there is none."""
    return Run(path)


def judge(model: Place, prompt: str, response: str, votes: int = 3) -> Judgement:
    """What a model (of a run, RUN/mK, or a folder of weights) thinks of a response: its votes, and their mean in points, 0..5.

    The score is None where no vote could be read. The model stays loaded until another is asked.
    """
    from selfreward.asking import judge_one

    return judge_one(_aloud(Path(model)), prompt, response, votes)


def ask(model: Place, prompt: str) -> str:
    """A model's answer to a prompt; models are named as for `judge`."""
    from selfreward.asking import answer

    return answer(_aloud(Path(model)), prompt)


def plan(recipe: Place | Recipe, set: Mapping[str, object] | None = None) -> dict[str, Any]:
    """What a recipe will take, before anything runs: tokens, seconds, memory, disk and cost, as `selfreward plan --json`."""
    from selfreward import planning

    return planning.plan(load_recipe(recipe, set))


def verify(run: Place) -> dict[str, Any]:
    """What is wrong with a run on disk (`problems`, in words) and what was looked at; see `selfreward verify`."""
    from selfreward.verifying import verify as check

    return check(Path(run))


def compare(runs: Sequence[Place], force: bool = False) -> dict[str, Any]:
    """Runs beside one another, paired by prompt or by seed; BadInput for runs measured differently, unless forced."""
    from selfreward.report.comparing import compare as compare_runs

    return compare_runs([Path(run) for run in runs], force)


def _aloud(model: Path) -> Path:
    """The model, after a warning where code that comes with it will run."""
    from selfreward.evaluation.named_models import named_models

    warn_of_code(named_models([model])[-1].recipe)
    return model
