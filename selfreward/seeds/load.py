"""The human data a run starts from: found in the recipe's sources and written into the run, then read from there ever after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfreward import store
from selfreward.errors import BadInput
from selfreward.recipe import Recipe
from selfreward.records import Example, Prompt, RankedSet
from selfreward.seeds.choosing import normal
from selfreward.seeds.data import Counts, Parts, from_data


@dataclass(frozen=True)
class Seeds:
    """What people gave; the parts share no prompt."""

    ift: list[Example]
    ranked: list[RankedSet]  # what the EFT seed is built from
    evaluation: list[RankedSet]  # held out: judges are measured on it
    is_held_out: Callable[[str], bool]  # whether a text is a prompt that evaluation or validation has reserved
    counts: Counts = field(
        default_factory=dict
    )  # of what was read and left out, part by part; empty once it is written
    validation: list[RankedSet] = field(default_factory=list)  # held out: tells when to stop a training

    @property
    def prompts(self) -> list[Prompt]:
        """The instructions of the IFT seed."""
        return [Prompt(id=example.id, text=example.prompt, source="ift") for example in self.ift]


def load_seeds(recipe: Recipe, folder: Path) -> Seeds:
    """The seeds of a run: those that `write_seeds` wrote into `folder`, else those of the recipe's sources. Writes nothing.

    BadInput where a source cannot be used or holds too little, and where two parts share a prompt.
    """
    paths = _paths(folder)
    counts: Counts = {}
    wanted = paths if recipe.training.early_stopping else paths[:-1]
    if all(path.exists() for path in wanted):
        ift = store.read(paths[0], Example)
        ranked, evaluation, validation = (store.read(path, RankedSet) if path.exists() else [] for path in paths[1:])
    else:
        ift, ranked, evaluation, validation, counts = _micro(recipe) if recipe.seeds.is_micro else from_data(recipe)
    _check_disjoint(ift, ranked, evaluation, validation, folder)
    return Seeds(ift, ranked, evaluation, _held_out(recipe, [*evaluation, *validation]), counts, validation)


def write_seeds(seeds: Seeds, folder: Path) -> None:
    """Writes the seeds into a run's folder, and the counts of their making; StageFailed where it holds other seeds."""
    if seeds.counts:  # first: where all parts are there, the counts are
        store.write_json(folder / store.COUNTS_FILE, seeds.counts)
    ift, ranked, evaluation, validation = _paths(folder)
    store.write_once(ift, seeds.ift)
    store.write_once(ranked, seeds.ranked)
    store.write_once(evaluation, seeds.evaluation)
    if seeds.validation:
        store.write_once(validation, seeds.validation)


def _paths(folder: Path) -> list[Path]:
    return [folder / name for name in store.SEED_FILES]


def _micro(recipe: Recipe) -> Parts:
    """The embedded default: average people of the micro-world."""
    from selfreward.micro import people

    wanted = recipe.seeds
    ift = people.write_ift(wanted.num_ift, recipe.seed)
    taken = {example.prompt for example in ift}
    ranked = people.rank_responses(wanted.num_eft_prompts, wanted.num_ranked_responses, recipe.seed, "train", taken)
    evaluation = people.rank_responses(
        recipe.evaluation.num_ranked_sets, wanted.num_ranked_responses, recipe.seed, recipe.evaluation.split, set()
    )
    return ift, ranked, evaluation, _micro_validation(recipe, evaluation), {}


def _micro_validation(recipe: Recipe, evaluation: Sequence[RankedSet]) -> list[RankedSet]:
    """Of the split that settings are tuned on; where models are measured on it too, other prompts of it."""
    from selfreward.micro import people

    if recipe.training.early_stopping is None:
        return []
    taken = {ranked_set.prompt for ranked_set in evaluation}
    measured = recipe.evaluation
    taken |= {text for _, text in people.draw_held_out(measured.num_prompts, recipe.seed, measured.split)}
    wanted, num_responses = recipe.training.early_stopping.prompts, recipe.seeds.num_ranked_responses
    return people.rank_responses(wanted, num_responses, recipe.seed, "dev", taken)


def _check_disjoint(
    ift: Sequence[Example],
    ranked: Sequence[RankedSet],
    evaluation: Sequence[RankedSet],
    validation: Sequence[RankedSet],
    where: object,
) -> None:
    """BadInput where two parts share a prompt, letter case and spacing aside."""
    parts = {
        "IFT": {normal(example.prompt) for example in ift},
        "EFT": {normal(ranked_set.prompt) for ranked_set in ranked},
        "evaluation": {normal(ranked_set.prompt) for ranked_set in evaluation},
        "validation": {normal(ranked_set.prompt) for ranked_set in validation},
    }
    names = list(parts)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if shared := parts[one] & parts[other]:
                what = f"{one} and {other} seeds share {len(shared)} prompts, such as {min(shared)!r}"
                raise BadInput(what, where, "remove them from one of the two")


def _held_out(recipe: Recipe, held_out: Sequence[RankedSet]) -> Callable[[str], bool]:
    """In the micro-world whole splits are held out; elsewhere the prompts of the evaluation and the validation seed."""
    if recipe.seeds.is_micro:
        from selfreward.micro.tasks import split_of

        return lambda text: split_of(text) != "train"
    texts = {normal(ranked_set.prompt) for ranked_set in held_out}
    return lambda text: normal(text) in texts
