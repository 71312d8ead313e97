"""The ray engine: replicas of the local engine on a Ray cluster, which share the requests.

A sample does not depend on its neighbours (`base`), so it is the same from whichever replica, and from a second one after
the first has died. The model's folder must be seen by all machines under the same path.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from importlib.util import find_spec
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfreward.engines.base import Completion, Probs, Request, Sampling, Unanswered
from selfreward.engines.replicas import Died, Replicas
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import EngineOptions

CONNECT_S = 10.0
MOST_SHOWN = 300  # characters of what Ray says of a death

_Said = list[tuple[str, int, str]]  # logger, level and message of what was logged


class RayEngine:
    """An `Engine` over replicas on a cluster: the one it is told of, or one that it starts and ends itself."""

    def __init__(self, model_folder: str | Path, options: EngineOptions) -> None:
        self._connected = connect(options.ray.address)
        folder = Path(model_folder).resolve()  # Ray's processes work in other folders
        try:
            gpus = _gpus(options)
            self._replicas = Replicas(lambda: _Replica(folder, options, gpus), options.ray)
        except BaseException:
            self.close()
            raise

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine`. Unanswered where too many replicas die, or one cannot go on; what was answered goes along."""
        answers, failed = self._replicas.run("generate", requests, sampling)
        if failed:
            raise Unanswered(str(failed), "", "", answers) from failed
        return answers

    def room(self, prompts: Sequence[str]) -> list[int | None]:
        """See `Engine`."""
        return self._run("room", prompts)

    def score_tokens(self, items: Sequence[tuple[str, str]], candidates: Sequence[str]) -> list[Probs]:
        """See `Engine`. Unanswered as in `generate`; an item that does not fit then counts as one that was left."""
        answers, failed = self._replicas.run("score_tokens", items, candidates)
        if failed:
            found = [None if probs is None else (probs,) for probs in answers]
            raise Unanswered(str(failed), "", "", found) from failed
        return answers

    def loglik(self, items: Sequence[tuple[str, str]]) -> list[float]:
        """See `Engine`."""
        return self._run("loglik", items)

    def usage(self) -> dict[str, Any]:
        """See `Metered`: how many replicas loaded the model, those that replaced others too, and how many died."""
        return dict(self._replicas.counts)

    def close(self) -> None:
        """End the replicas, and the cluster if the engine started it; a second time does nothing."""
        if hasattr(self, "_replicas"):
            self._replicas.close()
        if self._connected:
            import ray

            ray.shutdown()
            self._connected = False

    def _run(self, method: str, items: Sequence[Any], *arguments: Any) -> list[Any]:
        answers, failed = self._replicas.run(method, items, *arguments)
        if failed:
            raise failed
        return answers


class _Worker:
    """What runs in a process of Ray's: a local engine."""

    def __init__(self, folder: Path, options: EngineOptions, device: str) -> None:
        self.folder, self.options, self.device = folder, options, device
        self.engine: Any = None
        self.said = BufferingHandler(capacity=sys.maxsize)
        logging.getLogger("selfreward").addHandler(self.said)

    def answer(self, method: str, *arguments: Any) -> tuple[list[Any], _Said]:
        """What a method of the engine says, and what was logged meanwhile, for the log of the run."""
        if self.engine is None:
            self.engine = self._load()
        found = getattr(self.engine, method)(*arguments)
        said = [(record.name, record.levelno, record.getMessage()) for record in self.said.buffer]
        self.said.flush()
        return found, said

    def _load(self) -> Any:
        from selfreward.engines.local import LocalEngine

        options = self.options
        try:
            return LocalEngine(
                self.folder, options.ray.block, options.dtype, self.device, options.threads, options.trust_remote_code
            )
        except BadInput as error:
            todo = "all machines must see the model's folder under the same path"
            raise StageFailed(str(error), f"on {socket.gethostname()}", todo) from None


class _Replica:
    """A `Replica`: the handle of a `_Worker`."""

    def __init__(self, folder: Path, options: EngineOptions, gpus: float) -> None:
        import ray

        device = "cpu" if options.device == "auto" and not gpus else options.device
        # Not restarted by Ray: that a process died is to be counted. Spread, so that a machine takes few with it.
        worker: Any = ray.remote(_Worker).options(
            num_cpus=options.ray.cpus, num_gpus=gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._worker = worker.remote(folder, options, device)

    def ask(self, method: str, items: Sequence[Any], *arguments: Any) -> "Future[list[Any]]":
        found: Future[list[Any]] = Future()
        theirs = self._worker.answer.remote(method, items, *arguments).future()
        theirs.add_done_callback(partial(_pass_on, found))
        return found

    def end(self) -> None:
        import ray

        ray.kill(self._worker)


def _pass_on(ours: "Future[list[Any]]", theirs: "Future[tuple[list[Any], _Said]]") -> None:
    """Hands an answer on, with what was logged; an error of the engine's as itself, any other of Ray's as a death."""
    from ray.exceptions import RayTaskError

    error = theirs.exception()
    if error is None:
        found, said = theirs.result()
        for name, level, message in said:
            logging.getLogger(name).log(level, message)
        ours.set_result(found)
    elif isinstance(error, RayTaskError):
        ours.set_exception(getattr(error, "cause", None) or error)
    else:  # the process, its machine or, of a large answer, the memory that held it
        ours.set_exception(Died(" ".join(str(error).split())[:MOST_SHOWN]))


def connect(address: str | None) -> bool:
    """Joins the cluster of `address`, of RAY_ADDRESS, or one that it starts here; False where this process has joined one.

    StageFailed where there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # see training/ray_train.py
    import ray

    if ray.is_initialized():
        return False
    check_address(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(_address(address) or "local", log_to_driver=False, logging_level=logging.ERROR)
    # Its version is another, it is too slow to start, there is none: Ray has no common type for these.
    except Exception as error:
        raise StageFailed(" ".join(str(error).split())[:MOST_SHOWN], "engine.ray", "see docs/clusters.md") from error
    finally:
        # Ray puts a handler of its own there, which ends the process with another exit code.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    return True


def check_cluster(address: str | None) -> None:
    """BadInput where the package is missing, or the cluster does not answer."""
    if find_spec("ray") is None:
        raise BadInput("needs ray, which is not installed", "engine.name: ray", "pip install 'selfreward[ray]'")
    check_address(address)


def check_address(address: str | None) -> None:
    """BadInput where nobody listens at the address of the cluster that would be joined: Ray would wait for ever."""
    place = urlsplit(f"//{_address(address) or ''}")
    if place.hostname and ":" in place.netloc:
        try:
            socket.create_connection((place.hostname, place.port or 0), CONNECT_S).close()
        except (OSError, ValueError) as error:
            what = f"no Ray cluster answers there: {error}"
            raise BadInput(what, place.netloc, "see RAY_ADDRESS and engine.ray.address, or start it") from None


def _address(address: str | None) -> str | None:
    """Of the cluster that is joined; None: one is started."""
    return address or os.environ.get("RAY_ADDRESS") or None


def _gpus(options: EngineOptions) -> float:
    """GPUs that a replica takes: where nothing else is said, one if the cluster has any."""
    import ray

    if options.device == "cpu":
        return 0
    if options.ray.gpus is not None:
        return options.ray.gpus
    return 1 if ray.cluster_resources().get("GPU") else 0
