"""Fewer rows on the device at once are the same batch, and running out of memory leads there by itself."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selfreward.errors import BadInput, StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe, Training
from selfreward.records import Example, Lesson, Pair
from selfreward.training import dpo, sft, train, trainer

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

TEXTS = [(f"write about {i} " + "the dog " * (i % 5), "the cat sees a big red dog"[: 3 + i]) for i in range(18)]
EXAMPLES = tuple(Example(id=p, prompt=p, response=r, source="ift") for p, r in TEXTS)
PAIRS = tuple(
    Pair(
        id=p, prompt_id=p, prompt=p, chosen_id="c" + p, chosen=r, chosen_score=4,
        rejected_id="r" + p, rejected="a tree.", rejected_score=1, margin=3,
    )
    for p, r in TEXTS
)  # fmt: skip
LESSONS = {
    "sft": Lesson(method="sft", examples=EXAMPLES, start=0),
    "dpo": Lesson(method="dpo", pairs=PAIRS, start=0, reference=0),
}


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


@pytest.fixture
def taught(tiny_model: Path, tmp_path: Path) -> Callable[..., tuple[dict[str, torch.Tensor], list[dict[str, Any]]]]:
    """Trains a lesson, 2 epochs of 18 rows in batches of 6, in a fresh folder; its weights and what was logged."""

    def teach(method: str, name: str = "m", **training: Any) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
        from safetensors.torch import load_file

        settings = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 2, "batch": 6, "dropout": 0, "max_tokens": 100}
        recipe = Recipe.of({"name": "x", "training": training, "sft": settings, "dpo": settings})
        logged: list[dict[str, Any]] = []
        folder = train(
            LESSONS[method], lambda k: str(tiny_model), tmp_path / name, recipe, QuietProgress(),
            lambda **scalars: logged.append(scalars),
        )  # fmt: skip
        return load_file(folder / "model.safetensors"), logged

    return teach


def assert_alike(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", list(LESSONS))
def test_a_batch_in_parts_gives_the_weights_of_the_batch_at_once(taught: Any, method: str, tiny_model: Path) -> None:
    whole, logged = taught(method, "whole")
    parts, in_parts = taught(method, "parts", device_batch=2)
    assert_alike(parts, whole)
    steps = [[line["step"] for line in lines if "loss" in line] for lines in (logged, in_parts)]
    assert steps[0] == steps[1] == list(range(1, 7))
    losses = [[line["loss"] for line in lines if "loss" in line] for lines in (logged, in_parts)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


@pytest.mark.parametrize("method", list(LESSONS))
def test_running_out_of_memory_halves_what_is_on_the_device_and_keeps_the_batch(
    taught: Any, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = taught(method, "whole")
    module = {"sft": sft, "dpo": dpo}[method]
    step, sizes = module.Trainer.training_step, []

    def tight(self: Any, model: Any, inputs: Any, *rest: Any) -> Any:
        sizes.append(self.args.per_device_train_batch_size)
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")
        return step(self, model, inputs, *rest)

    monkeypatch.setattr(module.Trainer, "training_step", tight)
    with caplog.at_level(logging.WARNING):
        found, logged = taught(method, "tight")
    assert sizes[:3] == [6, 3, 1] and set(sizes[3:]) == {1}
    assert_alike(found, whole)
    assert [line["device_batch"] for line in logged if "device_batch" in line] == [1]
    assert "training tight, 6 at once: going on with 3" in caplog.text


def test_a_single_row_that_does_not_fit_fails_in_words(
    taught: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")

    monkeypatch.setattr(sft.Trainer, "training_step", never)
    with pytest.raises(StageFailed, match="memory is too small for training m, one at a time: CUDA out of memory"):
        taught("sft", device_batch=2)
    assert not (tmp_path / "m" / "model").exists()


@given(batch=st.integers(1, 64), most=st.integers(1, 80))
def test_what_is_on_the_device_divides_the_batch(batch: int, most: int) -> None:
    rows = trainer.fitting(batch, most)
    assert batch % rows == 0 and 1 <= rows <= most
    assert not any(batch % more == 0 for more in range(rows + 1, min(batch, most) + 1))


def test_the_arithmetic_is_the_recipes() -> None:
    assert trainer.arithmetic(Training()) is torch.float32
    assert trainer.arithmetic(Training(dtype="bfloat16")) is torch.bfloat16
    with pytest.raises(BadInput, match=r"training\.dtype: float16 training needs a GPU"):
        trainer.arithmetic(Training(dtype="float16"))


def test_training_in_bfloat16_keeps_float32_weights(taught: Any, tiny_model: Path) -> None:
    from safetensors.torch import load_file

    weights, _ = taught("sft", dtype="bfloat16")
    assert {values.dtype for values in weights.values()} == {torch.float32}
    before = load_file(tiny_model / "model.safetensors")
    assert any(not torch.equal(weights[name], weights[name].bfloat16().float()) for name in before)
    full, _ = taught("sft", "full")
    assert not torch.equal(full["lm_head.weight"], weights["lm_head.weight"])
