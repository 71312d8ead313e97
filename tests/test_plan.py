"""The plan: formulas that scale as they must, known shapes, and one clear line where something is missing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from selfreward import plan as planning
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.plan import HARDWARE, Hardware, beside, plan, shape_of
from selfreward.recipe import Recipe, load_recipe

SLOW = Hardware("slow", flops=1e10, bandwidth=1e9, memory_bytes=1e9, op_s=0.0, weight_bytes=4)
LLAMA_70B = "{parameters: 68976648192, layers: 80, width: 8192, kv_width: 1024, vocabulary: 32000}"


def micro(*overrides: str) -> Recipe:
    return load_recipe("micro", list(overrides))


def stage(found: dict, name: str) -> dict:
    return next(one for one in found["stages"] if one["name"] == name)


def test_the_stages_are_those_of_a_run_in_its_order() -> None:
    names = [one["name"] for one in plan(micro(), SLOW)["stages"]]
    assert names[:5] == ["train sft", "sft eval_responses", "sft eval_judgements", "seed eft_judgements", "train m1"]
    assert [name for name in names if name.startswith("m3") or name == "train m3"] == [
        "m3 prompts", "m3 responses", "m3 judgements", "train m3", "m3 eval_responses", "m3 eval_judgements"
    ]  # fmt: skip


def test_without_an_eft_seed_nothing_is_judged_for_one() -> None:
    assert "seed eft_judgements" not in [one["name"] for one in plan(micro("seeds.num_eft_prompts=0"), SLOW)["stages"]]


def test_the_shape_of_m0_is_read_from_its_headers() -> None:
    shape = shape_of("micro-m0")
    assert (shape.parameters, shape.layers, shape.width, shape.kv_width) == (674_304, 4, 128, 64)


def test_tokens_are_counted_by_hand() -> None:
    recipe = micro(
        "prompts.num=100", "responses.num_samples=4", "judge.votes=3", "plan.prompt_tokens=10", "plan.response_tokens=20",
        "plan.judgement_tokens=30", "plan.accepted=0.5", "plan.paired=0.5", "dpo.epochs=2",
    )  # fmt: skip
    found = plan(recipe, SLOW)
    prompts, responses, judgements = (stage(found, f"m2 {name}") for name in ("prompts", "responses", "judgements"))
    assert (prompts["read_tokens"], prompts["written_tokens"]) == (200 * 8 * 10, 200 * 10)
    assert (responses["read_tokens"], responses["written_tokens"]) == (100 * 10, 100 * 4 * 20)
    assert judgements["written_tokens"] == 400 * 3 * 30
    assert stage(found, "train m2")["trained_tokens"] == 50 * 2 * 30 * (2 + 1)  # two epochs and the reference


def test_arithmetic_and_traffic_bind_in_turn() -> None:
    fast_memory, fast_units = replace(SLOW, bandwidth=1e15), replace(SLOW, flops=1e18)
    for bound in (fast_memory, fast_units):
        seconds = stage(plan(micro(), bound), "m2 judgements")["seconds"]
        twice = replace(bound, flops=2 * bound.flops, bandwidth=2 * bound.bandwidth)
        assert stage(plan(micro(), twice), "m2 judgements")["seconds"] == pytest.approx(seconds / 2)
    assert plan(micro(), replace(SLOW, op_s=1e-3))["total"]["seconds"] > plan(micro(), SLOW)["total"]["seconds"]


def test_devices_share_time_and_memory() -> None:
    one, eight = (plan(micro(f"plan.devices={num}"), SLOW) for num in (1, 8))
    assert eight["total"]["seconds"] == pytest.approx(one["total"]["seconds"] / 8)
    assert eight["total"]["memory_bytes"] == pytest.approx(one["total"]["memory_bytes"] / 8)


def test_sft_of_70_billion_parameters_does_not_fit_one_h100_and_fits_a_cluster() -> None:
    for devices, fits in ((1, False), (64, True)):
        overrides = (f"plan.shape={LLAMA_70B}", f"plan.devices={devices}", "engine.batch_size=8", "sft.batch=16")
        found = plan(micro(*overrides), HARDWARE["h100"])
        assert found["fits"] is fits
    assert 16 * 68.9e9 / 64 < stage(found, "train m1")["memory_bytes"] < 80e9


def test_a_served_judge_costs_its_price() -> None:
    found = plan(micro("plan.judge_price=[1, 2]"), SLOW)
    judged = [one for one in found["stages"] if one["name"].endswith("judgements")]
    by_hand = sum(one["read_tokens"] + 2 * one["written_tokens"] for one in judged) / 1e6
    assert found["cost"] == pytest.approx(by_hand)
    assert plan(micro(), SLOW)["cost"] is None


def test_measured_seconds_stand_beside_the_predicted() -> None:
    rows = beside([{"name": "a", "seconds": 2.0}, {"name": "b", "seconds": 1.0}], [{"stage": "a", "seconds": 4.0}])
    assert [(row["measured_s"], row["ratio"]) for row in rows] == [(4.0, 0.5), (None, None)]


def test_unknown_hardware_and_an_unknown_shape_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean h100"):
        plan(micro("plan.hardware=h1000"))
    with pytest.raises(BadInput, match=r"plan\.shape"):
        plan(micro("model=some-org/some-model"), SLOW)
    (tmp_path / "config.json").write_text('{"model_type": "rwkv"}')
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(BadInput, match=r"num_attention_heads.*plan\.shape"):
        shape_of(str(tmp_path))


def test_this_machine_is_measured() -> None:
    found = planning.measure()
    assert found.flops > 1e8 and found.bandwidth > 1e7 and 0 < found.op_s < 1e-2


def test_the_command_prints_the_plan_and_as_json_too() -> None:
    arguments = ["plan", "micro", "--set", "plan.hardware=h100"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0 and "train m3" in shown.stdout and "h100" in shown.stdout
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert found["recipe"] == "micro" and len(found["stages"]) > 10
    assert CliRunner().invoke(app, ["plan", "micro", "--set", "plan.hardware=h1"]).exit_code == 2
