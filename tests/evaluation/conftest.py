"""Shared fixtures of comparisons: a folder to work in, and a run whose models have answered held-out prompts."""

from pathlib import Path

import pytest

from selfreward import store
from selfreward.recipe import recipe_of, to_yaml
from selfreward.records import Response
from selfreward.responses import Responses


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty, in which engines of `support_pairwise` note what they are asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELFREWARD_TEST_ASKED", str(tmp_path / "asked"))
    return tmp_path


@pytest.fixture
def run(here: Path) -> Path:
    """A run with two models that have answered held-out prompts."""
    folder = here / "runs" / "x"
    values = {"name": "x", "engine": {"name": "support_pairwise:talker"}}
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(to_yaml(recipe_of(values, [], "")))
    for name, texts in (("m1", ("good", "fine")), ("m2", ("good good", "good"))):
        (folder / name / "model").mkdir(parents=True)
        (folder / name / "model" / "model.safetensors").write_bytes(name.encode())
        lines = [
            Responses(id=f"p{i}", samples=(response(f"held out {i}", text, name),)) for i, text in enumerate(texts)
        ]
        store.append(folder / name / store.EVAL_RESPONSES_FILE, lines)
    return folder


def response(prompt: str, text: str, model: str) -> Response:
    return Response(
        id=text, prompt_id="p", prompt=prompt, text=text, model=model, sample=0, num_tokens=1, finished=True
    )
