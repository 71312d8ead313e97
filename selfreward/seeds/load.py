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
    """What people gave; the three parts share no prompt."""

    ift: list[Example]
    ranked: list[RankedSet]  # what the EFT seed is built from
    evaluation: list[RankedSet]  # held out: judges are measured on it
    is_held_out: Callable[[str], bool]  # whether a text is a prompt that evaluation has reserved
    counts: Counts = field(
        default_factory=dict
    )  # of what was read and left out, part by part; empty once it is written

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
    if all(path.exists() for path in paths):
        ift = store.read(paths[0], Example)
        ranked, evaluation = (store.read(path, RankedSet) for path in paths[1:])
    else:
        ift, ranked, evaluation, counts = _micro(recipe) if recipe.seeds.is_micro else from_data(recipe)
    _check_disjoint(ift, ranked, evaluation, folder)
    return Seeds(ift, ranked, evaluation, _held_out(recipe, evaluation), counts)


def write_seeds(seeds: Seeds, folder: Path) -> None:
    """Writes the seeds into a run's folder, and the counts of their making; StageFailed where it holds other seeds."""
    if seeds.counts:  # first: where all three parts are there, the counts are
        store.write_json(folder / store.COUNTS_FILE, seeds.counts)
    ift, ranked, evaluation = _paths(folder)
    store.write_once(ift, seeds.ift)
    store.write_once(ranked, seeds.ranked)
    store.write_once(evaluation, seeds.evaluation)


def _paths(folder: Path) -> list[Path]:
    return [folder / name for name in (store.IFT_FILE, store.RANKED_FILE, store.EVAL_SEED_FILE)]


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
    return ift, ranked, evaluation, {}


def _check_disjoint(
    ift: Sequence[Example], ranked: Sequence[RankedSet], evaluation: Sequence[RankedSet], where: object
) -> None:
    """BadInput where two parts share a prompt, letter case and spacing aside."""
    parts = {
        "IFT": {normal(example.prompt) for example in ift},
        "EFT": {normal(ranked_set.prompt) for ranked_set in ranked},
        "evaluation": {normal(ranked_set.prompt) for ranked_set in evaluation},
    }
    names = list(parts)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if shared := parts[one] & parts[other]:
                what = f"{one} and {other} seeds share {len(shared)} prompts, such as {min(shared)!r}"
                raise BadInput(what, where, "remove them from one of the two")


def _held_out(recipe: Recipe, evaluation: Sequence[RankedSet]) -> Callable[[str], bool]:
    """In the micro-world whole splits are held out; elsewhere the prompts of the evaluation seed."""
    if recipe.seeds.is_micro:
        from selfreward.micro.tasks import split_of

        return lambda text: split_of(text) != "train"
    texts = {normal(ranked_set.prompt) for ranked_set in evaluation}
    return lambda text: normal(text) in texts
