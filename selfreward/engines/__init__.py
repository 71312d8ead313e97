"""Engines turn chats into completions: `base` says what an engine is, `local` runs transformers weights with its own
batched sampler, `scripted` is a fake that says what it is told. An engine of a user's own is named as
`package.module:function`; the function takes (options, model_folder) and returns an engine.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selfreward.engines.base import Engine
    from selfreward.recipe import EngineOptions


def open_engine(options: "EngineOptions", model_folder: str | Path) -> "Engine":
    """The engine that the options name, holding the model of the folder; close it when done."""
    if options.name == "local":
        from selfreward.engines.local import LocalEngine

        return LocalEngine(
            model_folder,
            batch_size=options.batch_size,
            dtype=options.dtype,
            device=options.device,
            threads=options.threads,
        )
    module, separator, function = options.name.partition(":")
    if not separator:
        raise ValueError(
            f"no engine is named {options.name!r}; there is 'local', or name your own as 'package.module:function'"
        )
    engine: Engine = getattr(import_module(module), function)(options, model_folder)
    return engine
