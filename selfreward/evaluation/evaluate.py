"""All measurements of one model, written into its folder as eval.json.

Answers to held-out prompts and judgements of held-out ranked responses are kept beside it, so that every figure can
be looked at and made again. Comparisons pair the models' answers to the same prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.engines.base import Sampling
from selfreward.engines.opening import Engines
from selfreward.evaluation.health import judge_health
from selfreward.evaluation.reward_modelling import rankings_of, reward_modelling
from selfreward.judges.filling import judge_into
from selfreward.progress import Progress
from selfreward.recipe import Judge, Recipe
from selfreward.records import Prompt, Response, digest
from selfreward.responses import Responses, ranked_responses, sample
from selfreward.seeds import Seeds
from selfreward.statistics import head_to_head


def evaluate(
    name: str, model_folder: str, folder: Path, rivals: Sequence[str], recipe: Recipe, seeds: Seeds, engines: Engines,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Measure one model; `rivals` are names of models of the same run that were measured before. Returns eval.json.

    What was measured now is also handed to the log of the progress, in short.
    """
    path = folder / store.EVAL_FILE
    if path.exists():
        return dict(store.read_json(path))
    found: dict[str, Any] = {"model": name, "split": recipe.evaluation.split}
    prompts = held_out_prompts(recipe, seeds)
    lines = answer_held_out(prompts, name, model_folder, folder, recipe, engines, progress)
    if recipe.seeds.is_micro:
        found |= _truth(prompts, lines, folder, rivals)
    found |= _judging(name, model_folder, folder, recipe, seeds, engines, progress)
    store.write_json(path, found)
    if progress.log is not None:
        progress.log(measured=name, k=0 if name == "sft" else int(name[1:]), **headline(found))
    return found


def headline(found: Mapping[str, Any]) -> dict[str, float]:
    """The first figures of a measurement, without intervals; those that were not measured are left out."""
    judged = found["reward_modelling"]
    figures = {
        **{
            name: found.get("capability", {}).get(name, {}).get("mean") for name in ("score", "perfect", "length_words")
        },
        "net_against_sft": found.get("head_to_head", {}).get("sft", {}).get("net"),
        "judge_pairwise_accuracy": (judged.get("oracle") or judged["human"])["half"]["pairwise_accuracy"]["value"],
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def rivals_of(before: Sequence[str]) -> list[str]:
    """The models that one is compared with, of those that were made `before` it: the SFT baseline, M1, and the last."""
    return sorted({name for place, name in enumerate(before, start=1) if name in ("sft", "m1") or place == len(before)})


def held_out_prompts(recipe: Recipe, seeds: Seeds) -> list[Prompt]:
    """The prompts every model of a run answers: the micro-world has its own, elsewhere they are those of the held-out sets."""
    if recipe.seeds.is_micro:
        from selfreward.evaluation import micro

        return micro.held_out_prompts(recipe)
    texts = [ranked.prompt for ranked in seeds.evaluation[: recipe.evaluation.num_prompts]]
    return [Prompt(id=digest("prompt", text), text=text, source="eval") for text in texts]


def answer_held_out(
    prompts: Sequence[Prompt], name: str, model_folder: str, folder: Path, recipe: Recipe, engines: Engines,
    progress: Progress,
) -> Sequence[Responses]:  # fmt: skip
    """A model's answers to the held-out prompts, kept in its folder, so that models can be compared without asking them again."""
    settings = recipe.responses
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    return store.fill(
        folder / store.EVAL_RESPONSES_FILE,
        Responses,
        prompts,
        lambda prompt: prompt.id,
        lambda batch: sample(
            engines.of(model_folder), batch, recipe.evaluation.num_samples, sampling, name, recipe.seed
        ),
        recipe.engine.batch_size,
        progress,
    )


def _truth(
    prompts: Sequence[Prompt], lines: Sequence[Responses], folder: Path, rivals: Sequence[str]
) -> dict[str, Any]:
    """What the micro-world's oracle says of the model's answers, and of them against its rivals'."""
    from selfreward.evaluation import micro

    ours = micro.scores(_flat(lines))
    found: dict[str, Any] = {"capability": micro.capability(_flat(lines)), "head_to_head": {}}
    for rival in rivals:
        theirs = micro.scores(_flat(store.read(folder.parent / rival / store.EVAL_RESPONSES_FILE, Responses)))
        ids = [prompt.id for prompt in prompts]
        found["head_to_head"][rival] = asdict(head_to_head([ours[i] for i in ids], [theirs[i] for i in ids]))
    if (folder / store.PROMPTS_FILE).exists():
        written = store.read(folder / store.PROMPTS_FILE, Prompt)
        found["own_prompts"] = {"prompts": len(written), "malformed": micro.malformed(written)}
    return found


def _judging(
    name: str, model_folder: str, folder: Path, recipe: Recipe, seeds: Seeds, engines: Engines, progress: Progress
) -> dict[str, Any]:
    """How the model judges held-out responses: against people's ranking, and in the micro-world against the truth."""
    settings = measured_judge(recipe)
    path = folder / store.EVAL_JUDGEMENTS_FILE
    responses = ranked_responses(seeds.evaluation)
    judgements = judge_into(path, responses, settings, recipe, engines, model_folder, name, progress)
    rankings = rankings_of(recipe, seeds)
    return {
        "reward_modelling": {
            truth: reward_modelling(sets, judgements, recipe.seed) for truth, sets in rankings.items()
        },
        "judge_health": judge_health(judgements),
    }


def measured_judge(recipe: Recipe) -> Judge:
    """How a model of a run is asked when it is measured as a judge: it itself, with the recipe's template and sampling."""
    judge, votes = recipe.judge, recipe.evaluation.votes
    return judge.model_copy(
        update={"name": judge.own_name, "votes": votes, "quorum": min(votes, judge.quorum), "engine": None}
    )


def _flat(lines: Sequence[Responses]) -> list[Response]:
    return [response for line in lines for response in line.samples]
