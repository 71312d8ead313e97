"""Two processes teach what one does: over gloo, with DDP and with FSDP, through a kill and on to the end."""

import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import support_processes
import torch
from support_lessons import lessons

from selfreward.chat import load_tokenizer
from selfreward.errors import StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.training import dpo, train, trainer
from selfreward.training.order import Order
from selfreward.training.reference import read_log_probs

launching = import_module("selfreward.training.launch")

# 19 rows in batches of 8: the last batch of an epoch has 3, which two processes cannot share evenly.
LESSONS = lessons(19)
TWO = {"launcher": "accelerate", "processes": 2, "device_batch": 2}
LOGGED = (
    "loss",
    "learning_rate",
    "grad_norm",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "accuracy",
    "margin",
)


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Folder of a random Llama of 2 layers and width 32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=512, initializer_range=0.15, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("small_model")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


Taught = Callable[..., tuple[Path, list[dict[str, Any]]]]


@pytest.fixture
def taught(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Taught:
    """Trains a lesson, 2 epochs of 3 steps; its model folder and what was logged. `told` is for the processes."""

    def teach(
        method: str, name: str, training: dict[str, Any], dropout: float = 0, command: Any = support_processes.command,
        log: Any = None, adapter: dict[str, Any] | None = None, **told: str,
    ) -> tuple[Path, list[dict[str, Any]]]:  # fmt: skip
        settings = {"lr": 3e-4, "final_lr": 1e-4, "epochs": 2, "batch": 8, "dropout": dropout, "max_tokens": 200}
        sections = {"sft": settings, "dpo": settings, "adapter": adapter or {}}
        sections["reward_model"] = {name: value for name, value in settings.items() if name != "dropout"}
        recipe = Recipe.of({"name": "x", "training": training, **sections})
        logged: list[dict[str, Any]] = []
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(launching, "command", command)
            patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
            for key, value in told.items():
                patch.setenv(f"SELFREWARD_TEST_{key}", value)
            model = train(
                LESSONS[method], lambda k: str(small_model), folder, recipe, QuietProgress(),
                log or (lambda **scalars: logged.append(scalars)), tmp_path / "logs",
            )  # fmt: skip
        assert [path.name for path in folder.iterdir()] == ["snapshots" if "early_stopping" in training else "model"]
        return model, logged

    return teach


def weights(model: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def assert_equal(ours: tuple[Path, list[dict[str, Any]]], theirs: tuple[Path, list[dict[str, Any]]]) -> None:
    """Weights and all that is logged to 1e-5, and the same files."""
    (model, logged), (other, others) = (weights(ours[0]), ours[1]), (weights(theirs[0]), theirs[1])
    assert {name: v.dtype for name, v in model.items()} == {name: v.dtype for name, v in other.items()}
    for name, values in other.items():
        torch.testing.assert_close(model[name], values, rtol=0, atol=1e-5)
    assert {path.name for path in ours[0].iterdir()} == {path.name for path in theirs[0].iterdir()}
    assert (ours[0] / "config.json").read_text() == (theirs[0] / "config.json").read_text()
    steps = [[line for line in lines if "loss" in line] for lines in (logged, others)]
    assert [line["step"] for line in steps[0]] == [line["step"] for line in steps[1]][-len(steps[0]) :]
    for line, same in zip(reversed(steps[0]), reversed(steps[1]), strict=False):
        for name in set(LOGGED) & set(same):
            assert line[name] == pytest.approx(same[name], rel=1e-5, abs=1e-5), name


@pytest.mark.integration
def test_two_processes_of_accelerate_learn_from_examples_what_one_does(taught: Taught) -> None:
    one = taught("sft", "one", {"device_batch": 4})
    two = taught("sft", "two", {**TWO, "device_batch": 1}, command=launching.command)
    assert len([line for line in two[1] if "loss" in line]) == 6
    assert_equal(two, one)


@pytest.mark.integration
def test_two_processes_learn_from_rankings_what_one_does(taught: Taught) -> None:
    one = taught("reward", "one", {})
    two = taught("reward", "two", TWO)
    assert len([line for line in two[1] if "loss" in line]) == 6
    assert_equal(two, one)


@pytest.mark.integration
def test_two_processes_of_ray_learn_from_examples_what_one_does(taught: Taught) -> None:
    pytest.importorskip("ray.train", reason="Ray needs the extra [ray]", exc_type=ImportError)
    one = taught("sft", "one", {"device_batch": 4})
    assert_equal(taught("sft", "two", {**TWO, "launcher": "ray_train"}, command=launching.command), one)


@pytest.mark.integration
@pytest.mark.parametrize("config", ["ddp", "fsdp2"])
def test_two_processes_keep_the_snapshots_that_one_does(taught: Taught, config: str, tmp_path: Path) -> None:
    early_stopping = {"early_stopping": {"every": 4}}
    told = {"FSDP": "1"} if config == "fsdp2" else {}
    taught("dpo", "one", early_stopping)
    taught("dpo", "two", {**TWO, "config": config, **early_stopping}, **told)
    for step in ("step-4", "step-6"):
        one, two = (weights(tmp_path / name / "snapshots" / step) for name in ("one", "two"))
        assert one.keys() == two.keys()
        for name, values in one.items():
            torch.testing.assert_close(two[name], values, rtol=0, atol=1e-5)


@pytest.mark.integration
@pytest.mark.parametrize("config", ["ddp", "fsdp2"])
def test_two_processes_learn_from_pairs_what_one_does_even_if_both_are_killed_and_go_on(
    taught: Taught, config: str, tmp_path: Path, small_model: Path
) -> None:
    told = {"CHECKPOINTS": "1", **({"FSDP": "1"} if config == "fsdp2" else {})}
    one = taught("dpo", "one", {})
    logged: list[dict[str, Any]] = []

    def log(**scalars: Any) -> None:
        logged.append(scalars)

    with pytest.raises(StageFailed, match="exit code 1; the log ends"):
        taught("dpo", "two", {**TWO, "config": config}, log=log, KILL="1:4", **told)
    assert [line["first_loss"] for line in logged if "first_loss" in line] == [pytest.approx(math.log(2), abs=1e-6)]
    assert logged[0]["num_rows"] == 19

    # Each row has the log-probs of its own responses.
    (kept,) = (tmp_path / "two" / "checkpoints").glob("reference-*.jsonl")
    exact, tokenizer = trainer.load_model(str(small_model)).double().eval(), load_tokenizer(small_model)
    from selfreward.training.data import dpo_rows

    log_probs = read_log_probs(kept, 19)
    assert log_probs is not None
    for row, found in zip(dpo_rows(tokenizer, LESSONS["dpo"].pairs, 200), log_probs, strict=True):
        expected = [log_prob(exact, row["prompt_ids"], row[side]) for side in ("chosen_ids", "rejected_ids")]
        assert found == pytest.approx(expected, abs=1e-3)

    (checkpoint,) = (tmp_path / "two" / "checkpoints").glob("*/checkpoint-4")
    parts = list(checkpoint.glob("pytorch_model_fsdp_0/*.distcp"))
    assert len(parts) == (2 if config == "fsdp2" else 0)  # each process wrote its part of the weights
    written = kept.stat().st_mtime_ns
    seen = []
    two = taught(
        "dpo", "two", {**TWO, "config": config}, **told,
        log=lambda **scalars: (seen.append(kept.stat().st_mtime_ns) if kept.exists() else None, logged.append(scalars)),
    )  # fmt: skip
    assert set(seen) == {written}  # read, not made again
    again = [line for line in logged if "loss" in line]
    assert [line["step"] for line in again] == [1, 2, 3, 4, 5, 6]
    assert_equal((two[0], again), one)


def log_prob(model: Any, prompt: list[int], response: list[int]) -> float:
    with torch.no_grad():
        log_probs = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    return sum(log_probs[len(prompt) + at - 1, token].item() for at, token in enumerate(response))


@pytest.mark.integration
def test_fsdp_learns_from_examples_what_one_process_does(taught: Taught) -> None:
    one = taught("sft", "one", {})
    assert_equal(taught("sft", "two", {**TWO, "config": "fsdp2"}, FSDP="1"), one)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::UserWarning:peft")
def test_two_processes_train_the_adapter_that_one_does(taught: Taught) -> None:
    pytest.importorskip("peft", reason="adapters need the extra [peft]", exc_type=ImportError)
    lora = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0}
    one = taught("dpo", "one", {}, adapter=lora)
    assert_equal(taught("dpo", "two", TWO, adapter=lora), one)


@pytest.mark.integration
def test_a_killed_training_of_two_processes_ends_with_the_weights_of_one_that_was_not_to_the_bit(
    taught: Taught, tmp_path: Path
) -> None:
    """With dropout, so that the random numbers of each process have to go on too; and each has its own."""
    draws = tmp_path / "draws"
    straight, _ = taught("sft", "straight", TWO, dropout=0.2, DRAWS=str(draws))
    drawn = dict(line.split() for line in draws.read_text().splitlines())
    assert drawn.keys() == {"0", "1"} and drawn["0"] != drawn["1"]
    with pytest.raises(StageFailed, match="the log ends"):
        taught("sft", "killed", TWO, dropout=0.2, CHECKPOINTS="1", KILL="0:4")
    steps: list[int] = []
    resumed, _ = taught("sft", "killed", TWO, dropout=0.2, log=lambda **line: steps.append(line.get("step", 0)))
    assert [step for step in steps if step] == [5, 6]
    assert (resumed / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


@pytest.mark.integration
def test_processes_that_run_out_of_memory_start_again_with_fewer_rows_on_a_device(taught: Taught) -> None:
    one = taught("sft", "one", {})
    two = taught("sft", "two", {**TWO, "device_batch": 4}, MEMORY="2")
    assert [line["device_batch"] for line in two[1] if "device_batch" in line] == [2]
    assert_equal(two, one)


@pytest.mark.integration
def test_fsdp_that_silently_became_ddp_is_an_error_before_a_step(taught: Taught, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"in 2 processes as FSDP, and would in 2 as MULTI_CPU.*need a GPU") as failed:
        taught("sft", "two", {**TWO, "config": "fsdp2"}, CHECKPOINTS="1")
    assert "\n" not in str(failed.value)
    assert not list((tmp_path / "two").rglob("checkpoint-*")) and not (tmp_path / "two" / "model").exists()


@pytest.mark.integration
@pytest.mark.parametrize("launcher", ["accelerate", "ray_train"])
def test_an_interrupt_leaves_no_process_behind(taught: Taught, tmp_path: Path, launcher: str) -> None:
    if launcher == "ray_train":
        pytest.importorskip("ray.train", reason="Ray needs the extra [ray]", exc_type=ImportError)

    def interrupt(**scalars: Any) -> None:
        if "loss" in scalars:
            raise KeyboardInterrupt

    begin = running()
    with pytest.raises(KeyboardInterrupt):
        taught("sft", "two", {**TWO, "launcher": launcher}, command=launching.command, log=interrupt)
    deadline = time.monotonic() + 60
    while left := [line for line in running() - begin if str(tmp_path) in line or "ray" in line]:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def running() -> set[str]:
    """Number and command of every process."""
    return set(
        subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    )


def test_a_process_that_would_train_alone_is_an_error_before_a_step(small_model: Path, tmp_path: Path) -> None:
    from selfreward.training.teach import teach

    recipe = Recipe.of({"name": "x", "training": {"launcher": "accelerate", "processes": 2}})
    order = Order(
        method="sft", lesson="", start=small_model, reference=None, reference_weights="", folder=tmp_path / "m1",
        recipe=recipe.model_copy(update={"sft": recipe.sft.model_copy(update={"dropout": 0})}),
        distributed_type="MULTI_CPU",
    )  # fmt: skip
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}] * 4
    with pytest.raises(StageFailed, match="to run in 2 processes, and this is one of 1"):
        teach(order, rows, QuietProgress(), lambda **_: None)
    assert not (tmp_path / "m1").exists()


@pytest.mark.parametrize("found", [(1, "NO"), (2, "MULTI_CPU"), (4, "FSDP")])
def test_what_accelerate_made_of_it_is_compared_with_what_was_asked_for(found: tuple[int, str]) -> None:
    class Accelerator:
        num_processes = found[0]
        distributed_type = type("Kind", (), {"value": found[1]})

    trainer.check_distributed(Accelerator, *found)
    with pytest.raises(StageFailed, match=f"in 2 processes as FSDP, and would in {found[0]} as {found[1]}"):
        trainer.check_distributed(Accelerator, 2, "FSDP")


def test_a_repeated_dpo_lesson_does_not_ask_its_reference_again(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    asked = []
    compute = dpo.Trainer._reference_log_probs

    def counted(self: Any, *args: Any) -> Any:
        asked.append(self.num_rows)
        return compute(self, *args)

    def killed(**scalars: Any) -> None:
        if "loss" in scalars:
            raise Killed

    monkeypatch.setattr(dpo.Trainer, "_reference_log_probs", counted)
    straight, _ = taught("dpo", "straight", {})
    for _ in range(2):
        with pytest.raises(Killed):
            taught("dpo", "killed", {}, log=killed)
    again, logged = taught("dpo", "killed", {})
    assert asked == [19, 19]  # once for each folder
    assert [line["first_loss"] for line in logged if "first_loss" in line] == [pytest.approx(math.log(2), abs=1e-6)]
    assert (again / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


def test_log_probs_of_other_weights_or_rows_are_not_taken_for_these(tmp_path: Path) -> None:
    from selfreward.training.reference import reference_file, write_log_probs

    rows = [{"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]}]
    others = [
        reference_file(tmp_path, "weights", rows, 4),
        reference_file(tmp_path, "other weights", rows, 4),
        reference_file(tmp_path, "weights", [*rows, *rows], 4),
        reference_file(tmp_path, "weights", rows, 8),
    ]
    assert len(set(others)) == 4
    assert read_log_probs(others[0], 1) is None
    write_log_probs(others[0], [(-1.5, -2.25)])
    assert read_log_probs(others[0], 1) == [(-1.5, -2.25)]
    assert os.listdir(tmp_path) == [others[0].name]
