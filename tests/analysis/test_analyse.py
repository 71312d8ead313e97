"""The analysis of a run: every group and stage that there is, equally many prompts compared, kept as a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfreward import store
from selfreward.analysis import analyse, prompt_groups
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe, to_yaml
from selfreward.records import Example, Pair, Prompt

CLI = CliRunner()


def prompt(number: int) -> str:
    return " ".join(["the", "cat", "dog", "tree"][number % 4 :] + ["red"] * (number // 4 + 1))


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "m2").mkdir(parents=True)
    (folder / "m2" / "model").symlink_to(tiny_model)
    (folder / "recipe.yaml").write_text(to_yaml(Recipe(name="mine", rounds=1)))
    examples = {part: [Example(id=f"{part}{i}", prompt=f"{part} {prompt(i)}", response="red cat", source=part) for i in range(n)]
                for part, n in (("ift", 9), ("eft", 4))}  # fmt: skip
    store.append(folder / "seed" / "ift.jsonl", [*examples["ift"], examples["ift"][0]])
    store.append(folder / "seed" / "eft.jsonl", examples["eft"])
    store.append(folder / "m2" / "prompts.jsonl", [Prompt(id=f"p{i}", text=prompt(i), source="m1") for i in range(12)])
    pair = Pair(id="x", prompt_id="p", prompt="p", chosen_id="a", chosen="one two", chosen_score=4, rejected_id="b",
                rejected="one", rejected_score=1, margin=3)  # fmt: skip
    store.append(folder / "m2" / "pairs.jsonl", [pair])
    store.write_json(folder / "m2" / "counts.json", {"prompts": {"accepted": 12, "too_short": 3}})
    return folder


def analysed(run: Path, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"model": "m2", "num_points": 100, "texts_only": True, **changes}
    return analyse(run, progress=QuietProgress(), **settings)


def test_groups_hold_different_prompts_and_the_smallest_says_how_many_are_compared(run: Path) -> None:
    found = analysed(run)
    assert found["groups"] == {"ift": 9, "eft": 4, "m2": 12}
    assert {group: values["n"] for group, values in found["diversity"].items()} == {"ift": 4, "eft": 4, "m2": 4}
    assert found["lengths"]["ift prompts"]["n"] == 10  # as the file holds them
    assert found["lengths"]["m2 chosen"]["words"]["mean"] == 2
    assert "m1 held-out answers" not in found["lengths"]
    assert found["counts"]["m2"]["prompts/too_short"] == 3


def test_the_map_has_a_point_for_each_prompt_that_was_chosen_and_stands_in_the_run(run: Path) -> None:
    pytest.importorskip("sklearn")
    found = analysed(run, texts_only=False, num_points=24)
    assert json.loads((run / "analysis.json").read_text()) == found
    groups = [point["group"] for point in found["points"]]
    assert [groups.count(name) for name in ("ift", "eft", "m2")] == [8, 4, 8]
    texts = {text for texts in prompt_groups(run).values() for text in texts}
    assert {point["text"] for point in found["points"]} <= texts
    assert set(found["overlap"]) == {"ift", "eft", "m2"}
    assert analysed(run, texts_only=False, num_points=24) == found


def test_which_prompts_are_chosen_does_not_depend_on_their_order(run: Path) -> None:
    lines = (run / "m2" / "prompts.jsonl").read_text().splitlines(keepends=True)
    before = analysed(run)["diversity"]
    (run / "m2" / "prompts.jsonl").write_text("".join(reversed(lines)))
    assert analysed(run)["diversity"] == before


def test_texts_alone_need_neither_model_nor_extra(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfreward.analysis.embeddings.find_spec", lambda name: None)
    result = CLI.invoke(app, ["analyse", str(run), "--texts-only"])
    assert result.exit_code == 0 and "distinct-1" in result.stdout and "Neighbours" not in result.stdout
    refused = CLI.invoke(app, ["analyse", str(run)])
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "selfreward[eval]" in refused.stderr


def test_a_run_without_seeds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(to_yaml(Recipe(name="mine")))
    with pytest.raises(BadInput, match="has no seeds yet"):
        analyse(tmp_path, "m0", 10, True, QuietProgress())
