"""A whole run measured in one go: its models against one another, as judges, and how long their answers are.

The figures of the paper's section 3 that need no benchmark from outside: head to head (figure 3) whole and by kind of prompt
(figure 4, appendix A.6), reward modelling (table 4), lengths. What the run has measured is read; what it lacks is made.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from statistics import fmean
from typing import Any

from selfreward import store
from selfreward.engines import check_engine
from selfreward.engines.opening import opened
from selfreward.errors import BadInput
from selfreward.evaluation.answers import identity, model_name
from selfreward.evaluation.evaluate import answer_held_out, evaluate, held_out_prompts, measured_judge, rivals_of
from selfreward.evaluation.match import answers_of, match, open_match
from selfreward.evaluation.pinned import Pinned
from selfreward.progress import Progress
from selfreward.records import Response
from selfreward.responses import Responses
from selfreward.seeds import load_seeds
from selfreward.statistics import mean_ci
from selfreward.store import RunFolder, open_run

ORACLE = {"judge": "oracle", "by": "points of every sample against every sample"}  # the pin of the micro-world's


def trained_models(run: RunFolder) -> list[str]:
    """The models of a run that were taught something, oldest first; BadInput where there is none."""
    names = run.models()[1:]  # M0 has not been taught to answer
    if not names:
        raise BadInput("has no trained model yet", run.path, f"finish it with: selfreward run {run.path}")
    return names


def complete(run: RunFolder, progress: Progress) -> None:
    """Measures the models of a run that were not measured, or have not answered the held-out prompts; into the run's folder.

    BadInput where a process is running there; nothing is opened where nothing is missing.
    """
    recipe = run.recipe()
    seeds = load_seeds(recipe, run.path / store.SEED_FOLDER)
    prompts = held_out_prompts(recipe, seeds)
    names = trained_models(run)
    # By number: a release that draws other prompts in the micro-world asks nothing more of a run that was measured.
    lacking = [
        name
        for name in names
        if not (run.path / name / store.EVAL_FILE).exists() or len(_lines(run, name)) < len(prompts)
    ]
    if not lacking:
        return
    check_engine(recipe.engine)
    with open_run(run.path, recipe) as locked, opened(recipe.engine, locked.log) as engines:
        progress.log = locked.log
        for name in lacking:
            weights, folder, before = locked.model_path(name), locked.folder(name), names[: names.index(name)]
            answer_held_out(prompts, name, weights, folder, recipe, engines, progress)
            evaluate(name, weights, folder, rivals_of(before), recipe, seeds, engines, progress)
            locked.seal(*(f"{name}/{file}" for file in store.EVAL_FILES))
        progress.log = None


def measure_run(run: RunFolder, judge: Pinned | None, progress: Progress) -> dict[str, Any]:
    """The figures of a run that is `complete`; `judge` compares its models' answers, and in the micro-world the oracle.

    `head_to_head` is a list: each model against the SFT baseline, M1 and its predecessor, as `match` and `micro.meeting` give
    it, with `models` and `judge`. `lengths` are by model: `chars` and `words` of an answer, means over prompts, and how many
    answers are `empty` or `unfinished`. `made_by` says how answers were sampled and judged in the run.
    """
    names, recipe = trained_models(run), run.recipe()
    pairs = [(name, rival) for place, name in enumerate(names) for rival in rivals_of(names[:place])]
    judge_of_run = measured_judge(recipe).model_dump(mode="json", exclude={"engine", "name"})
    return {
        "prompts": len(_lines(run, names[0])),
        "head_to_head": [
            *(_by_oracle(run, pairs) if recipe.seeds.is_micro else []),
            *(_judged(run, pairs, judge, progress) if judge else []),
        ],
        "lengths": {name: _lengths(_lines(run, name)) for name in names},
        "made_by": {
            "answers": {**recipe.responses.model_dump(), "num_samples": recipe.evaluation.num_samples},
            "judgements": {**judge_of_run, "template_sha256": run.judge_text()},
            "seed": recipe.seed,
        },
    }


def _lines(run: RunFolder, name: str) -> list[Responses]:
    """A model's answers to held-out prompts, none where there is no file."""
    path = run.path / name / store.EVAL_RESPONSES_FILE
    return list(store.stream(path, Responses)) if path.exists() else []


def _by_oracle(run: RunFolder, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    from selfreward.evaluation import micro

    @cache
    def answers(name: str) -> list[Response]:
        return [response for line in _lines(run, name) for response in line.samples]

    return [
        {
            "models": [model_name(run.path / name) for name in pair],
            **micro.meeting(*(answers(name) for name in pair)),
            "judge": ORACLE,
        }
        for pair in pairs
    ]


def _judged(
    run: RunFolder, pairs: Sequence[tuple[str, str]], judge: Pinned, progress: Progress
) -> list[dict[str, Any]]:
    """All matches by one judge, who is loaded once; each in the folder that `eval head-to-head` would give it."""
    identify = cache(identity)
    found = []
    with ExitStack() as stack:
        engines = stack.enter_context(opened(judge.engine)) if judge.recipe else None
        for pair in pairs:
            sides = [run.path / name for name in pair]
            folder = open_match(sides, None, judge, None, identify)
            answers = answers_of(sides, None, folder, progress)
            found.append({**match(answers, judge, folder, progress, engines), "folder": str(folder)})
    return found


def _lengths(lines: Sequence[Responses]) -> dict[str, Any]:
    texts = [[response.text for response in line.samples] for line in lines]
    return {
        "chars": asdict(mean_ci([fmean(map(len, group)) for group in texts])),
        "words": asdict(mean_ci([fmean(len(text.split()) for text in group) for group in texts])),
        "empty": sum(not text.strip() for group in texts for text in group),
        "unfinished": sum(not response.finished for line in lines for response in line.samples),
    }
