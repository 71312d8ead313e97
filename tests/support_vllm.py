"""Puts a `vllm` on PATH that is the fake endpoint."""

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def put_vllm_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str = "") -> Path:
    """Returns the file to which every server writes the ids of its processes."""
    program = folder / "vllm"
    program.write_text(
        '#!/bin/sh\necho starting "$@"\necho no usage statistics: $VLLM_NO_USAGE_STATS\n'
        f'exec "{sys.executable}" "{TESTS / "support_endpoint.py"}" "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_VLLM", fault)
    monkeypatch.setenv("FAKE_VLLM_PIDS", str(folder / "pids"))
    return folder / "pids"


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
