"""The benchmark of a GPU, in small on a processor: every figure is there and follows from what was timed."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support_benchmarks import load

BENCHMARK = load("gpu")
SMALL = {
    "device": "cpu", "peak-flops": 1e12, "layers": 1, "width": 32, "mlp": 48, "heads": 2, "kv-heads": 1, "vocabulary": 3000,
    "runs": 2, "batch": 4, "prompts": 4, "samples": 2, "rubric-tokens": 40, "prompt-tokens": 10, "new-tokens": 6,
    "row-tokens": 20, "rows": 4, "device-batch": 2, "steps": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    return dict(BENCHMARK.measure(BENCHMARK.parse([f"--{name}={value}" for name, value in SMALL.items()])))


def test_every_figure_is_there_and_is_a_number(found: dict[str, Any]) -> None:
    for key in ("decode_ratio", "judging_ratio", "sft_mfu", "dpo_mfu", "peak_bytes"):
        assert found[key] > 0 and math.isfinite(found[key])
    assert found["device"] == "cpu"
    assert found["model_parameters"] == 2 * 3000 * 32 + 32 * (32 + 32 + 16 + 16) + 3 * 32 * 48 + 3 * 32


def test_both_sides_write_all_that_was_asked_for(found: dict[str, Any]) -> None:
    for name, samples in (("decode", 2), ("judging", 3)):
        for run in found[f"{name}_runs"]:
            assert run["local_engine"]["tokens"] == run["transformers"]["tokens"] == 4 * samples * 6


def test_a_judgement_is_all_votes_on_one_response(found: dict[str, Any]) -> None:
    runs = sorted(4 / run["local_engine"]["s"] for run in found["judging_runs"])
    assert runs[0] <= found["judgements_per_s"]["local_engine"] <= runs[-1]


def test_the_share_of_the_peak_is_six_flops_a_parameter_and_token(found: dict[str, Any]) -> None:
    for method, tokens in (("sft", 4 * 20), ("dpo", 4 * 2 * 20)):
        flops = 6 * found["model_parameters"] * tokens
        assert found[f"{method}_mfu"] == pytest.approx(flops / found[f"{method}_step_s"] / 1e12)
        assert found[f"{method}_tokens_per_s"] == pytest.approx(tokens / found[f"{method}_step_s"])


def test_the_first_step_is_not_timed() -> None:
    clock = BENCHMARK.Clock()
    clock.ends = [100.0, 101.0, 104.0]
    assert clock.step_s() == 2.0


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", None),
    ],
)
def test_the_peak_is_that_of_the_device_and_never_guessed(
    name: str, peak: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: name)
    if peak:
        assert BENCHMARK.peak_flops("cuda") == peak
    else:
        with pytest.raises(SystemExit, match="give --peak-flops"):
            BENCHMARK.peak_flops("cuda")


def test_its_table_is_made_of_the_result(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = load("tables")
    (tmp_path / "gpu.json").write_text(json.dumps(found))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| judgements per second | " in tables.filled("<!-- table: gpu -->\n<!-- end -->")
    (tmp_path / "gpu.json").unlink()
    assert "Not measured yet" in tables.filled("<!-- table: gpu -->\n<!-- end -->")
