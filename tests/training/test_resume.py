"""Interrupted training: k steps, a kill and the rest give the weights of all steps at once, to the bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_lessons import Killed, KilledAfter, lessons

from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Lesson
from selfreward.training import train, trainer

LESSONS = lessons(18)
SETTINGS = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 2, "batch": 4, "dropout": 0.2, "max_tokens": 200}
UNDROPPED = {name: value for name, value in SETTINGS.items() if name != "dropout"}
RECIPE = Recipe.of({"name": "x", "sft": SETTINGS, "dpo": SETTINGS, "reward_model": UNDROPPED})  # 5 steps an epoch


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run: the golden numbers are finer than bfloat16."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def teach(folder: Path, tiny_model: Path, lesson: Lesson, progress: Any, recipe: Any = RECIPE) -> bytes:
    folder.mkdir(exist_ok=True)
    model = train(lesson, lambda k: str(tiny_model), folder, recipe, progress, lambda **_: None)
    return (model / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The weights that each method ends with when nothing comes between."""
    return {
        method: teach(tmp_path_factory.mktemp(method), tiny_model, lesson, QuietProgress())
        for method, lesson in LESSONS.items()
    }


@pytest.fixture
def checkpoint_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY_S", 0.0)


@pytest.mark.usefixtures("checkpoint_every_step")
@pytest.mark.parametrize(
    ("method", "steps"),
    [("sft", 3), ("sft", 5), ("sft", 8), ("dpo", 8), ("reward", 6)],
    ids=[
        "sft in the first epoch",
        "sft between epochs",
        "sft in the second epoch",
        "dpo in the second epoch",
        "a reward model in the second epoch",
    ],
)
def test_k_steps_and_a_resume_equal_all_steps_to_the_bit(
    method: str, steps: int, tiny_model: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    with pytest.raises(Killed):
        teach(tmp_path, tiny_model, LESSONS[method], KilledAfter(steps))
    assert not (tmp_path / "model").exists()
    rest = KilledAfter()
    assert teach(tmp_path, tiny_model, LESSONS[method], rest) == uninterrupted[method]
    assert (rest.done, rest.steps) == (steps, 10 - steps)  # it went on, and did not start again
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_killed_before_its_first_checkpoint_a_training_begins_again_and_ends_in_the_same_bits(
    method: str, tiny_model: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    """Dropout too, although DPO's reference is not asked again."""
    with pytest.raises(Killed):
        teach(tmp_path, tiny_model, LESSONS[method], KilledAfter(2))
    assert teach(tmp_path, tiny_model, LESSONS[method], QuietProgress()) == uninterrupted[method]


@pytest.mark.usefixtures("checkpoint_every_step")
def test_a_checkpoint_of_another_lesson_or_other_settings_is_not_taken_up(
    tiny_model: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    shorter = Lesson(method="sft", examples=LESSONS["sft"].examples[1:], start=0)
    slower = Recipe.of({"name": "x", "sft": {**SETTINGS, "lr": 5e-4}})
    for lesson, recipe in ((shorter, RECIPE), (LESSONS["sft"], slower)):
        with pytest.raises(Killed):
            teach(tmp_path, tiny_model, lesson, KilledAfter(3), recipe)
    whole = KilledAfter()
    assert teach(tmp_path, tiny_model, LESSONS["sft"], whole) == uninterrupted["sft"]
    assert (whole.done, whole.steps) == (0, 10)


@pytest.mark.usefixtures("checkpoint_every_step")
def test_a_checkpoint_that_was_cut_off_while_written_is_passed_over(
    tiny_model: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    with pytest.raises(Killed):
        teach(tmp_path, tiny_model, LESSONS["sft"], KilledAfter(4))
    (whole,) = tmp_path.glob("checkpoints/*/checkpoint-4")
    torn = whole.with_name("checkpoint-5")
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    rest = KilledAfter()
    assert teach(tmp_path, tiny_model, LESSONS["sft"], rest) == uninterrupted["sft"]
    assert rest.done == 4


def test_a_model_that_was_half_saved_is_saved_again(
    tiny_model: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    (tmp_path / "model.tmp").mkdir()
    (tmp_path / "model.tmp" / "model.safetensors").write_bytes(b"half")
    assert teach(tmp_path, tiny_model, LESSONS["sft"], QuietProgress()) == uninterrupted["sft"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_short_training_writes_no_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        teach(tmp_path, tiny_model, LESSONS["sft"], KilledAfter(4))
    assert list(tmp_path.glob("checkpoints/*/*")) == []
