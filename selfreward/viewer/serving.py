"""Starting the web app on the loopback address, and ending it with what it has started."""

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from selfreward.errors import BadInput
from selfreward.viewer.app import make_app
from selfreward.viewer.indexes import Indexes, cache_folder
from selfreward.viewer.runs import check_places
from selfreward.viewer.shown import warm_up
from selfreward.viewer.workers import Workers


def serve(places: Sequence[Path], port: int, ready: Callable[[str], None]) -> None:
    """Shows runs until it is interrupted; `ready` is called with the address. BadInput where there are none, or no such port."""
    check_places(places)
    indexes, workers = Indexes(cache_folder()), Workers()
    try:
        with _listening(port) as listening:
            config = uvicorn.Config(
                make_app([place.absolute() for place in places], indexes, workers), log_level="warning", access_log=False,
                server_header=False, timeout_graceful_shutdown=1,
            )  # fmt: skip
            warm_up()
            ready(f"http://127.0.0.1:{listening.getsockname()[1]}/")
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        workers.close()
        indexes.close()


def _listening(port: int) -> socket.socket:
    """A socket of the loopback address; BadInput where the port cannot be had."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise BadInput(f"cannot be used: {error.strerror}", f"port {port}", "give another with --port, or 0") from None
