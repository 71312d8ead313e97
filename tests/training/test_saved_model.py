"""What training saves is what it trained, and what the engine loads (fault F6)."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Example, Lesson, Pair
from selfreward.training import train

EXAMPLES = tuple(
    Example(id=f"e{i}", prompt=f"write about {i}", response="the cat sees a big red dog"[: 3 + 3 * i], source="ift")
    for i in range(8)
)
PAIRS = tuple(
    Pair(
        id=e.id, prompt_id=e.id, prompt=e.prompt, chosen_id="c" + e.id, chosen=e.response, chosen_score=4,
        rejected_id="r" + e.id, rejected=e.response[::-1], rejected_score=1, margin=3,
    )
    for e in EXAMPLES
)  # fmt: skip
LESSONS = {
    "sft": Lesson(method="sft", examples=EXAMPLES, start=0),
    "dpo": Lesson(method="dpo", pairs=PAIRS, start=0, reference=0),
}
SETTINGS = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 1, "batch": 4, "dropout": 0.2, "max_tokens": 200}
RECIPE = Recipe.of({"name": "x", "sft": SETTINGS, "dpo": SETTINGS})
IDS = torch.tensor([[7, 8, 9, 10, 11, 12]])


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(IDS.to(model.device)).logits.cpu()


@pytest.mark.parametrize("method", list(LESSONS))
def test_f06_a_loaded_model_is_the_trained_one_and_not_its_start(
    method: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfreward.engines.local import LocalEngine

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    module = sys.modules["selfreward.training.teach"]
    save, in_memory = module.__dict__["_save"], []

    def remembered(model: Any, *rest: Any) -> None:
        in_memory.append(logits(model))
        save(model, *rest)

    monkeypatch.setattr(module, "_save", remembered)
    folder = train(LESSONS[method], lambda k: str(tiny_model), tmp_path, RECIPE, QuietProgress(), lambda **_: None)
    loaded, start = (logits(LocalEngine(f, dtype="float32", device="cpu").model) for f in (folder, tiny_model))
    assert torch.allclose(loaded, in_memory[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(loaded, start, atol=1e-3)
