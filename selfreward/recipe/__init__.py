"""What a run is told to do: the recipe, a strict pydantic model, with the paper's value as each default.

Unknown keys fail and offer the nearest name. YAML in, JSON Schema out. Sections cited are those of Self-Rewarding
Language Models, Yuan et al. 2024, arXiv 2401.10020; "not stated" means that the paper gives no value. A setting is a field
of the section that it changes; `whole` joins the sections, `files` reads and writes them.
"""

from selfreward.recipe.engines import EngineOptions, Ray, Server, Vllm
from selfreward.recipe.files import RECIPE_FILE, list_recipes, load_recipe, recipe_of, to_yaml
from selfreward.recipe.guards import Guards
from selfreward.recipe.round import Judge, LessonOptions, MetaJudge, Pairs, Prompts, Responses
from selfreward.recipe.seeds import Eft, Form, Seeds, Source
from selfreward.recipe.training import Adapter, Dpo, EarlyStopping, RewardModel, Rl, Sft, Training
from selfreward.recipe.whole import Chat, Evaluation, Plan, Recipe, Shape, differences, flat, schema

__all__ = [
    "RECIPE_FILE", "Adapter", "Chat", "Dpo", "EarlyStopping", "Eft", "EngineOptions", "Evaluation", "Form", "Guards", "Judge",
    "LessonOptions", "MetaJudge", "Pairs", "Plan", "Prompts", "Ray", "Recipe", "Responses", "RewardModel", "Rl", "Seeds",
    "Server", "Sft", "Shape", "Source", "Training", "Vllm", "differences", "flat", "list_recipes", "load_recipe",
    "recipe_of", "schema", "to_yaml",
]  # fmt: skip
