"""The truth of the micro-world about a model: oracle scores of its answers to prompts nothing was trained on.

Held-out prompts belong to a split of their own, by their text, that M0's corpus, the seeds and the model's own prompts
never touch.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from selfreward.evaluation.kinds import Kind, by_kind, words_class
from selfreward.micro import oracle, people
from selfreward.micro.tasks import Task, read_instruction
from selfreward.recipe import Recipe
from selfreward.records import Prompt, RankedResponse, RankedSet, Response, digest
from selfreward.statistics import head_to_head, mean_ci

ASKED_WORDS = (3, 6)  # the greatest number of words in each class of asked lengths but the last


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return asdict(mean_ci(values))


def held_out_prompts(recipe: Recipe) -> list[Prompt]:
    """The prompts every model of a run answers."""
    drawn = people.draw_held_out(recipe.evaluation.num_prompts, recipe.seed, recipe.evaluation.split)
    return [Prompt(id=digest("prompt", text), text=text, source=recipe.evaluation.split) for _, text in drawn]


def task_of(instruction: str) -> Task:
    """The task of a prompt of ours; ValueError where it states none."""
    task = read_instruction(instruction)
    if task is None:
        raise ValueError(f"not an instruction of the micro-world: {instruction!r}")
    return task


def points_of(instruction: str, response: str) -> float:
    """The oracle's points of a response, 0 to 5; ValueError where the instruction states no task."""
    return float(oracle.score(task_of(instruction), response))


def kind_of(instruction: str) -> Kind | None:
    """Family, number of constraints and asked length of a prompt of ours; None where it is none."""
    task = read_instruction(instruction)
    return None if task is None else Kind(task.family, str(task.complexity), _expected_length(task))


def _expected_length(task: Task) -> str:
    """The class of the words that are asked for; what is said around a list or a fact does not count."""
    asked = {"order": len(task.words), "fact": 1}.get(task.family, task.count)
    return "left open" if asked is None else words_class(asked, ASKED_WORDS)


def scores(responses: Sequence[Response]) -> dict[str, list[float]]:
    """Points of the samples of each prompt, by prompt id."""
    points: dict[str, list[float]] = {}
    for response in responses:
        points.setdefault(response.prompt_id, []).append(points_of(response.prompt, response.text))
    return points


def meeting(ours: Sequence[Response], theirs: Sequence[Response]) -> dict[str, Any]:
    """Wins, ties and losses by the oracle's points, every sample of one model against every one of the other; by kind too."""
    mine, other = scores(ours), scores(theirs)
    prompts = {response.prompt_id: response.prompt for response in ours}
    kinds = [kind_of(prompt) or Kind() for prompt in prompts.values()]

    def count(ids: Sequence[str]) -> dict[str, Any]:
        return asdict(head_to_head([mine[id] for id in ids], [other[id] for id in ids]))

    ids = list(prompts)
    return {**count(ids), **by_kind(ids, kinds, count)}


def capability(responses: Sequence[Response]) -> dict[str, Any]:
    """Score, perfect rate, and length, whole and by family and complexity; intervals are over prompts."""
    groups: dict[str, list[Response]] = {}
    for response in responses:
        groups.setdefault(response.prompt_id, []).append(response)
    prompts = [(task_of(group[0].prompt), group) for group in groups.values()]
    tasks = [task for task, _ in prompts]
    points = [[oracle.score(task, response.text) for response in group] for task, group in prompts]
    means = [sum(values) / len(values) for values in points]
    perfect = [sum(value == oracle.NUM_POINTS for value in values) / len(values) for values in points]
    words = [sum(len(response.text.split()) for response in group) / len(group) for _, group in prompts]

    def by(key: Sequence[object]) -> dict[str, Any]:
        return {
            str(value): {
                "score": _mean([mean for mean, k in zip(means, key, strict=True) if k == value]),
                "perfect": _mean([share for share, k in zip(perfect, key, strict=True) if k == value]),
                "n": sum(k == value for k in key),
            }
            for value in sorted(set(key), key=str)
        }

    return {
        "score": _mean(means),
        "perfect": _mean(perfect),
        "length_words": _mean(words),
        "by_family": by([task.family for task in tasks]),
        "by_complexity": by([task.complexity for task in tasks]),
        "by_point": _by_point(prompts),
    }


def _by_point(prompts: Sequence[tuple[Task, list[Response]]]) -> dict[str, Any]:
    """Share of responses that earn each of the five points; the mean and its interval are over prompts."""
    earned: dict[str, list[float]] = {}
    for task, group in prompts:
        holds: dict[str, list[bool]] = {}
        for response in group:
            for check in oracle.checks(task, response.text):
                holds.setdefault(check.name, []).append(check.holds)
        for name, values in holds.items():
            earned.setdefault(name, []).append(sum(values) / len(values))
    return {name: _mean(shares) for name, shares in earned.items()}


def oracle_ranking(sets: Sequence[RankedSet]) -> list[RankedSet]:
    """The same responses ranked by the truth: equal scores tie. Sets in which all tie are left out."""
    ranked = []
    for one in sets:
        points = [oracle.score(task_of(one.prompt), response.text) for response in one.responses]
        order = sorted(set(points), reverse=True)
        if len(order) > 1:
            responses = tuple(
                RankedResponse(text=response.text, rank=order.index(value))
                for response, value in zip(one.responses, points, strict=True)
            )
            ranked.append(RankedSet(id=one.id, prompt=one.prompt, responses=responses))
    return ranked


def malformed(prompts: Sequence[Prompt]) -> int:
    """How many of a model's own prompts are no instruction of the micro-world."""
    return sum(read_instruction(prompt.text) is None for prompt in prompts)
