"""How well a reward model orders what people ranked: measured as the run's models are as judges, on the same held-out sets."""

from pathlib import Path

from selfreward import store
from selfreward.evaluation.reward_modelling import rankings_of, reward_modelling
from selfreward.judges.reward_model import judge_into
from selfreward.progress import Progress
from selfreward.recipe import Recipe
from selfreward.responses import ranked_responses
from selfreward.seeds import Seeds


def evaluate_reward_model(folder: Path, recipe: Recipe, seeds: Seeds, progress: Progress) -> None:
    """Writes the judgements of a reward model, and its eval.json, into the folder that holds it."""
    path = folder / store.EVAL_FILE
    if path.exists():
        return
    responses = ranked_responses(seeds.evaluation)
    judgements = judge_into(
        folder / store.EVAL_JUDGEMENTS_FILE, responses, folder / store.MODEL_FOLDER, recipe, progress
    )
    found = {
        truth: reward_modelling(sets, judgements, recipe.seed) for truth, sets in rankings_of(recipe, seeds).items()
    }
    store.write_json(path, {"model": folder.name, "split": recipe.evaluation.split, "reward_modelling": found})
