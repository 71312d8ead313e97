"""Reward models: rows, the loss by hand, what is on disk, and that the same lesson gives the same weights."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support_lessons import lessons

from selfreward.chat import encode_example, load_tokenizer
from selfreward.judges.reward_model import RewardModel
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Lesson
from selfreward.training import data, reward_model, train

PAIRS = lessons(18)["dpo"].pairs
LESSON = Lesson(method="reward", pairs=PAIRS, start=1)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:peft")


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def recipe(seed: int = 0, sections: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """2 epochs of 5 steps."""
    settings = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 2, "batch": 4, "max_tokens": 100}
    return Recipe.of({"name": "x", "seed": seed, "reward_model": {**settings, **changes}, **(sections or {})})


@pytest.fixture
def taught(tiny_model: Path, tmp_path: Path) -> Callable[..., tuple[Path, list[dict[str, Any]]]]:
    """Trains a lesson in a folder; returns the model folder and what was logged."""

    def teach(name: str = "reward_model", **changes: Any) -> tuple[Path, list[dict[str, Any]]]:
        logged: list[dict[str, Any]] = []
        (tmp_path / name).mkdir(exist_ok=True)
        model = train(
            LESSON, lambda k: str(tiny_model), tmp_path / name, recipe(**changes), QuietProgress(),
            lambda **line: logged.append(line),
        )  # fmt: skip
        return model, logged

    return teach


def build(folder: Path, tmp_path: Path, rows: list[dict[str, Any]], **changes: Any) -> Any:
    model = reward_model.new_reward_model(str(folder), seed=0)
    settings = recipe(**changes).reward_model
    return reward_model.reward_trainer(model, load_tokenizer(folder), rows, settings, tmp_path, seed=0)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_f26_a_row_is_the_chat_that_policies_are_sampled_in(tokenizer: Any) -> None:
    row = data.reward_rows(tokenizer, PAIRS[:1], 100)[0]
    for side, text in (("chosen_ids", PAIRS[0].chosen), ("rejected_ids", PAIRS[0].rejected)):
        prompt, response = encode_example(tokenizer, PAIRS[0].prompt, text)
        assert row[side] == prompt + response


def test_the_loss_is_that_of_bradley_and_terry_at_the_end_of_each_turn(tiny_model: Path, tmp_path: Path) -> None:
    rows = data.reward_rows(load_tokenizer(tiny_model), PAIRS[:4], 100)
    exact = reward_model.new_reward_model(str(tiny_model), seed=0).double().eval()

    def reward(ids: list[int]) -> torch.Tensor:
        states = exact.model(torch.tensor([ids])).last_hidden_state
        return exact.score(states[0, -1])[0]

    golden = -sum(torch.nn.functional.logsigmoid(reward(r["chosen_ids"]) - reward(r["rejected_ids"])) for r in rows) / 4
    built = build(tiny_model, tmp_path, rows)
    found = built.compute_loss(built.model, built._prepare_inputs(built.data_collator(rows)))
    assert found.item() == pytest.approx(golden.item(), abs=1e-5)
    assert abs(golden.item() - 0.6931) > 1e-3  # else a loss that ignores its inputs would pass


def test_a_filler_teaches_nothing(tiny_model: Path, tmp_path: Path) -> None:
    rows = data.reward_rows(load_tokenizer(tiny_model), PAIRS[:3], 100)
    built = build(tiny_model, tmp_path, rows)

    def gradient(batch: list[dict[str, Any]]) -> list[torch.Tensor]:
        built.model.zero_grad()
        inputs = built._prepare_inputs(built.data_collator(batch))
        built.compute_loss(
            built.model, inputs, num_items_in_batch=built._get_num_items_in_batch([inputs], "cpu")
        ).backward()
        return [p.grad.clone() for p in built.model.parameters() if p.grad is not None]

    for without, with_filler in zip(gradient(rows), gradient([*rows, data.filler(rows)]), strict=True):
        torch.testing.assert_close(without, with_filler, atol=1e-6, rtol=1e-4)


def test_training_rewards_the_chosen_and_says_that_it_does(taught: Any) -> None:
    folder, logged = taught(epochs=6)
    steps = [line for line in logged if "loss" in line]
    assert steps[-1]["accuracy"] > 0.9 and steps[-1]["margin"] > steps[0]["margin"]
    rewards = RewardModel(folder, 100, "cpu")
    chosen = rewards.of_texts([(pair.prompt, pair.chosen) for pair in PAIRS])
    rejected = rewards.of_texts([(pair.prompt, pair.rejected) for pair in PAIRS])
    assert sum(c > r for c, r in zip(chosen, rejected, strict=True)) >= 16  # the model on disk, too


def test_the_same_rankings_and_seed_give_the_same_weights_to_the_bit(taught: Any) -> None:
    assert weights(taught(name="a")[0]) == weights(taught(name="b")[0])
    assert weights(taught(name="a")[0]) != weights(taught(name="c", seed=1)[0])


def test_a_batch_in_parts_teaches_what_a_whole_one_does(taught: Any) -> None:
    whole, _ = taught(name="whole", batch=6, epochs=1)
    parts, _ = taught(name="parts", batch=6, epochs=1, sections={"training": {"device_batch": 2}})
    for a, b in zip(
        *(RewardModel(f, 100, "cpu").of_texts([(p.prompt, p.chosen) for p in PAIRS]) for f in (whole, parts)),
        strict=True,
    ):
        assert a == pytest.approx(b, abs=1e-4)


def test_what_is_on_disk_is_one_number_and_the_tokenizer_as_it_came(taught: Any, tiny_model: Path) -> None:
    folder, _ = taught()
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"] and len(config["id2label"]) == 1
    assert (folder / "tokenizer.json").read_bytes() == (tiny_model / "tokenizer.json").read_bytes()
    assert [file.name for file in folder.glob("model*")] == ["model.safetensors"]
    assert not list(folder.glob("*.bin"))


def test_a_pair_that_is_too_long_is_left_out_and_counted(taught: Any, tokenizer: Any) -> None:
    lengths = sorted(data.row_length(row) for row in data.reward_rows(tokenizer, PAIRS, 1000))
    _, logged = taught(max_tokens=lengths[9], epochs=1)
    assert (
        logged[0]["num_rows"] == sum(length <= lengths[9] for length in lengths) == 18 - logged[0]["num_dropped"] < 18
    )


def test_f06_an_adapter_and_its_head_are_merged_into_what_is_on_disk(taught: Any) -> None:
    pytest.importorskip("peft", reason="adapters need the extra [peft]", exc_type=ImportError)
    folder, logged = taught(lr=1e-2, epochs=6, sections={"adapter": {"kind": "lora", "rank": 4, "alpha": 8}})
    assert [line for line in logged if "loss" in line][-1]["accuracy"] > 0.9
    rewards = RewardModel(folder, 100, "cpu")
    better = [rewards.of_texts([(p.prompt, p.chosen), (p.prompt, p.rejected)]) for p in PAIRS]
    assert sum(chosen > rejected for chosen, rejected in better) >= 16


def test_reward_modelling_prints_nothing(taught: Any, capfd: pytest.CaptureFixture[str]) -> None:
    taught(epochs=1)
    assert capfd.readouterr().out == ""
