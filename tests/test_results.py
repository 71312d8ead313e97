"""The figures in the documents are those of the result files, and the result files hold what their readers need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"


def test_every_table_in_the_documents_is_what_the_results_give() -> None:
    check = subprocess.run(
        [sys.executable, "benchmarks/tables.py", "--check"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_every_result_names_its_hardware_commit_and_command(file: Path) -> None:
    result = json.loads(file.read_text())
    assert result["hardware"] and result["commit"] and result["command"].startswith("python ")


def test_the_effect_is_given_for_every_model_and_every_control() -> None:
    effect = json.loads((RESULTS / "micro_effect.json").read_text())
    assert list(effect["scores"])[:4] == ["sft", "m1", "m2", "m3"]
    assert {"random_judge", "oracle_judge"} <= effect.keys()
    for name in ("random_judge", "oracle_judge", "positives_only", "no_eft", None):
        variant = effect if name is None else effect.get(name)
        if variant is not None:
            assert {"scores", "m2_minus_m1", "m3_minus_m2", "m3_vs_sft", "judge_pairwise"} <= variant.keys()
            assert len(variant["m3_vs_sft"]["per_seed"]) == len(variant["seeds"]) >= 3
