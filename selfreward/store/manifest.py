"""The manifest of a run: size and SHA-256 of every file that is finished, which is how a byte that changes later is found.

A file is recorded when the stage that made it ends, once it is whole on the disk; of a model folder that is after its
rename. Metrics and logs are recorded where a launch ends well. Nothing records the lock, and the report, which can be made
again from the rest.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from selfreward.errors import BadInput
from selfreward.records import Record
from selfreward.stamp import file_hash
from selfreward.store.files import read_json, write_json, writing

MANIFEST_FILE = "manifest.json"


class Sealed(Record):
    """What a file was when it was finished."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def read_manifest(run: Path) -> dict[str, Sealed]:
    """Path from the run's folder -> what was recorded; empty where there is no manifest. BadInput for a damaged one."""
    path = run / MANIFEST_FILE
    if not path.exists():
        return {}
    found = read_json(path)
    try:
        return {name: Sealed.model_validate(value) for name, value in found.items()}
    except (AttributeError, ValidationError):
        raise BadInput("not a manifest of a run", path, "delete it to have it made again") from None


def seal(run: Path, *names: str) -> None:
    """Records files, and all files of folders, given by their paths from the run's folder; those that are not there are not.

    One that is recorded at the size it has is not read again, so that a large run is continued at once: it is for
    `selfreward verify` to compare the contents.
    """
    sealed = read_manifest(run)
    found: dict[str, Sealed] = {}
    with writing(run / MANIFEST_FILE):
        for path in (file for name in names for file in _files(run / name)):
            name, size = str(path.relative_to(run)), path.stat().st_size
            if name not in sealed or sealed[name].bytes != size:
                found[name] = Sealed(bytes=size, sha256=file_hash(path))
    if found:
        _write(run, sealed | found)


def forget_missing(run: Path) -> list[str]:
    """Takes files that are gone out of the manifest, since a run makes them again; returns their names."""
    sealed = read_manifest(run)
    gone = [name for name in sealed if not (run / name).exists()]
    if gone:
        _write(run, {name: what for name, what in sealed.items() if name not in gone})
    return gone


def _files(path: Path) -> Iterator[Path]:
    """A file, or all files in a folder."""
    return (file for file in (path, *path.rglob("*")) if file.is_file())


def _write(run: Path, sealed: dict[str, Sealed]) -> None:
    write_json(run / MANIFEST_FILE, {name: sealed[name].model_dump() for name in sorted(sealed)})
