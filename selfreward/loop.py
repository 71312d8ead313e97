"""The whole method, in the paper's order: M0 -> SFT baseline -> M1 -> M2 -> M3 (arXiv 2401.10020, section 2.5).

Every step is a file or a folder of the run that is made once: running the same folder again goes on where it stopped.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from selfreward import store
from selfreward.chat import load_tokenizer
from selfreward.engines import check_engine, find_engine
from selfreward.engines.opening import Engines, opened
from selfreward.errors import BadInput, StageFailed
from selfreward.evaluation.early_stopping import choose_snapshot
from selfreward.evaluation.evaluate import evaluate, rivals_of
from selfreward.evaluation.reward_model import evaluate_reward_model
from selfreward.judges.filling import judge_into
from selfreward.judges.grounded import check_shown, databases_of, hold_databases
from selfreward.judges.shown import begin_of, judge_prompt
from selfreward.models import link_with_template, vocabulary_size
from selfreward.needs import check_used
from selfreward.pairing.people import human_pairs
from selfreward.progress import Progress
from selfreward.recipe import RECIPE_FILE, Recipe
from selfreward.records import Example, Lesson
from selfreward.report.html import refresh_report
from selfreward.responses import ranked_responses
from selfreward.round import Round
from selfreward.round_judges import check_judge
from selfreward.seeds import Seeds, build_eft, load_seeds, write_seeds
from selfreward.store import RunFolder, model_name, open_run
from selfreward.strategies import check_strategy
from selfreward.templates import render
from selfreward.tracking import check_trackers
from selfreward.training.adapters import check_adapter
from selfreward.training.processes import check_processes
from selfreward.training.train import train
from selfreward.weights import check_numbers


def run(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Run a recipe in a folder, or go on with what the folder holds."""
    check(recipe)
    check_engines(recipe, folder)
    # Before the folder is a run: a mended recipe would be another one, and refused there.
    seeds = load_seeds(recipe, folder / store.SEED_FOLDER)
    check_model(recipe, folder)
    with open_run(folder, recipe) as run_folder, opened(recipe.engine, run_folder.log) as engines:
        progress.log = run_folder.log
        if not is_finished(recipe, folder):
            hold_databases((one.judge for one in every_round(recipe)), run_folder.path)
        write_seeds(seeds, run_folder.folder(store.SEED_FOLDER))
        run_folder.seal(store.DATABASES_FILE, *(f"{store.SEED_FOLDER}/{name}" for name in store.SEED_FILES))

        def model(k: int) -> str:
            return run_folder.model_path(model_name(k))

        def teach(k: int, lesson: Lesson, beside: str = "") -> None:
            engines.close()  # training needs the memory
            folder = run_folder.folder(model_name(k) + beside)
            store.write_json(folder / store.LESSON_FILE, lesson.summary())
            log = partial(run_folder.log, within=model_name(k)) if beside else run_folder.log
            train(lesson, model, folder, recipe.of_round(k), progress, log, run_folder.attempt)
            if (folder / store.SNAPSHOTS_FOLDER).exists():
                judge = model_name(k - 1), model(k - 1)
                choose_snapshot(folder, judge, recipe.of_round(k), seeds.validation, engines, progress)
            made = (store.LESSON_FILE, *store.EARLY_STOPPING_FILES, store.MODEL_FOLDER)
            run_folder.seal(*(f"{model_name(k)}{beside}/{name}" for name in made))

        def measure(k: int) -> None:
            name, before = model_name(k), [model_name(j) for j in (-1, *range(1, k)) if j < k]
            evaluate(name, model(k), run_folder.folder(name), rivals_of(before), recipe, seeds, engines, progress)
            run_folder.seal(*(f"{name}/{file}" for file in store.EVAL_FILES))
            refresh_report(run_folder.path, name)

        def reward_model() -> Path:
            engines.close()
            return reward_model_of(run_folder, recipe, seeds, model, progress)

        teach(-1, Lesson(method="sft", examples=tuple(seeds.ift), start=0))  # the SFT baseline, on IFT alone
        measure(-1)
        eft = eft_seed(run_folder, recipe, seeds, engines, model(-1), progress)
        teach(1, Lesson(method="sft", examples=(*seeds.ift, *eft), start=0))  # M1, on IFT and EFT
        measure(1)
        for k in range(2, recipe.rounds + 2):
            folder = run_folder.folder(model_name(k))
            round_ = Round(
                k, recipe.of_round(k), seeds, eft, folder, model, engines, progress, partial(teach, k), reward_model
            )
            lesson = check_strategy(round_.recipe)(round_)
            store.write_json(round_.folder / store.COUNTS_FILE, round_.counts)
            run_folder.seal(f"{model_name(k)}/{store.COUNTS_FILE}")
            teach(k, lesson)
            measure(k)


def eft_seed(
    run_folder: RunFolder, recipe: Recipe, seeds: Seeds, engines: Engines, baseline: str, progress: Progress
) -> list[Example]:
    """The EFT seed: the SFT baseline's own judgements, where they agree with people (section 3.1.1).

    StageFailed where none of them does: M1 would be the baseline once more.
    """
    folder = run_folder.folder(store.SEED_FOLDER)
    if not seeds.ranked:
        return []
    options = recipe.eft
    settings = recipe.judge.model_copy(
        update={
            "name": recipe.judge.own_name,
            "votes": options.attempts,
            "quorum": 1,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
            "read": "votes",  # an example is a judgement in words
            "engine": None,
        }
    )
    path = folder / store.EFT_JUDGEMENTS_FILE
    judgements = judge_into(
        path, ranked_responses(seeds.ranked), settings, recipe, engines, baseline, model_name(-1), progress
    )
    eft, counts = build_eft(seeds.ranked, judgements, recipe.judge.template, options.max_share, options.min_words)
    store.write_once(folder / store.EFT_FILE, eft)
    counted = folder / store.COUNTS_FILE
    store.write_json(counted, {**(store.read_json(counted) if counted.exists() else {}), "eft": counts})
    made = (store.EFT_JUDGEMENTS_FILE, store.EFT_FILE, store.COUNTS_FILE)
    run_folder.seal(*(f"{store.SEED_FOLDER}/{name}" for name in made))
    if not eft:
        what = f"of {counts['sets']} ranked sets not one became a judgement to learn from; its counts say why"
        raise StageFailed(what, counted, "raise eft.attempts or eft.max_tokens, or do without: seeds.num_eft_prompts=0")
    return eft


def every_round(recipe: Recipe) -> list[Recipe]:
    """The recipe, and where a schedule makes rounds different that of each."""
    return [recipe, *(recipe.of_round(k) for k in range(2, recipe.rounds + 2) if recipe.schedule)]


def reward_model_of(
    run_folder: RunFolder, recipe: Recipe, seeds: Seeds, model: Callable[[int], str], progress: Progress
) -> Path:
    """The folder of the run's reward model, trained on people's rankings and measured the first time it is asked for."""
    folder = run_folder.folder(store.REWARD_MODEL_FOLDER)
    pairing = human_pairs(seeds.ranked)
    start = {"m0": 0, "sft": -1, "m1": 1}[recipe.reward_model.start]
    lesson = Lesson(method="reward", pairs=tuple(pairing.pairs), start=start)
    store.write_json(folder / store.COUNTS_FILE, {"pairs": pairing.counts})
    store.write_json(folder / store.LESSON_FILE, lesson.summary())
    finished = train(lesson, model, folder, recipe, progress, run_folder.log, run_folder.attempt)
    evaluate_reward_model(folder, recipe, seeds, progress)
    run_folder.seal(store.REWARD_MODEL_FOLDER)
    return finished


def check(recipe: Recipe) -> None:
    """BadInput for what a recipe names and there is not, before any work is done."""
    check_adapter(recipe.adapter)
    check_trackers(recipe.tracking)
    for one in every_round(recipe):
        check_processes(one)
        for engine in one.engines:
            find_engine(engine.name)
        check_judge(one)
        judge_prompt(one.judge.template, "", "")
        check_shown(one.judge)
        if one.judge.read == "direct":
            begin_of(one.judge)
        render("prompts", one.prompts.template, tasks=[""])
        check_strategy(one)
    check_used([recipe.of_round(k) for k in range(2, recipe.rounds + 2)])


def check_model(recipe: Recipe, folder: Path) -> None:
    """BadInput where the tokenizer of M0 or its chat template cannot be used, or its weights hold numbers that are none.

    Not asked where the folder is a run already.
    """
    if (folder / RECIPE_FILE).exists():
        return
    model = store.base_model(recipe, folder)
    template = store.template_of(recipe, model)
    with TemporaryDirectory() as linked:
        if template is not None:
            link_with_template(model, template, Path(linked))
        tokenizer = load_tokenizer(linked if template is not None else model, recipe.engine.trust_remote_code)
    embedded = vocabulary_size(model)
    if embedded is not None and len(tokenizer) > embedded:
        what = f"its tokenizer has {len(tokenizer)} tokens, and its config.json embeddings for {embedded}"
        raise BadInput(what, recipe.model, "fetch or copy the model again, tokenizer and weights together")
    check_numbers(model)


def check_engines(recipe: Recipe, folder: Path) -> None:
    """BadInput where an engine or a database that is still needed cannot be opened: hours may lie before it is asked."""
    last = folder / model_name(recipe.rounds + 1)
    if not is_finished(recipe, folder):
        check_engine(recipe.engine)
        databases_of(one.judge for one in every_round(recipe))
    asked_last = store.MODEL_FOLDER if recipe.training.early_stopping else store.LESSON_FILE
    if recipe.judge.engine and not (last / asked_last).exists():
        check_engine(recipe.judge.engine)


def is_finished(recipe: Recipe, folder: Path) -> bool:
    """Whether the last model of a run is measured."""
    return (folder / model_name(recipe.rounds + 1) / store.EVAL_FILE).exists()
