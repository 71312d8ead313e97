"""Asking a model of a finished run: its answer to an instruction, and its judgement of an answer."""

from functools import lru_cache
from pathlib import Path

from selfreward.engines import open_engine
from selfreward.engines.base import Engine, Request, Sampling
from selfreward.judges import open_judge
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Judgement, Response, digest, seed_of
from selfreward.store import RunFolder
from selfreward.text import whole


@lru_cache(maxsize=1)
def _engine(folder: Path, name: str) -> tuple[Recipe, Engine]:
    """The engine of a run's model; kept, so that a conversation loads it once."""
    recipe = load_recipe(folder)
    return recipe, open_engine(recipe.engine, RunFolder(folder).model_path(name))


def judge_one(folder: Path, name: str, prompt: str, response: str, votes: int) -> Judgement:
    """What a model of a run thinks of a response."""
    recipe, engine = _engine(folder, name)
    prompt, response = whole(prompt), whole(response)  # a command line can hold bytes that are no text
    settings = recipe.judge.model_copy(update={"name": recipe.judge.own_name, "votes": votes, "quorum": 1})
    asked = Response(
        id=digest("asked", prompt, response), prompt_id=digest("prompt", prompt), prompt=prompt, text=response,
        model="you", sample=0, num_tokens=None, finished=True,
    )  # fmt: skip
    return open_judge(settings.name)(engine, [asked], settings, name, recipe.seed)[0]


def answer(folder: Path, name: str, prompt: str) -> str:
    """A model's answer to a prompt."""
    recipe, engine = _engine(folder, name)
    prompt, settings = whole(prompt), recipe.responses
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    request = Request("asked", prompt, 1, seed_of(recipe.seed, "chat", name, prompt))
    return engine.generate([request], sampling)[0][0].text
