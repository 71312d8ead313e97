"""One engine at a time, by the model that it holds: whoever asks for another closes the one before."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selfreward.engines import open_engine
from selfreward.engines.base import Engine, Metered
from selfreward.progress import Log
from selfreward.recipe import EngineOptions


class Engines:
    """One engine at a time: asking for another closes the one before, so that memory holds a single model.

    `log` receives which engine was opened for which model, and when it is closed what its use was, if that is counted.
    """

    def __init__(self, options: EngineOptions, log: Log | None = None) -> None:
        self.options = options
        self.log = log
        self._open: tuple[tuple[EngineOptions, str], Engine] | None = None

    def of(self, model_folder: str, options: EngineOptions | None = None) -> Engine:
        """The engine of a model, loaded on first use; `options` are those of the run where none are given."""
        wanted = (options or self.options, model_folder)
        if self._open is None or self._open[0] != wanted:
            self.close()
            self._open = (wanted, open_engine(*wanted))
            self._say(opened=wanted[0].name, model=judge_name(wanted[0], model_folder))
        return self._open[1]

    def close(self) -> None:
        """Free the model that is loaded, if any."""
        if self._open is not None:
            (options, _), engine = self._open
            self._open = None
            if isinstance(engine, Metered):
                self._say(closed=options.name, **engine.usage())
            engine.close()

    def _say(self, **values: Any) -> None:
        if self.log is not None:
            self.log(**values)


@contextmanager
def opened(options: EngineOptions, log: Log | None = None) -> Iterator[Engines]:
    """Engines that are closed at the end, whatever happens."""
    engines = Engines(options, log)
    try:
        yield engines
    finally:
        engines.close()


def judge_name(engine: EngineOptions | None, model: str) -> str:
    """The name of who answers in judgements: the model's on its server where that names one, else `model`."""
    return (engine.server.model if engine else None) or model
