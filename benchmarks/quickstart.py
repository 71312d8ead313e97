"""How long the newcomer waits: wall-clock time of `selfreward run micro` and `micro-fast`, and where it goes.

python benchmarks/quickstart.py
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import write_results

REPOSITORY = Path(__file__).parent.parent


def timed_run(recipe: str, folder: Path) -> tuple[float, dict[str, float]]:
    """Seconds of one run from the start of its process to its end, and of its stages."""
    command = [sys.executable, "-m", "selfreward.cli", "run", recipe, "--quiet", "--to", str(folder)]
    start = time.monotonic()
    subprocess.run(command, cwd=REPOSITORY, check=True)
    wall_s = time.monotonic() - start
    stages: dict[str, float] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        metric = json.loads(line)
        if "stage" in metric:
            stages[metric["stage"]] = round(stages.get(metric["stage"], 0.0) + metric["seconds"], 1)
    return round(wall_s, 1), stages


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as work:
        wall_s, stages_s = timed_run("micro", Path(work) / "micro")
        fast_s, _ = timed_run("micro-fast", Path(work) / "micro-fast")
    write_results("quickstart", {"wall_s": wall_s, "stages_s": stages_s, "micro_fast_s": fast_s})


if __name__ == "__main__":
    main()
