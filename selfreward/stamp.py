"""What a run was made with: versions, git commit, hardware, command, and hashes of the model's weights.

Reads package metadata rather than packages, so that stamping a run imports nothing heavy.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers", "safetensors", "pydantic",
             "numpy")  # fmt: skip


def stamp(command: Sequence[str] | None = None) -> dict[str, Any]:
    """What is true of this launch; `command` is sys.argv where it is not given."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": shlex.join(command if command is not None else sys.argv),
        "versions": versions(),
        "git": git_commit(),
        "hardware": hardware(),
    }


def versions() -> dict[str, str]:
    """Package -> installed version, for those that are installed, and Python's."""
    from selfreward import __version__

    found = {"selfreward": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of the checkout this package lies in, with `+changes` where files differ; None outside of one."""
    folder = Path(__file__).parent
    # An installed package may lie inside the checkout of another project (its .venv): only a tracked file counts.
    if _output("git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    changed = _output("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changed else commit


def hardware() -> dict[str, Any]:
    """Processor, cores this process may use, memory, and the GPUs that nvidia-smi names."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpus = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader") or ""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores,
        "memory_gib": round(memory_bytes / 2**30, 1),
        "gpus": gpus.splitlines(),
    }


def weight_hashes(model: str) -> dict[str, str]:
    """File name -> SHA-256 of every safetensors file of a model folder; empty for a hub name."""
    return {file.name: file_hash(file) for file in sorted(Path(model).glob("*.safetensors"))}


def file_hash(path: Path, size_bytes: int | None = None) -> str:
    """SHA-256 of a file, or of its first bytes, as hexadecimal digits."""
    found = hashlib.sha256()
    left = path.stat().st_size if size_bytes is None else size_bytes
    with path.open("rb") as file:
        while left and (block := file.read(min(left, 2**20))):
            found.update(block)
            left -= len(block)
    return found.hexdigest()


def _processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _output(*command: str) -> str | None:
    """What a command prints; None where it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
