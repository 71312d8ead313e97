"""`transformers serve`, started on this machine."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from selfreward.engines.vllm import free_port
from selfreward.models import resolve_model

START_S = 300


def served_copy(model: str, folder: Path) -> Path:
    """The model with settings that let `transformers serve` sample: it decodes greedily where they say nothing."""
    copy = Path(shutil.copytree(resolve_model(model), folder))
    file = copy / "generation_config.json"
    settings = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(settings | {"do_sample": True}))
    return copy


@contextmanager
def transformers_server(work: Path, *arguments: str) -> Iterator[str]:
    """The URL of a server that loads the models it is asked for, on the processor; its log is in `work`."""
    port, log = free_port(), work / "serve.log"
    where = ["serve", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "transformers.cli.transformers", *where, *arguments]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + START_S
        while not _is_healthy(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"transformers serve did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_healthy(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success
    except httpx2.TransportError:
        return False
