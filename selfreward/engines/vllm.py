"""The vllm engine: starts `vllm serve` on a free port of this machine, then is a server engine.

The server is a group of processes of its own that ends with `close`, and with this process however that ends, so that its
memory returns before training. vLLM itself is never imported.
"""

import atexit
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from selfreward.engines.endpoint import Endpoint
from selfreward.engines.group import end_group, end_with_this_process
from selfreward.engines.server import ServerEngine
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import EngineOptions

POLL_S = 0.2
POLL_ANSWER_S = 5.0
STOP_S = 30.0  # for an orderly end; after it the processes are killed
PORT_TRIES = 5  # another process may take the free port before the server does
SHOWN_LINES = 15  # of the end of its log, where it fails
_PORT_TAKEN = "address already in use"


class VllmServer:
    """`vllm serve` under way; `url` and `key` are how to ask it."""

    def __init__(self, model_folder: str | Path, options: EngineOptions) -> None:
        self.program = find_vllm()
        self.key = secrets.token_hex(16)  # others on this machine have no business with it
        self._watcher: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        try:
            for attempt in range(PORT_TRIES):
                self._start(str(model_folder), options)
                if self._is_healthy_within(options.vllm.start_s):
                    break
                if self._process.poll() is None:
                    what = f"vllm serve did not answer within {options.vllm.start_s:g} s"
                    raise StageFailed(
                        f"{what}; its log ends:\n{self._end_of_log()}", model_folder, "raise vllm.start_s"
                    )
                if _PORT_TAKEN not in self._end_of_log().lower() or attempt == PORT_TRIES - 1:
                    raise StageFailed(self.gone() or "", model_folder, "see vllm.args")
                self._stop()
        except BaseException:
            self.close()
            raise

    def gone(self) -> str | None:
        """How it ended, with the end of its log; None while it runs."""
        code = self._process.poll()
        return None if code is None else f"vllm serve ended with {code}; its log ends:\n{self._end_of_log()}"

    def close(self) -> None:
        """End the server and all its processes; a second time does nothing."""
        atexit.unregister(self.close)
        if hasattr(self, "_process"):
            self._stop()

    def _start(self, model: str, options: EngineOptions) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        self._log = tempfile.NamedTemporaryFile(prefix="vllm-", suffix=".log")  # noqa: SIM115 - closed by _stop
        command = [
            self.program, "serve", model, *options.vllm.args,
            "--host", "127.0.0.1", "--port", str(port), "--served-model-name", model, "--dtype", options.dtype,
            "--generation-config", "vllm",  # else the model's own top_k and penalties would change what is sampled
            *(["--trust-remote-code"] if options.trust_remote_code else []),
        ]  # fmt: skip
        # vLLM tells its makers of each server unless it is told not to.
        environment = {"VLLM_NO_USAGE_STATS": "1"} | os.environ | {"VLLM_API_KEY": self.key}
        if options.threads is not None:
            environment["OMP_NUM_THREADS"] = str(options.threads)
        # A session of its own: Ctrl-C on the terminal is for this process, which then ends the server.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )
        self._watcher = end_with_this_process(self._process.pid, STOP_S)

    def _is_healthy_within(self, seconds: float) -> bool:
        """Whether the server answers in time; False as soon as it has ended."""
        deadline = time.monotonic() + seconds
        with httpx2.Client(timeout=POLL_ANSWER_S, trust_env=False) as client:
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    # Not /health, which another server on the port would answer too: this asks for the key.
                    answer = client.get(f"{self.url}/models", headers={"Authorization": f"Bearer {self.key}"})
                    if answer.is_success and self._process.poll() is None:
                        return True
                except httpx2.TransportError:
                    pass
                time.sleep(POLL_S)
        return False

    def _end_of_log(self) -> str:
        lines = Path(self._log.name).read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-SHOWN_LINES:]) or "  (it is empty)"

    def _stop(self) -> None:
        """End all its processes, and the one that would have seen to it."""
        if self._log.closed:
            return
        end_group(self._process.pid, STOP_S, self._process.poll)
        self._process.wait()
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
        self._log.close()


class VllmEngine(ServerEngine):
    """A `ServerEngine` that owns its server."""

    def __init__(self, model_folder: str | Path, options: EngineOptions) -> None:
        self._server = VllmServer(model_folder, options)
        endpoint = Endpoint(self._server.url, options.server, self._server.key, self._server.gone)
        super().__init__(str(model_folder), endpoint)

    def close(self) -> None:
        """End the connections and the server."""
        super().close()
        self._server.close()


def find_vllm() -> str:
    """The path of the `vllm` command, on PATH or beside this Python; BadInput where there is none."""
    program = shutil.which("vllm") or shutil.which("vllm", path=str(Path(sys.executable).parent))
    if program is None:
        raise BadInput("there is no vllm command", "engine.name: vllm", "pip install 'selfreward[vllm]'")
    return program


def free_port() -> int:
    """A port of the loopback device that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
