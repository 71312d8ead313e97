"""selfreward: train language models that are their own judge (arXiv 2401.10020).

`import selfreward as sr` is all that a script or a notebook needs: the names below are those of `selfreward.api`, which is
loaded with the first of them.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "BadInput", "Recipe", "Run", "StageFailed", "ask", "compare", "judge", "load_recipe", "load_run", "plan", "run", "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("selfreward.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
