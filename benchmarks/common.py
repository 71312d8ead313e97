"""What every benchmark writes beside its figures: hardware, commit and the command that made them."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from selfreward.stamp import git_commit, hardware
from selfreward.store import write_json

RESULTS = Path(__file__).parent / "results"


def write_results(name: str, figures: dict[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json and return its path."""
    path = RESULTS / f"{name}.json"
    command = shlex.join(["python", *(Path(a).name if Path(a).is_absolute() else a for a in sys.argv)])
    write_json(path, {**figures, "hardware": hardware(), "commit": git_commit(), "command": command})
    print(json.dumps(figures, indent=1)[:4000])
    return path
