"""Replicas of a model that share requests: each is handed a small block at a time, and the block of one that dies goes to
another. Nothing here knows what a replica runs on; `ray` starts those of a cluster.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol

from selfreward.errors import StageFailed
from selfreward.recipe import Ray

log = logging.getLogger(__name__)


class Died(Exception):
    """The process of a replica, or its machine, is gone."""


class Replica(Protocol):
    """A process with an engine of its own, which it loads before its first answer."""

    def ask(self, method: str, items: Sequence[Any], *arguments: Any) -> "Future[list[Any]]":
        """What a method of its engine says to each item; fails with Died, or with what the engine raises."""
        ...

    def end(self) -> None:
        """End the process, if it is there."""
        ...


class Replicas:
    """`settings.replicas` of them at any time: one that dies is replaced by another of `start`."""

    def __init__(self, start: Callable[[], Replica], settings: Ray) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter(loaded=0, deaths=0)
        self._num = settings.replicas or 1
        self._start = start
        self._starting: dict[Future[list[Any]], Replica] = {}
        self._idle: list[Replica] = []
        self._all: set[Replica] = set()
        for _ in range(self._num):
            self._start_one()

    def run(self, method: str, items: Sequence[Any], *arguments: Any) -> tuple[list[Any], StageFailed | None]:
        """What the method says to each item, in order, and the first failure; None for items that it left unanswered.

        After a failure no block is begun; those under way may end. What else an engine raises is raised.
        """
        size = max(1, min(self.settings.block, -(-len(items) // self._num)))  # a few items are spread over all, too
        blocks = deque(range(0, len(items), size))
        answers: list[Any] = [None] * len(items)
        asked: dict[Future[list[Any]], tuple[Replica, int]] = {}
        failed: BaseException | None = None
        deaths = 0
        while asked or (blocks and not failed):
            while blocks and self._idle and not failed:
                replica, begin = self._idle.pop(), blocks.popleft()
                asked[replica.ask(method, items[begin : begin + size], *arguments)] = replica, begin
            # While some work the others may take their time: a machine that was lost may never come back.
            patience_s = None if asked else self.settings.start_s
            done, _ = wait([*asked, *self._starting], patience_s, FIRST_COMPLETED)
            if not done:
                what = f"no replica was ready within {patience_s:g} s"
                failed = StageFailed(what, "engine.ray", "see whether the cluster has room for one, or raise start_s")
            for future in done:
                works = future in asked
                replica, begin = asked.pop(future) if works else (self._starting.pop(future), -1)
                error = future.exception()
                if isinstance(error, Died):
                    deaths += 1
                    log.warning("a replica died, its requests go to another: %s", error)
                    self._replace(replica)
                    if works:
                        blocks.appendleft(begin)
                    if deaths > self.settings.deaths:
                        what = f"{deaths} replicas died; the last: {error}"
                        failed = failed or StageFailed(what, "engine.ray", "run again to go on, or raise ray.deaths")
                    continue
                self._idle.append(replica)
                if error:
                    failed = failed or error
                elif works:
                    answers[begin : begin + size] = future.result()
                else:
                    self.counts["loaded"] += 1
        if failed is None or isinstance(failed, StageFailed):
            return answers, failed
        raise failed

    def close(self) -> None:
        """End all of them."""
        for replica in self._all:
            replica.end()
        self._all.clear()

    def _replace(self, dead: Replica) -> None:
        self.counts["deaths"] += 1
        self._all.discard(dead)
        dead.end()  # one that cannot be reached may be alive
        self._start_one()

    def _start_one(self) -> None:
        replica = self._start()
        self._all.add(replica)
        self._starting[replica.ask("room", [])] = replica  # asked about nothing, it loads its model
