"""Several processes: what is refused before anything runs, which rows each takes, and what accelerate is asked for."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from selfreward.errors import BadInput
from selfreward.recipe import Recipe
from selfreward.training import data, processes

TWO = {"launcher": "accelerate", "processes": 2}


def recipe(training: dict[str, Any] | None = None, **sections: Any) -> Recipe:
    return Recipe.of({"name": "x", "training": training or {}, **sections})


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"processes": 2}, "training: launcher: in_process trains in one process"),
        ({"config": "fsdp2"}, "training: launcher: in_process trains in one process"),
        ({"launcher": "accelerate"}, "training: launcher: accelerate starts several processes"),
        ({"launcher": "ray_train", "processes": 1}, "training: launcher: ray_train starts several processes"),
        ({"launcher": "torchrun", "processes": 2}, "training.launcher"),
    ],
)
def test_a_launcher_and_a_number_of_processes_belong_together(training: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        recipe(training)


def test_a_run_that_is_one_of_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match=r"WORLD_SIZE: a run is one process; .*training\.launcher"):
        processes.check_processes(recipe())


@pytest.mark.parametrize(
    ("training", "sections", "said"),
    [
        ({**TWO, "processes": 3}, {}, r"sft\.batch: a batch of 16 does not divide evenly among 3 processes"),
        (TWO, {"dpo": {"batch": 5}}, r"dpo\.batch: a batch of 5 does not divide evenly among 2"),
        ({**TWO, "config": "fsdp"}, {}, r"training\.config: no such configuration: fsdp; did you mean fsdp2\?"),
        ({**TWO, "config": "fsdp2"}, {"adapter": {"kind": "qlora"}}, r"adapter\.kind: qlora is not trained with fsdp2"),
        ({**TWO, "config": "fsdp2"}, {"adapter": {"kind": "lora"}}, r"lora is not trained with fsdp2.*config: ddp"),
        (
            {**TWO, "config": "deepspeed_zero3"},
            {"adapter": {"kind": "lora"}},
            "lora is not trained with deepspeed_zero3",
        ),
        ({**TWO, "config": "deepspeed_zero3"}, {}, r"training\.config: needs deepspeed.*selfreward\[deepspeed\]"),
        ({**TWO, "launcher": "ray_train"}, {}, r"training\.launcher: needs ray.*selfreward\[ray\]"),
        ({**TWO, "launcher": "ray_train", "config": "deepspeed_zero3"}, {}, "DeepSpeed is started by accelerate alone"),
    ],
)
def test_what_cannot_be_had_together_is_refused_in_one_line(
    training: dict[str, Any], sections: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=said) as refused:
        processes.check_processes(recipe(training, **sections))
    assert "\n" not in str(refused.value)


def test_a_ray_cluster_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find_spec", lambda name: object())
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(BadInput, match=r"^127\.0\.0\.1:9: no Ray cluster answers there"):
        processes.check_processes(recipe({**TWO, "launcher": "ray_train"}))


def test_one_process_and_two_that_can_be_had_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find_spec", lambda name: object())
    processes.check_processes(recipe())
    processes.check_processes(recipe(TWO, adapter={"kind": "lora"}))
    processes.check_processes(recipe({**TWO, "launcher": "ray_train", "config": "fsdp2"}))
    processes.check_processes(recipe({**TWO, "config": "deepspeed_zero3"}))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[", "cannot be read"),
        ("just text", "its distributed_type is None"),
        ("distributed_type: XLA", "its distributed_type is XLA; choose from: MULTI_GPU"),
        ("distributed_type: FSDP", "only version 2 of FSDP"),
        ("{distributed_type: FSDP, fsdp_config: {fsdp_version: 1}}", "only version 2 of FSDP"),
        (
            "{distributed_type: MULTI_GPU, num_machines: 3}",
            r"training\.processes: 2 do not divide evenly among 3 machines",
        ),
    ],
)
def test_a_configuration_of_ones_own_is_read_before_anything_runs(config: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(config)
    with pytest.raises(BadInput, match=said):
        processes.check_processes(recipe({**TWO, "config": str(file)}))


def test_too_few_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_num_gpus", lambda: 1)
    with pytest.raises(BadInput, match=r"training\.processes: 2 on a machine want 2 GPUs, it has 1"):
        processes.check_processes(recipe(TWO))


@pytest.mark.parametrize(
    ("config", "on_gpus", "without"),
    [("ddp", "MULTI_GPU", "MULTI_CPU"), ("fsdp2", "FSDP", "FSDP"), ("deepspeed_zero3", "DEEPSPEED", "DEEPSPEED")],
)
def test_what_accelerate_must_make_of_a_configuration(
    config: str, on_gpus: str, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = recipe({**TWO, "config": config}).training
    assert processes.distributed_type(training) == without
    monkeypatch.setattr(processes, "_num_gpus", lambda: 2)
    assert processes.distributed_type(training) == on_gpus
    assert processes.distributed_type(recipe().training) == "NO"


def test_the_shipped_configurations_give_reasons_and_leave_the_recipe_its_say() -> None:
    files = sorted(processes.CONFIGS.glob("*.yaml"))
    assert [file.stem for file in files] == ["ddp", "deepspeed_zero3", "fsdp2"]
    for file in files:
        config = yaml.safe_load(file.read_text())
        assert config["mixed_precision"] == "no"
        assert "num_processes" not in config
        assert all("  # " in line for line in file.read_text().splitlines() if line.startswith("  "))


def test_f24_the_examples_of_the_document_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    sections = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    given = [Recipe.of({"name": "x", **yaml.safe_load(section)}) for section in sections]
    assert 8 in [one.training.processes for one in given]
    (config,) = re.findall(r"<<END\n(.*?)END\n", text, re.DOTALL)
    (tmp_path / "two-nodes.yaml").write_text(config)
    given = recipe({**TWO, "processes": 16, "config": str(tmp_path / "two-nodes.yaml")})
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(BadInput, match="2 machines are started through Slurm, and this is no Slurm job"):
        processes.check_processes(given)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    processes.check_processes(given)
    assert processes.num_machines(given.training) == 2


@given(
    num_rows=st.integers(1, 70), processes=st.integers(2, 4), device_batch=st.integers(1, 3), parts=st.integers(1, 3),
    epoch=st.integers(0, 2),
)  # fmt: skip
def test_together_the_processes_take_the_batches_of_one_process_in_its_order(
    num_rows: int, processes: int, device_batch: int, parts: int, epoch: int
) -> None:
    lengths, batch = [(7 * i) % 61 for i in range(num_rows)], processes * device_batch * parts
    alone = data.LikeLengths(lengths, batch, seed=3)
    together = data.LikeLengths(lengths, batch, seed=3, processes=processes, device_batch=device_batch)
    for order in (alone, together):
        order.set_epoch(epoch)
    one, many = list(alone), list(together)
    assert len(many) == len(together)
    assert len(many) % (processes * device_batch) == 0
    assert len(many) - num_rows < processes * device_batch
    for at in range(0, len(many), batch):
        assert sorted(i for i in many[at : at + batch] if i < num_rows) == sorted(one[at : at + batch])
    # What each process takes last: rows are dealt out evenly.
    last = many[-processes * device_batch :]
    rows = [sum(i < num_rows for i in last[at : at + device_batch]) for at in range(0, len(last), device_batch)]
    assert max(rows) - min(rows) <= 1


def test_a_filler_has_nothing_to_teach() -> None:
    assert data.filler([{"input_ids": [7, 8, 9], "labels": [-100, 8, 9]}]) == {
        "input_ids": [7, 7],
        "labels": [-100, -100],
    }
    pair = {"prompt_ids": [7, 8], "chosen_ids": [9], "rejected_ids": [5]}
    assert data.filler([pair]) == {"prompt_ids": [7, 7], "chosen_ids": [], "rejected_ids": []}
