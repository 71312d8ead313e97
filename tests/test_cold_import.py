"""What only asks for help or shows a run starts at once: no torch, and in less than half a second."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfreward.recipe import Recipe, to_yaml

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "trl", "datasets", "accelerate")
SPY = f"""
import sys
from selfreward.cli import app
try:
    app(sys.argv[1:])
finally:
    heavy = [name for name in {HEAVY} if name in sys.modules]
    print("HEAVY", *heavy, file=sys.stderr)
"""


@pytest.fixture
def run_folder(tmp_path: Path) -> str:
    (tmp_path / "recipe.yaml").write_text(to_yaml(Recipe(name="x")))
    (tmp_path / "verdicts.jsonl").write_text('{"id": 1, "order": 0, "winner": 1}\n')
    return str(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["run", "--help"],
        ["show", "RUN"],
        ["report", "RUN"],
        ["recipes", "show", "micro"],
        ["view", "--help"],
        ["watch", "--help"],
        ["eval", "head-to-head", "--verdicts", "RUN/verdicts.jsonl"],
    ],
)
def test_light_commands_import_nothing_heavy(command: list[str], run_folder: str) -> None:
    words = [word.replace("RUN", run_folder) for word in command]
    done = subprocess.run([sys.executable, "-c", SPY, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "HEAVY"


def test_help_costs_less_than_half_a_second() -> None:
    """The best of five, in CPU seconds of the child, so that a busy machine does not count."""
    seconds = []
    for _ in range(5):
        command = [sys.executable, "-m", "selfreward.cli", "--help"]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        seconds.append(usage.ru_utime + usage.ru_stime)
    assert min(seconds) < 0.5
