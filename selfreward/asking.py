"""Asking a model: its answer to an instruction, and its judgement of an answer.

A model is RUN (its newest), RUN/mK, or a folder of weights. It stays loaded until another one is asked.
"""

from pathlib import Path

from selfreward.engines.base import Engine, Request, Sampling
from selfreward.evaluation.named_models import NamedModel, named_models
from selfreward.judges import open_judge
from selfreward.recipe import EngineOptions
from selfreward.records import Judgement, Response, digest, seed_of
from selfreward.round import Engines
from selfreward.text import whole

_engines = Engines(EngineOptions())


def judge_one(model: Path, prompt: str, response: str, votes: int) -> Judgement:
    """What a model thinks of a response; BadInput where there is no such model."""
    judge, engine = _asked(model)
    prompt, response = whole(prompt), whole(response)  # a command line can hold bytes that are no text
    settings = judge.recipe.judge.model_copy(update={"name": judge.recipe.judge.own_name, "votes": votes, "quorum": 1})
    asked = Response(
        id=digest("asked", prompt, response), prompt_id=digest("prompt", prompt), prompt=prompt, text=response,
        model="you", sample=0, num_tokens=None, finished=True,
    )  # fmt: skip
    return open_judge(settings.name)(engine, [asked], settings, judge.name, judge.recipe.seed)[0]


def answer(model: Path, prompt: str) -> str:
    """A model's answer to a prompt; BadInput where there is no such model."""
    asked, engine = _asked(model)
    prompt, settings = whole(prompt), asked.recipe.responses
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    request = Request("asked", prompt, 1, seed_of(asked.recipe.seed, "chat", asked.name, prompt))
    return engine.generate([request], sampling)[0][0].text


def _asked(path: Path) -> tuple[NamedModel, Engine]:
    model = named_models([path])[-1]
    return model, _engines.of(model.folder, model.recipe.engine)
