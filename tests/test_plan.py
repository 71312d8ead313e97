"""The plan: formulas that scale as they must, known shapes, and one clear line where something is missing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console
from safetensors.numpy import save_file
from typer.testing import CliRunner

from selfreward import planning
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.judges.shown import judge_prompt
from selfreward.planning import HARDWARE, Hardware, beside, plan, render_plan, shape_of
from selfreward.planning.shape import adapter_parameters
from selfreward.recipe import Recipe, load_recipe

SLOW = Hardware("slow", flops=1e10, bandwidth=1e9, memory_bytes=1e9, op_s=0.0, weight_bytes=4)
GPU = replace(SLOW, weight_bytes=2)
LLAMA_70B = "{parameters: 68976648192, layers: 80, width: 8192, kv_width: 1024, vocabulary: 32000}"


def micro(*overrides: str) -> Recipe:
    return load_recipe("micro", list(overrides))


def processes(num: int, config: str = "ddp") -> tuple[str, ...]:
    """Overrides that train in several processes."""
    return ("training.launcher=accelerate", f"training.processes={num}", f"training.config={config}")


def stage(found: dict, name: str) -> dict:
    return next(one for one in found["stages"] if one["name"] == name)


def test_the_stages_are_those_of_a_run_in_its_order() -> None:
    names = [one["name"] for one in plan(micro(), SLOW)["stages"]]
    assert names[:5] == ["train sft", "sft eval_responses", "sft eval_judgements", "seed eft_judgements", "train m1"]
    assert [name for name in names if name.startswith("m3") or name == "train m3"] == [
        "m3 prompts", "m3 responses", "m3 judgements", "train m3", "m3 eval_responses", "m3 eval_judgements"
    ]  # fmt: skip


def test_models_of_a_run_on_peoples_data_answer_the_prompts_of_its_held_out_sets() -> None:
    found = {
        num: plan(Recipe.of({**load_recipe("paper").model_dump(), "evaluation": {"num_prompts": 256, "num_ranked_sets": num}}), GPU)
        for num in (190, 300)
    }  # fmt: skip
    written = {num: stage(one, "m1 eval_responses")["written_tokens"] for num, one in found.items()}
    assert written[300] / written[190] == pytest.approx(256 / 190)


def stopping(by: str, every: int = 10) -> tuple[str, ...]:
    """Overrides that stop trainings early: 4 snapshots of the 40 steps of a round, or as many as `every` makes."""
    early = {"by": by, "every": every, "prompts": 50}
    size = ("prompts.num=640", "plan.paired=1", "dpo.batch=32", "dpo.epochs=2", "rounds=1")
    assumed = ("plan.prompt_tokens=10", "plan.response_tokens=20", "plan.judgement_tokens=30", "judge.votes=2")
    return (*size, *assumed, *(f"training.early_stopping.{name}={value}" for name, value in early.items()))


@pytest.mark.parametrize(
    ("by", "written"),
    [
        ("scores", {"responses": 4 * 50 * 20, "judgements": 4 * 50 * 2 * 30}),
        ("pairwise", {"responses": 4 * 50 * 20, "meetings": 3 * 50 * 2 * 30}),
        ("health", {"judgements": 4 * 50 * 3 * 3 * 30}),  # three ranked responses, three votes
    ],
)
def test_early_stopping_is_priced_as_if_all_snapshots_were_looked_at(by: str, written: dict[str, int]) -> None:
    found = plan(micro(*stopping(by)), SLOW)
    names = [one["name"] for one in found["stages"]]
    assert names[names.index("train m2") + 1 : names.index("m2 eval_responses")] == [
        f"m2 validation_{name}" for name in written
    ]
    for name, tokens in written.items():
        assert stage(found, f"m2 validation_{name}")["written_tokens"] == tokens


def test_a_single_snapshot_is_compared_with_nothing_and_all_of_them_take_room() -> None:
    one, four = (plan(micro(*stopping("scores", every)), SLOW) for every in (40, 10))
    assert not any("validation" in stage["name"] for stage in one["stages"])
    parameters = one["shape"]["parameters"]
    more_text = 8 * (four["total"]["written_tokens"] - one["total"]["written_tokens"])
    assert four["disk_bytes"] - one["disk_bytes"] == pytest.approx(3 * 4 * parameters + more_text)


def test_verdicts_of_a_judge_elsewhere_take_no_time_here() -> None:
    judge = "judge.engine={name: server, server: {url: 'http://h/v1', model: m}}"
    found = stage(plan(micro(*stopping("pairwise"), judge), SLOW), "m2 validation_meetings")
    assert (found["elsewhere"], found["seconds"]) == (True, 0) and found["read_tokens"] > 0


def test_without_an_eft_seed_nothing_is_judged_for_one() -> None:
    assert "seed eft_judgements" not in [one["name"] for one in plan(micro("seeds.num_eft_prompts=0"), SLOW)["stages"]]


def test_the_shape_of_m0_is_read_from_its_headers() -> None:
    shape = shape_of("micro-m0")
    assert (shape.parameters, shape.layers, shape.width, shape.kv_width) == (674_688, 4, 128, 64)


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


@pytest.mark.parametrize("change", ["strategy=frozen_reward_model", "judge.name=reward_model"])
def test_a_reward_model_is_made_once_and_reads_in_place_of_a_judge_that_writes(change: str) -> None:
    found = plan(micro(change, "seeds.num_eft_prompts=10", "plan.prompt_tokens=10", "plan.response_tokens=20"), SLOW)
    names = [one["name"] for one in found["stages"]]
    assert [name for name in names if "reward_model" in name] == ["train reward_model", "reward_model eval_judgements"]
    assert names.index("m2 responses") < names.index("train reward_model") < names.index("m2 judgements")
    assert stage(found, "train reward_model")["trained_tokens"] == 10 * 3 * 2 * 30 * micro().reward_model.epochs
    judged = stage(found, "m3 judgements")
    assert (judged["read_tokens"], judged["written_tokens"]) == (micro().prompts.num * 4 * 30, 0)


def test_a_round_of_rlhf_is_drawn_read_and_trained_on_in_one_stage() -> None:
    settings = (
        "prompts.num=100",
        "plan.prompt_tokens=10",
        "plan.response_tokens=20",
        "rl.num_samples=5",
        "rl.epochs=2",
    )
    found = plan(micro("strategy=rlhf", *settings), SLOW)
    assert [one["name"] for one in found["stages"] if one["name"].endswith("m3") or one["name"].startswith("m3")] == [
        "m3 prompts", "train m3", "m3 eval_responses", "m3 eval_judgements"
    ]  # fmt: skip
    taught = stage(found, "train m3")
    rows = 100 * 2 * 5
    assert taught["written_tokens"] == rows * 20
    assert taught["read_tokens"] == 100 * 2 * 10 + 2 * rows * 30  # sampling; reward model and policy
    assert taught["trained_tokens"] == 2 * rows * 30  # with the reference


def test_every_round_is_priced_by_its_own_recipe() -> None:
    schedule = "schedule=[{prompts.num: 100}, {prompts.num: 300, judge.votes: 2, strategy: frozen_reward_model}]"
    found = plan(micro(schedule, "plan.response_tokens=20", "plan.judgement_tokens=30"), SLOW)
    assert [stage(found, f"{name} responses")["written_tokens"] for name in ("m2", "m3")] == [
        100 * 4 * 20,
        300 * 4 * 20,
    ]
    assert stage(found, "m2 judgements")["written_tokens"] == 100 * 4 * 3 * 30
    assert stage(found, "m3 judgements")["written_tokens"] == 0
    names = [one["name"] for one in found["stages"]]
    assert names.index("m3 responses") < names.index("train reward_model") < names.index("m3 judgements")
    assert names.count("train reward_model") == 1
    assert found["priced_as_self_rewarding"] == []


def test_what_has_no_formula_of_its_own_is_said_to_be_priced_as_self_rewarding() -> None:
    found = plan(micro("strategy=spin", "schedule=[{}, {strategy: irpo, judge.name: pairwise}]"), SLOW)
    assert found["priced_as_self_rewarding"] == ["spin", "pairwise"]
    console = Console(record=True, width=200)
    render_plan(found, console)
    assert "spin, pairwise: priced as self_rewarding" in console.export_text()


def test_arithmetic_and_traffic_bind_in_turn() -> None:
    fast_memory, fast_units = replace(SLOW, bandwidth=1e15), replace(SLOW, flops=1e18)
    for bound in (fast_memory, fast_units):
        seconds = stage(plan(micro(), bound), "m2 judgements")["seconds"]
        twice = replace(bound, flops=2 * bound.flops, bandwidth=2 * bound.bandwidth)
        assert stage(plan(micro(), twice), "m2 judgements")["seconds"] == pytest.approx(seconds / 2)
    assert plan(micro(), replace(SLOW, op_s=1e-3))["total"]["seconds"] > plan(micro(), SLOW)["total"]["seconds"]


def test_devices_share_what_is_generated_and_processes_what_is_trained() -> None:
    one, eight = (plan(micro(f"plan.devices={num}"), GPU) for num in (1, 8))
    spread = plan(micro("plan.devices=8", *processes(8)), GPU)
    for before, devices, both in zip(one["stages"], eight["stages"], spread["stages"], strict=True):
        trained = before["name"].startswith("train")
        assert devices["seconds"] == pytest.approx(before["seconds"] / (1 if trained else 8))
        assert both["seconds"] == pytest.approx(before["seconds"] / 8)
        assert both["trained_tokens"] == before["trained_tokens"]
        if not trained:
            assert devices["memory_bytes"] == both["memory_bytes"] == pytest.approx(before["memory_bytes"] / 8)


def test_every_process_starts_its_own_operations() -> None:
    slow_to_start = replace(GPU, flops=1e30, op_s=1e-3)
    one, eight = (stage(plan(micro(*more), slow_to_start), "train m2") for more in ((), processes(8)))
    assert eight["seconds"] == pytest.approx(one["seconds"])


def test_sft_of_70_billion_parameters_does_not_fit_one_h100_and_fits_a_cluster_that_splits_it() -> None:
    overrides = (f"plan.shape={LLAMA_70B}", "plan.devices=64", "engine.batch_size=8", "sft.batch=64", "dpo.batch=64")
    for more, fits in (((), False), (processes(64), False), (processes(64, "fsdp2"), True)):
        found = plan(micro(*overrides, *more), HARDWARE["h100"])
        assert found["fits"] is fits
    assert 16 * 68.9e9 / 64 < stage(found, "train m1")["memory_bytes"] < 80e9


SMALL = "{parameters: 328, layers: 2, width: 4, kv_width: 2, vocabulary: 10}"  # 10 x 4 + 2 x (2 x 4 x 6 + 3 x 4 x 8)
KEPT = 2 * 4 * 12 * 4 + 8 * 10  # bytes a token: a dozen states a layer, logits and their gradients
RECOMPUTED = 2 * 4 * 2 + 8 * 10  # one state a layer: the others are computed again


def small(*overrides: str) -> Recipe:
    """Rows of 30 tokens of a model of 328 parameters."""
    lengths = ("plan.prompt_tokens=10", "plan.response_tokens=20", "plan.judgement_tokens=5")
    return micro(f"plan.shape={SMALL}", *lengths, "seeds.num_ift=100", "sft.epochs=1", "sft.batch=8", *overrides)


def test_an_adapter_has_its_rank_times_both_sides_of_every_linear_layer() -> None:
    shape = Recipe.of({"name": "x", "plan": {"shape": yaml.safe_load(SMALL)}}).plan.shape
    assert shape is not None
    assert adapter_parameters(shape, 3) == pytest.approx(3 * 2 * (8 + 8 + 6 + 6 + 12 + 12 + 12))


@pytest.mark.parametrize(
    ("adapter", "held"),
    [
        ("{}", 16 * 328),
        ("{kind: lora, rank: 3}", 4 * 328 + 16 * 384),
        ("{kind: qlora, rank: 3}", 0.55 * 328 + 16 * 384),
    ],
)
def test_training_holds_16_bytes_of_what_is_trained_the_frozen_weights_and_one_row(adapter: str, held: float) -> None:
    found = plan(small(f"adapter={adapter}"), SLOW)
    assert stage(found, "train sft")["memory_bytes"] == pytest.approx(held + 30 * KEPT)
    assert stage(found, "train m2")["memory_bytes"] == pytest.approx(held + 2 * 30 * KEPT)  # chosen and rejected
    in_bfloat16 = plan(small(f"adapter={adapter}"), GPU)
    saved = 2 * 328 if "lora" in adapter.replace("qlora", "") else 0
    assert stage(in_bfloat16, "train sft")["memory_bytes"] == pytest.approx(held - saved + 30 * RECOMPUTED)


@pytest.mark.parametrize(
    ("device_batch", "num", "rows"),
    [(4, 1, 4), (1000, 1, 8), (4, 4, 2), (1000, 4, 2)],  # of a batch of 8, which the processes share
)
def test_a_process_holds_the_rows_that_the_recipe_says_of_its_part_of_a_batch(
    device_batch: int, num: int, rows: int
) -> None:
    more = processes(num) if num > 1 else ()
    found = plan(small(f"training.device_batch={device_batch}", *more), GPU)
    assert stage(found, "train sft")["memory_bytes"] == pytest.approx(16 * 328 + rows * 30 * RECOMPUTED)


@pytest.mark.parametrize("config", ["fsdp2", "deepspeed_zero3"])
def test_split_weights_are_a_part_for_each_process_and_a_layer_that_is_gathered(config: str) -> None:
    found = plan(small(*processes(4, config)), GPU)
    held = 16 * 328 / 4 + 2 * 328 / 2
    assert stage(found, "train sft")["memory_bytes"] == pytest.approx(held + 30 * RECOMPUTED)


def test_a_configuration_of_the_users_splits_where_it_says_so(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("{distributed_type: FSDP, fsdp_config: {fsdp_version: 2}}")
    assert plan(small(*processes(4, str(mine))), GPU)["stages"] == plan(small(*processes(4, "fsdp2")), GPU)["stages"]
    with pytest.raises(BadInput, match="no such configuration: fsdp"):
        plan(small(*processes(4, "fsdp")), GPU)


def test_processes_without_gpus_share_the_processor_and_its_memory() -> None:
    one, two = (stage(plan(small(*more), SLOW), "train m2") for more in ((), processes(2)))
    assert two["seconds"] == pytest.approx(one["seconds"])
    assert two["memory_bytes"] == pytest.approx(2 * one["memory_bytes"])


def test_the_table_says_what_the_training_takes_where_that_is_not_what_generates() -> None:
    console = Console(record=True, width=200)
    for more, note in (
        ((), None),
        (("plan.devices=8",), "training takes one of the 8 devices"),
        (processes(4, "fsdp2"), "training in 4 processes (fsdp2)"),
    ):
        render_plan(plan(small(*more), GPU), console)
        text = console.export_text()
        assert note in text if note else "training" not in text


@pytest.mark.parametrize(("adapter", "of_weights"), [("{}", 6 * 328), ("{kind: lora}", 4 * 328)])
def test_frozen_weights_have_no_gradient(adapter: str, of_weights: int) -> None:
    attention = 6 * 2 * 4 * 30
    found = plan(small(f"adapter={adapter}"), SLOW)
    flops = 100 * 30 * (of_weights + attention)
    assert stage(found, "train sft")["seconds"] == pytest.approx(flops / (0.4 * 1e10))
    recomputed = 100 * 30 * (2 * 328 + attention / 3)
    found = plan(small(f"adapter={adapter}"), GPU)
    assert stage(found, "train sft")["seconds"] == pytest.approx((flops + recomputed) / (0.4 * 1e10))


def test_the_checkpoint_of_an_adapter_is_as_small_as_the_adapter() -> None:
    whole, adapted = (plan(small(f"adapter={adapter}"), SLOW) for adapter in ("{}", "{kind: lora, rank: 3}"))
    assert whole["disk_bytes"] - adapted["disk_bytes"] == pytest.approx(12 * (328 - 384))


SERVED = "judge.engine={name: server, server: {url: 'http://h/v1', model: big}}"


def test_a_judge_on_a_server_takes_no_time_or_memory_here_and_the_table_says_so() -> None:
    here, served = plan(small(), SLOW), plan(small(SERVED), SLOW)
    for one, other in zip(served["stages"], here["stages"], strict=True):
        if one["name"] in ("m2 judgements", "m3 judgements"):
            assert (one["seconds"], one["memory_bytes"], one["elsewhere"]) == (0, 0, True)
            assert one["written_tokens"] == other["written_tokens"]
        else:
            assert one == other and not one["elsewhere"]
    console = Console(record=True, width=200)
    for found in (here, served):
        render_plan(found, console)
        assert ("has an engine of its own" in console.export_text()) is (found is served)


def test_a_judge_with_an_engine_on_this_machine_takes_its_time_with_its_own_batches() -> None:
    own = plan(small("judge.engine={name: local, batch_size: 1}", "engine.batch_size=64"), SLOW)
    singly = plan(small("engine.batch_size=1"), SLOW)
    assert not any(one["elsewhere"] for one in own["stages"])
    assert stage(own, "m2 judgements") == stage(singly, "m2 judgements")
    assert stage(own, "m2 eval_judgements") != stage(singly, "m2 eval_judgements")


def test_what_a_judge_reads_and_writes_depends_on_how_its_points_are_read() -> None:
    votes, expected, direct = (
        plan(small(*changes), SLOW)
        for changes in ((), ("judge.read=expected",), ("judge.read=direct", "judge.votes=1"))
    )  # fmt: skip
    first, again, once = (stage(found, "m2 judgements") for found in (votes, expected, direct))
    num = micro().prompts.num * micro().responses.num_samples
    assert (again["written_tokens"], once["written_tokens"]) == (first["written_tokens"], 0)
    assert once["read_tokens"] == first["read_tokens"]
    assert again["read_tokens"] > first["read_tokens"] + num * 3 * (30 + 5)  # and the rubric, once a batch
    assert once["seconds"] < first["seconds"] < again["seconds"]
    assert stage(votes, "seed eft_judgements") == stage(direct, "seed eft_judgements")  # always in words


def test_a_grounded_judge_reads_its_evidence_beside_every_response() -> None:
    grounded = (
        "judge.name=grounded",
        "judge.database=micro",
        "judge.template=micro_grounded",
        "plan.evidence_tokens=7",
    )
    plain, shown = plan(small(), SLOW), plan(small(*grounded), SLOW)
    num = micro().prompts.num * micro().responses.num_samples
    for name, responses in (("m2 judgements", num), ("m1 eval_judgements", 900), ("seed eft_judgements", 1500)):
        assert stage(shown, name)["read_tokens"] == stage(plain, name)["read_tokens"] + 7 * responses
    assert stage(shown, "train m1")["trained_tokens"] > stage(plain, "train m1")["trained_tokens"]
    assert stage(shown, "train sft") == stage(plain, "train sft")


def test_a_served_judge_costs_its_price_for_what_it_reads_and_writes_in_the_rounds() -> None:
    num = 2 * micro().prompts.num * micro().responses.num_samples  # in two rounds
    rubric = round(1.3 * len(judge_prompt("micro", "", "").split()))
    found = plan(small(SERVED, "plan.judge_price=[1, 2]"), SLOW)
    assert found["cost"] == pytest.approx(num * ((rubric + 30) + 2 * 3 * 5) / 1e6)
    assert plan(small(SERVED), SLOW)["cost"] is None
    with pytest.raises(BadInput, match=r"plan\.judge_price: .*judge\.engine"):
        plan(small("plan.judge_price=[1, 2]"), SLOW)


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
