"""What a person sees while a run works: one stage after another, each with its rate and the time left.

Everything goes to stderr, so that stdout holds results alone. Each stage's seconds and items are also handed to `log`,
once a run has set it, and so stand in the run's metrics.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Advance = Callable[[int], None]  # called with the number of items that have just been finished
Log = Callable[..., None]  # takes scalars as keywords


class Progress(Protocol):
    """Shows stages and keeps their time."""

    log: Log | None  # receives stage, seconds, items at the end of every stage that made something

    def stage(self, name: str, total: int | None = None, done: int = 0) -> AbstractContextManager[Advance]:
        """Opens a stage of `total` items (None: unknown), `done` of which were there before; yields its `advance`."""
        ...


class QuietProgress:
    """Shows nothing, keeps the time."""

    def __init__(self, log: Log | None = None) -> None:
        self.log = log

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Advance]:
        """The time of a stage that fails or is interrupted counts too; one with nothing to do leaves no trace."""
        made, started = 0, time.monotonic()

        def advance(items: int = 1) -> None:
            nonlocal made
            made += items
            moved(items)

        with self._shown(name, total, done) as moved:
            try:
                yield advance
            finally:
                seconds = time.monotonic() - started
                if made or total is None or done < total:
                    self._finished(name, seconds, made)

    @contextmanager
    def _shown(self, name: str, total: int | None, done: int) -> Iterator[Advance]:
        yield lambda items: None

    def _finished(self, name: str, seconds: float, made: int) -> None:
        if self.log is not None:
            self.log(stage=name, seconds=round(seconds, 3), items=made)


class LineProgress(QuietProgress):
    """One line for each stage when it ends: for logs and pipes."""

    def _finished(self, name: str, seconds: float, made: int) -> None:
        rate = f", {made / seconds:.3g}/s" if made and seconds > 0 else ""
        print(f"{name}: {made} in {seconds:.1f} s{rate}", file=sys.stderr, flush=True)
        super()._finished(name, seconds, made)


class BarProgress(QuietProgress):
    """A bar for each stage with rate and time left: for a terminal."""

    def __init__(self, log: Log | None = None, console: Any = None) -> None:
        from rich.console import Console

        super().__init__(log)
        self._console = console or Console(stderr=True)

    @contextmanager
    def _shown(self, name: str, total: int | None, done: int) -> Iterator[Advance]:
        from rich import progress as bars

        columns: list[Any] = [
            bars.TextColumn("{task.description:<18}", markup=False),
            bars.BarColumn(bar_width=24),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[rate]}", markup=False),
            bars.TimeElapsedColumn(),
            bars.TextColumn("left"),
            bars.TimeRemainingColumn(),
        ]
        with bars.Progress(*columns, console=self._console, transient=total == done) as shown:
            task = shown.add_task(name, total=total, completed=done, rate="")
            started, made = time.monotonic(), 0

            def moved(items: int) -> None:
                nonlocal made
                made += items
                shown.update(task, advance=items, rate=f"{made / max(time.monotonic() - started, 1e-9):.3g}/s")

            yield moved


def open_progress(quiet: bool = False) -> Progress:
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        return QuietProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()
