"""Snapshots on the way: a training with them is the one without, and each is what the training was at its step."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_lessons import Killed, KilledAfter, lessons

from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.training import train, trainer

LESSONS = lessons(18)
SETTINGS = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 2, "batch": 4, "dropout": 0.2, "max_tokens": 200}  # 10 steps


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def teach(
    folder: Path, model: Path, every: int | None, method: str = "dpo", progress: Any = None, **sections: Any
) -> dict[str, bytes]:
    """The weights that a training leaves, by the folder they are in."""
    training = {"early_stopping": every and {"every": every}}
    recipe = Recipe.of({"name": "x", "sft": SETTINGS, "dpo": SETTINGS, "training": training, **sections})
    folder.mkdir(exist_ok=True)
    train(LESSONS[method], lambda k: str(model), folder, recipe, progress or QuietProgress(), lambda **_: None)
    files = folder.rglob("model.safetensors")
    return {str(file.parent.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def straight(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The snapshots of a training that nothing came between."""
    return teach(tmp_path_factory.mktemp("straight"), tiny_model, 4)


def test_a_training_with_snapshots_ends_where_the_one_without_does_to_the_bit(
    tiny_model: Path, tmp_path: Path, straight: dict[str, bytes]
) -> None:
    assert sorted(straight) == ["snapshots/step-10", "snapshots/step-4", "snapshots/step-8"]
    assert len(set(straight.values())) == 3
    assert teach(tmp_path, tiny_model, None) == {"model": straight["snapshots/step-10"]}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_same_holds_for_an_adapter_which_is_merged_into_each(
    tiny_model: Path, tmp_path: Path, dropout: float
) -> None:
    pytest.importorskip("peft", reason="adapters need the extra [peft]", exc_type=ImportError)
    adapter = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": dropout}
    snapshots = teach(tmp_path / "with", tiny_model, 4, adapter=adapter)
    assert sorted(snapshots) == ["snapshots/step-10", "snapshots/step-4", "snapshots/step-8"]
    whole = teach(tmp_path / "without", tiny_model, None, adapter=adapter)
    assert whole == {"model": snapshots["snapshots/step-10"]}


def test_a_snapshot_is_a_model_like_any_other(tiny_model: Path, tmp_path: Path) -> None:
    """With the configuration of the model it began as: that of the training has dropout and no cache."""
    teach(tmp_path / "with", tiny_model, 4)
    teach(tmp_path / "without", tiny_model, None)
    model, snapshot = tmp_path / "without" / "model", tmp_path / "with" / "snapshots" / "step-4"
    assert {file.name for file in snapshot.iterdir()} == {file.name for file in model.iterdir()}
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (snapshot / name).read_bytes() == (model / name).read_bytes()
    assert json.loads((snapshot / "config.json").read_text())["attention_dropout"] == 0


@pytest.mark.parametrize("checkpoint_s", [0.0, 1e9], ids=["checkpoints", "no checkpoint"])
@pytest.mark.parametrize("last", [3, 4, 6, 9])
def test_killed_and_continued_the_snapshots_are_the_same_bits(
    last: int, checkpoint_s: float, tiny_model: Path, tmp_path: Path, straight: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY_S", checkpoint_s)
    with pytest.raises(Killed):
        teach(tmp_path, tiny_model, 4, progress=KilledAfter(last))
    assert teach(tmp_path, tiny_model, 4) == straight


def test_a_training_that_begins_again_writes_its_snapshots_again(
    tiny_model: Path, tmp_path: Path, straight: dict[str, bytes]
) -> None:
    with pytest.raises(Killed):
        teach(tmp_path, tiny_model, 4, progress=KilledAfter(6))
    (tmp_path / "snapshots" / "step-4" / "model.safetensors").write_bytes(b"of other settings")
    assert teach(tmp_path, tiny_model, 4) == straight


def test_a_training_whose_last_snapshot_is_there_is_not_begun_again(
    tiny_model: Path, tmp_path: Path, straight: dict[str, bytes]
) -> None:
    assert teach(tmp_path, tiny_model, 4) == straight
    again = KilledAfter(0)
    assert teach(tmp_path, tiny_model, 4, progress=again) == straight
    assert [path.name for path in tmp_path.iterdir()] == ["snapshots"]


def test_examples_are_taught_to_their_end(tiny_model: Path, tmp_path: Path) -> None:
    assert list(teach(tmp_path, tiny_model, 4, method="sft")) == ["model"]
