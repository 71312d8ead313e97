"""Databases for tests: passages about fish, a Postgres of one's own, and what stands for OpenSearch.

`FakeOpenSearch` speaks `_search` as its documentation has it: a `match` query on one field, in which any word will do, and
`hits.hits` with `_id`, `_score` and `_source`.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from selfreward.records import Passage

FISH = (
    Passage(id="fish.md:1", text="The cod lives in cold water of the North Atlantic."),
    Passage(id="fish.md:3", text="The carp lives in warm and slow rivers of Asia."),
    Passage(id="fish.md:5", text="A salmon swims up the river in which it was born."),
    Passage(id="fish.md:7", text="Der Zander lebt im Süßwasser."),
    Passage(id="birds.jsonl:1", text="The heron eats fish that live in rivers."),
)


class FakeOpenSearch:
    """A server in a thread that holds one index, `fish`; what it was asked is kept, and a fault is given in place of an answer."""

    def __init__(self, passages: Sequence[Passage] = FISH) -> None:
        self.passages = passages
        self.asked: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.fault: tuple[int, str] | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/fish"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        if self.fault:
            return self.fault
        if path != "/fish/_search":
            error = {"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404}
            return 404, json.dumps(error)
        wanted = set(re.findall(r"\w+", body.get("query", {}).get("match", {}).get("text", "").lower()))
        scored = [(len(wanted & set(re.findall(r"\w+", one.text.lower()))), one) for one in self.passages]
        best = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])[: body["size"]]
        hits = [
            {"_index": "fish", "_id": one.id, "_score": float(score), "_source": {"text": one.text}}
            for score, one in best
        ]
        return 200, json.dumps({"took": 1, "timed_out": False, "hits": {"total": {"value": len(hits)}, "hits": hits}})

    def handler(fake: "FakeOpenSearch") -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.asked.append(body)
                fake.authorizations.append(self.headers.get("Authorization"))
                status, text = fake.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        return Handler


def postgres_programs() -> Path | None:
    """Where initdb and postgres lie; None where there are none, or nobody but root to run them."""
    found = shutil.which("postgres")
    if found is None or shutil.which("initdb") is None:
        return None
    if os.geteuid() == 0 and not _unprivileged():
        return None
    return Path(found).parent


def _unprivileged() -> str | None:
    """An account that may own a server where the tests are run by root."""
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """The folder of the socket of a server that is ended afterwards; it listens nowhere else."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 bytes
    owner = {"user": _unprivileged()} if os.geteuid() == 0 else {}
    if owner:
        shutil.chown(folder, owner["user"])
    options: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **owner}
    data = folder / "data"
    try:
        made = [
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "tester",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(made, check=True, timeout=60, **options)
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        server = subprocess.Popen([str(programs / "postgres"), "-D", str(data), *settings], **options)
        try:
            yield str(folder)
        finally:
            server.terminate()
            server.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
