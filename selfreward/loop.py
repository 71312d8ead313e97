"""The whole method, in the paper's order: M0 -> SFT baseline -> M1 -> M2 -> M3 (arXiv 2401.10020, section 2.5).

Every step is a file or a folder of the run that is made once: running the same folder again goes on where it stopped.
"""

from functools import lru_cache
from pathlib import Path

from selfreward import store
from selfreward.engines import find_engine, open_engine
from selfreward.engines.base import Engine, Request, Sampling
from selfreward.evaluation.evaluate import evaluate
from selfreward.judges import llm, open_judge
from selfreward.named import find
from selfreward.progress import Progress
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Example, Judgement, Lesson, Response, digest, seed_of
from selfreward.responses import ranked_responses
from selfreward.round import Engines, Round, judge_into, opened
from selfreward.seeds import Seeds, build_eft, load_seeds
from selfreward.store import RunFolder, model_name, open_run
from selfreward.strategies import STRATEGIES
from selfreward.templates import render
from selfreward.training.train import train


def run(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Run a recipe in a folder, or go on with what the folder holds."""
    strategy = find(recipe.strategy, STRATEGIES, "strategy")
    check(recipe)
    with open_run(folder, recipe) as run_folder, opened(recipe.engine) as engines:
        progress.log = run_folder.log
        seeds = load_seeds(recipe, run_folder.folder(store.SEED_FOLDER))

        def model(k: int) -> str:
            return run_folder.model_path(model_name(k))

        def teach(k: int, lesson: Lesson) -> None:
            engines.close()  # training needs the memory
            store.write_json(run_folder.folder(model_name(k)) / store.LESSON_FILE, lesson.summary())
            train(lesson, model, run_folder.folder(model_name(k)), recipe, progress, run_folder.log)

        def measure(k: int) -> None:
            rivals = {model_name(j) for j in (-1, 1, k - 1) if j != 0 and -1 <= j < k}
            name = model_name(k)
            evaluate(name, model(k), run_folder.folder(name), sorted(rivals), recipe, seeds, engines, progress)

        teach(-1, Lesson(method="sft", examples=tuple(seeds.ift), start=0))  # the SFT baseline, on IFT alone
        measure(-1)
        eft = eft_seed(run_folder, recipe, seeds, engines, model(-1), progress)
        teach(1, Lesson(method="sft", examples=(*seeds.ift, *eft), start=0))  # M1, on IFT and EFT
        measure(1)
        for k in range(2, recipe.rounds + 2):
            round_ = Round(k, recipe, seeds, eft, run_folder.folder(model_name(k)), model, engines, progress)
            lesson = strategy(round_)
            store.write_json(round_.folder / store.COUNTS_FILE, round_.counts)
            teach(k, lesson)
            measure(k)


def eft_seed(
    run_folder: RunFolder, recipe: Recipe, seeds: Seeds, engines: Engines, baseline: str, progress: Progress
) -> list[Example]:
    """The EFT seed: the SFT baseline's own judgements, where they agree with people (section 3.1.1)."""
    folder = run_folder.folder(store.SEED_FOLDER)
    if not seeds.ranked:
        return []
    settings = recipe.judge.model_copy(
        update={
            "name": "llm", "votes": recipe.eft.attempts, "quorum": 1, "temperature": recipe.eft.temperature,
            "top_p": recipe.eft.top_p, "max_tokens": recipe.eft.max_tokens,
        }
    )  # fmt: skip
    judgements = judge_into(
        folder / store.EFT_JUDGEMENTS_FILE, ranked_responses(seeds.ranked),
        recipe.model_copy(update={"judge": settings}), engines, baseline, "sft", progress,
    )  # fmt: skip
    eft, counts = build_eft(seeds.ranked, judgements, recipe.judge.template, recipe.eft.max_share)
    store.write_once(folder / store.EFT_FILE, eft)
    store.write_json(folder / store.COUNTS_FILE, {"eft": counts})
    return eft


def check(recipe: Recipe) -> None:
    """BadInput for what a recipe names and there is not, before any work is done."""
    find_engine(recipe.engine.name)
    open_judge(recipe.judge.name)
    render("judge", recipe.judge.template, prompt="", response="")
    render("prompts", recipe.prompts.template, tasks=[""])


@lru_cache(maxsize=1)
def _engine(folder: Path, name: str) -> tuple[Recipe, Engine]:
    """The engine of a run's model; kept, so that a conversation loads it once."""
    recipe = load_recipe(folder)
    return recipe, open_engine(recipe.engine, RunFolder(folder).model_path(name))


def judge_one(folder: Path, name: str, prompt: str, response: str, votes: int) -> Judgement:
    """What a model of a run thinks of a response."""
    recipe, engine = _engine(folder, name)
    settings = recipe.judge.model_copy(update={"votes": votes, "quorum": 1})
    asked = Response(
        id=digest("asked", prompt, response), prompt_id=digest("prompt", prompt), prompt=prompt, text=response,
        model="you", sample=0, num_tokens=0, finished=True,
    )  # fmt: skip
    return llm.judge(engine, [asked], settings, name, recipe.seed)[0]


def answer(folder: Path, name: str, prompt: str) -> str:
    """A model's answer to a prompt."""
    recipe, engine = _engine(folder, name)
    settings = recipe.responses
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    request = Request("asked", prompt, 1, seed_of(recipe.seed, "chat", name, prompt))
    return engine.generate([request], sampling)[0][0].text
