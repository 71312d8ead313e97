"""What the tests in a browser share."""

from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]  # takes an address, a width and a colour scheme; gives playwright's page


def violations(page: Any) -> list[str]:
    """What axe finds wrong with a page for people who see, hear or move otherwise than most."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]
