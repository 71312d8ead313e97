"""`doctor`: whether this machine can do what a recipe asks of it, and what to do where it cannot.

Torch is imported only where there is a GPU, since nothing else says whether torch sees it.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from selfreward.errors import BadInput
from selfreward.recipe import Recipe
from selfreward.stamp import hardware, versions

GIB = 2**30
LEAST_DISK_BYTES = GIB  # below it a run of any size is soon in trouble
LEAST_MEMORY_BYTES = GIB  # what torch, transformers and TRL take with a tiny model


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "wrong"]  # a note may matter, what is wrong will end a run
    said: str
    todo: str = ""


def examine(recipe: Recipe | None, folder: Path) -> dict[str, Any]:
    """`versions`, `hardware`, `extras` (name -> whether it is installed) and `findings`, each a `Finding` as a dict.

    With a recipe its model, adapter, engines and their endpoints are looked at too. `folder` is where runs are to lie.
    """
    machine = hardware()
    findings = [*_packages(), *_resources(folder, machine), *_gpu(machine)]
    if recipe is not None:
        findings += _recipe(recipe, folder)
    return {
        "versions": versions(), "hardware": machine, "extras": extras(),
        "findings": [asdict(finding) for finding in findings],
    }  # fmt: skip


def extras() -> dict[str, bool]:
    """Whether all packages of each extra are here, in versions that should work."""
    names = metadata.metadata("selfreward").get_all("Provides-Extra") or []
    return {name: not any(_lacking(name)) for name in names}


def _lacking(extra: str = "") -> Iterator[str]:
    """The packages of an extra, or those that are always needed, that are missing or of another version."""
    from packaging.requirements import Requirement

    for text in metadata.requires("selfreward") or []:
        wanted = Requirement(text)
        is_of_extra = "extra" in str(wanted.marker or "")
        if is_of_extra != bool(extra) or (wanted.marker and not wanted.marker.evaluate({"extra": extra})):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            yield f"{wanted.name} is {version} and should be {wanted.specifier}"


def _packages() -> Iterator[Finding]:
    try:
        lacking = list(_lacking())
    except metadata.PackageNotFoundError:
        todo = "pip install it, so that its dependencies are known"
        yield Finding("packages", "note", "selfreward is not installed, it runs from its source", todo)
        return
    if lacking:
        yield Finding("packages", "wrong", "; ".join(lacking), "pip install -c constraints.txt selfreward")
    else:
        yield Finding("packages", "ok", "all there, in versions that should work")


def _resources(folder: Path, machine: dict[str, Any]) -> Iterator[Finding]:
    """Disk, memory and threads."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    state: Literal["ok", "wrong"] = "ok" if free >= LEAST_DISK_BYTES else "wrong"
    yield Finding("disk", state, f"{free / GIB:.1f} GiB free for {folder}", "" if state == "ok" else "make room")
    if not os.access(place, os.W_OK):
        yield Finding("disk", "wrong", f"{place} cannot be written", "give another folder with --to")
    available = _available_bytes()
    if available is not None:
        state = "ok" if available >= LEAST_MEMORY_BYTES else "wrong"
        todo = "" if state == "ok" else "end what fills it, or take a larger machine"
        yield Finding("memory", state, f"{available / GIB:.1f} of {machine['memory_gib']} GiB available", todo)
    cores, threads = machine["cores"], os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > cores:
        todo = f"export OMP_NUM_THREADS={cores}, or set engine.threads"
        yield Finding("threads", "note", f"OMP_NUM_THREADS asks for {threads} threads on {cores} cores", todo)
    else:
        yield Finding("threads", "ok", f"{threads or 'as many as torch likes'} on {cores} cores")


def _available_bytes() -> int | None:
    """Memory that is free or can be freed; None where the system does not say."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _gpu(machine: dict[str, Any]) -> Iterator[Finding]:
    gpus = machine["gpus"]
    if not gpus:
        yield Finding("gpu", "ok", "none: models run on the processor")
        return
    try:
        import torch
    except ImportError as error:
        yield Finding("gpu", "wrong", f"torch cannot be imported: {error}", "install it again")
        return
    if torch.cuda.is_available():
        yield Finding("gpu", "ok", f"torch sees {torch.cuda.device_count()} of {len(gpus)}: {gpus[0]}")
    else:
        todo = "install a build of torch for CUDA, or look at the driver and CUDA_VISIBLE_DEVICES"
        yield Finding("gpu", "wrong", f"{gpus[0]} is here and torch {torch.__version__} does not see it", todo)


def _recipe(recipe: Recipe, folder: Path) -> Iterator[Finding]:
    """What a recipe names: its model, adapter, engines, and the servers that these ask."""
    from selfreward.engines import check_engine
    from selfreward.judges.grounded import check_evidence
    from selfreward.models import is_hub_name, resolve_model
    from selfreward.training.adapters import check_adapter

    yield _checked("adapter", recipe.adapter.kind, lambda: check_adapter(recipe.adapter))
    for engine in recipe.engines:
        yield _checked("engine", f"{engine.name} {engine.server.url or ''}".strip(), partial(check_engine, engine))
    if recipe.judge.database:
        yield _checked("database", recipe.judge.database, lambda: check_evidence(recipe.judge))
    for engine in recipe.engines:
        if engine.trust_remote_code:
            todo = "set engine.trust_remote_code=false unless the model needs it and you trust its makers"
            yield Finding("engine", "note", f"code that comes with {recipe.model} will run with your rights", todo)
    if is_hub_name(recipe.model):
        yield Finding("model", "note", f"{recipe.model} is on the hub and is fetched when the run begins")
        return
    yield _checked("model", recipe.model, lambda: resolve_model(recipe.model, recipe.revision))
    weights = sum(file.stat().st_size for file in _weights(recipe))
    needed = weights * (recipe.rounds + 2)  # the baseline, M1, and a model for each round
    free = shutil.disk_usage(next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())).free
    if needed > free:
        said = f"{recipe.rounds + 2} models take {needed / GIB:.1f} GiB at least, {free / GIB:.1f} are free"
        yield Finding("disk", "wrong", said, "make room, or give another folder with --to")


def _weights(recipe: Recipe) -> Iterator[Path]:
    """The weight files of a model that is here; none where it cannot be used."""
    from selfreward.models import resolve_model

    try:
        yield from Path(resolve_model(recipe.model, recipe.revision)).glob("*.safetensors")
    except BadInput:
        return


def _checked(name: str, what: str, check: Callable[[], object]) -> Finding:
    """A check that raises BadInput as a finding."""
    try:
        check()
    except BadInput as error:
        said, _, todo = str(error).rpartition("; ")
        return Finding(name, "wrong", said or todo, todo if said else "")
    return Finding(name, "ok", what)
