"""A run to look at, and where its indexes go."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_view import write_run

from selfreward.viewer.indexes import Indexes


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is written once: every file of it waits for the disk."""
    return write_run(tmp_path_factory.mktemp("written") / "run")


@pytest.fixture
def run(written: Path, tmp_path: Path) -> Path:
    """A run of a test's own."""
    return Path(shutil.copytree(written, tmp_path / "runs" / "looked-at"))


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[Indexes]:
    made = Indexes(tmp_path / "cache")
    yield made
    made.close()
