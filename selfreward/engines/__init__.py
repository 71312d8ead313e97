"""Engines turn chats into completions: `base` says what an engine is, `local` runs transformers weights with its own
batched sampler, `scripted` is a fake that says what it is told. An engine of a user's own is named as
`package.module:function`; the function takes (options, model_folder) and returns an engine.
"""

from collections.abc import Callable
from pathlib import Path

from selfreward.engines.base import Engine
from selfreward.named import find
from selfreward.recipe import EngineOptions

OpenEngine = Callable[[EngineOptions, str | Path], Engine]


def _local(options: EngineOptions, model_folder: str | Path) -> Engine:
    from selfreward.engines.local import LocalEngine

    return LocalEngine(
        model_folder,
        batch_size=options.batch_size,
        dtype=options.dtype,
        device=options.device,
        threads=options.threads,
        trust_remote_code=options.trust_remote_code,
    )


ENGINES: dict[str, OpenEngine] = {"local": _local}


def find_engine(name: str) -> OpenEngine:
    """What opens the engine of this name; BadInput where there is none."""
    return find(name, ENGINES, "engine.name")


def open_engine(options: EngineOptions, model_folder: str | Path) -> Engine:
    """The engine that the options name, holding the model of the folder; close it when done."""
    return find_engine(options.name)(options, model_folder)
