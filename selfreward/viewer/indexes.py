"""The indexes of the files that are looked at: small ones are made at once, large ones by a process beside the server."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from selfreward.errors import BadInput
from selfreward.viewer.index import Index, forget_gone
from selfreward.viewer.runs import Source

AT_ONCE_BYTES = 2**22  # indexed in a fifth of a second


def cache_folder() -> Path:
    """Where indexes are kept, for this account alone: $XDG_CACHE_HOME/selfreward/view. BadInput where it cannot be written."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "selfreward" / "view"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot be made: {error.strerror}", folder, "set XDG_CACHE_HOME to a folder for indexes"
        ) from None
    if not os.access(folder, os.W_OK):
        raise BadInput("cannot be written", folder, "set XDG_CACHE_HOME to a folder for indexes")
    return folder


class Indexes:
    """Keeps indexes up to date; nobody waits for those of large files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._wanted: list[Index] = []
        self._at_once = threading.Lock()  # one at a time: two requests would find each other at it
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        forget_gone(folder)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def of(self, source: Source) -> Index:
        """The index of a file, brought up to date here where little is missing, else as soon as may be."""
        index = Index(source.path, self.folder)
        with self._at_once:
            share = index.share()
            if share < 1 and (1 - share) * source.size <= AT_ONCE_BYTES:
                index.update()
                share = index.share()
        if share < 1:
            self._want(index)
        return index

    def prepare(self, sources: Sequence[Source]) -> None:
        """Has the indexes of large files made, the first first."""
        for source in sources:
            index = Index(source.path, self.folder)
            if source.size > AT_ONCE_BYTES and index.share() < 1:
                self._want(index, is_first=False)

    def close(self) -> None:
        """Ends the process that makes one; what it has made is kept."""
        with self._changed:
            self._is_closed = True
            if self._process is not None:
                self._process.terminate()
            self._changed.notify()
        self._thread.join()

    def _want(self, index: Index, is_first: bool = True) -> None:
        with self._changed:
            others = [one for one in self._wanted if one.path != index.path]
            is_known = len(others) < len(self._wanted)
            if is_first or not is_known:
                self._wanted = [index, *others] if is_first else [*others, index]
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._is_closed)
                if self._is_closed:
                    return
                index = self._wanted.pop(0)
                command = [sys.executable, "-m", "selfreward.viewer.index", str(index.source), str(index.path)]
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            self._process.wait()
