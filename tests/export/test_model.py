"""A model of a run as a folder that transformers loads, with a card that says where it comes from."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.recipe import Recipe, to_yaml
from selfreward.records import Example, Lesson
from selfreward.store import open_run, write_json

CLI = CliRunner()


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> Path:
    """A run whose M1 is there."""
    with open_run(tmp_path / "run", Recipe(name="mine", model=str(tiny_model)), ["selfreward", "run"]) as run:
        m1 = run.folder("m1")
        (m1 / "model").mkdir()
        for file in tiny_model.iterdir():
            (m1 / "model" / file.name).write_bytes(file.read_bytes())
        (m1 / "model" / "modeling_evil.py").write_text("raise SystemExit")
        lesson = Lesson(method="sft", examples=(Example(id="e", prompt="p", response="r", source="ift"),), start=0)
        write_json(m1 / "lesson.json", lesson.summary())
    return tmp_path / "run"


def test_what_is_exported_loads_with_transformers_alone_and_says_the_same(
    run: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = CLI.invoke(app, ["export", str(run / "m1"), str(tmp_path / "out")])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'out'}\n"), result.stderr
    ids = torch.tensor([[7, 8, 9]])
    with torch.no_grad():
        ours, start = (AutoModelForCausalLM.from_pretrained(f)(ids).logits for f in (tmp_path / "out", tiny_model))
    assert torch.equal(ours, start)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert {file.suffix for file in (tmp_path / "out").iterdir()} == {".safetensors", ".json", ".jinja", ".md"}


def test_the_card_holds_the_runs_stamp_its_recipe_and_the_last_lesson(run: Path, tmp_path: Path) -> None:
    CLI.invoke(app, ["export", str(run / "m1"), str(tmp_path / "out")])
    card = (tmp_path / "out" / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["library_name"] == "transformers"
    blocks = [block.partition("\n") for block in body.split("```")[1::2]]
    by_kind = [(kind, json.loads(text) if kind == "json" else yaml.safe_load(text)) for kind, _, text in blocks]
    assert by_kind[0] == ("json", json.loads((run / "m1" / "lesson.json").read_text()))
    assert by_kind[1] == ("json", json.loads((run / "stamp.json").read_text()))
    assert by_kind[2] == ("yaml", yaml.safe_load(to_yaml(Recipe.of(by_kind[2][1]))))


def test_m0_can_be_exported_too_with_the_template_it_was_given(tiny_model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in tiny_model.iterdir():
        if file.suffix != ".jinja":
            (bare / file.name).write_bytes(file.read_bytes())
    recipe = Recipe.of({"name": "mine", "model": str(bare), "chat": {"template": "plain"}})
    with open_run(tmp_path / "run", recipe):
        pass
    assert CLI.invoke(app, ["export", str(tmp_path / "run" / "m0"), str(tmp_path / "out")]).exit_code == 0
    assert "### Response" in (tmp_path / "out" / "chat_template.jinja").read_text()
    assert not any(file.is_symlink() for file in (tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("model", "target", "said"),
    [
        ("m9", "out", "no model 'm9' in this run"),
        ("m1", "run", "is there already"),
        ("../none/m1", "out", "no such run"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_writes_nothing(
    run: Path, tmp_path: Path, model: str, target: str, said: str
) -> None:
    result = CLI.invoke(app, ["export", str(run / model), str(tmp_path / target)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert not (tmp_path / "out").exists()
