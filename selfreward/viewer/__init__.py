"""`selfreward view`: a local web app to browse runs, for one person on one machine.

`runs` finds runs and their files, `kinds` says what their lines hold, `lines` reads some of them wherever they stand, `index`
and `indexes` make them searchable, `lineage` follows the ids, `workers` and `judging` judge again, `guard` keeps other
websites out, `pages` and `app` answer requests. Nothing of a run is changed but its labels.
"""

from importlib.util import find_spec

from selfreward.errors import BadInput


def require() -> None:
    """BadInput where the packages of the extra `view` are missing."""
    if missing := [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]:
        todo = "install it with: pip install 'selfreward[view]'"
        raise BadInput(f"needs {' and '.join(missing)}, which is not installed", "view", todo)
