"""What a measurement needs that is installed only where it is asked for: the extra `eval`."""

from collections.abc import Iterable
from importlib.util import find_spec

from selfreward.errors import BadInput


def require(modules: Iterable[str], what: str) -> None:
    """BadInput that names the modules which `what` needs and which are not installed."""
    missing = sorted({module for module in modules if find_spec(module) is None})
    if missing:
        todo = "install it with: pip install 'selfreward[eval]'"
        raise BadInput(f"needs {' and '.join(missing)}, which is not installed", what, todo)
