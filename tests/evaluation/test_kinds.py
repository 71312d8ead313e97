"""Kinds of prompts: told from the task, the data or the words, and comparisons counted group by group."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_pairwise import outputs
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.evaluation import micro
from selfreward.evaluation.answers import kinds_of_run
from selfreward.evaluation.kinds import INSTRUCTION_WORDS, Kind, by_kind, kind_of, merged, words_class
from selfreward.evaluation.verdicts import Verdict, read_verdicts
from selfreward.recipe import recipe_of, to_yaml
from selfreward.records import RankedResponse, RankedSet


@given(st.integers(0, 200))
def test_every_number_of_words_has_one_class(words: int) -> None:
    name = words_class(words, INSTRUCTION_WORDS)
    first, _, last = name.removesuffix(" words").partition("-")
    assert words == 0 or int(first.rstrip("+")) <= words <= (int(last) if last else words)


@pytest.mark.parametrize(
    "prompt, kind",
    [
        ("Write a sentence about animals. Use exactly 5 words. End with a period.", ("sentence", "3", "4-6 words")),
        ("Write a sentence about animals.", ("sentence", "1", "left open")),
        ("Name some tools. Give exactly 3 items.", ("list", "2", "1-3 words")),
        ("Put these words in reverse order: fox, cat, hen, wolf, bear, goat, dog.", ("order", "2", "7+ words")),
    ],
)
def test_the_task_of_a_prompt_of_the_micro_world_says_its_kind(prompt: str, kind: tuple[str, str, str]) -> None:
    assert micro.kind_of(prompt) == Kind(*kind)
    assert micro.kind_of(f"{prompt} Please.") is None


def test_elsewhere_the_data_name_the_category_and_words_give_the_rest(tmp_path: Path) -> None:
    recipe = recipe_of({"name": "x", "seeds": {"source": "d.jsonl"}}, [], "")
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    best, worse = (RankedResponse(text="word " * number, rank=rank) for rank, number in enumerate((30, 3)))
    asked = RankedSet(id="a", prompt="how " * 12, responses=(worse, best), category="maths")
    store.append(tmp_path / "seed" / "eval.jsonl", [asked])
    found = kinds_of_run(store.RunFolder(tmp_path), [asked.prompt, "other"])
    assert found == {
        asked.prompt: Kind("maths", "11-25 words", "26-100 words"),
        "other": Kind(None, "1-10 words", None),
    }


def test_a_category_stands_in_the_records_of_a_run_only_where_there_is_one() -> None:
    plain = RankedSet(id="a", prompt="p", responses=())
    assert "category" not in plain.model_dump_json()
    named = plain.model_copy(update={"category": "maths"})
    assert RankedSet.model_validate_json(named.model_dump_json()) == named


def test_groups_stand_in_the_order_of_their_numbers_and_what_is_not_known_is_in_none() -> None:
    names = ("101-250 words", "1-25 words", "26-100 words", "1-25 words", "left open")
    kinds = [*(Kind("b", name) for name in names), Kind("a")]
    found = by_kind(range(6), kinds, lambda items: {"items": list(items)})
    assert list(found) == ["by_category", "by_complexity"]
    assert list(found["by_category"]) == ["a", "b"]
    assert list(found["by_complexity"]) == ["1-25 words", "26-100 words", "101-250 words", "left open"]
    assert found["by_complexity"]["1-25 words"] == {"items": [1, 3]}
    assert by_kind([1], [Kind()], lambda items: {}) == {}


def test_what_one_side_does_not_know_of_a_prompt_the_other_may() -> None:
    assert merged(Kind(None, "x", None), Kind("c", "y", "z")) == Kind("c", "x", "z")
    assert kind_of("a b", "c") == Kind("c", "1-10 words", None)


def test_a_match_is_counted_by_complexity_and_shown(here: Path) -> None:
    ours = outputs(here / "a.json", {"q1": "longest", "q " * 30: "x"})
    theirs = outputs(here / "b.json", {"q1": "short", "q " * 30: "longer"})
    command = ["eval", "head-to-head", ours, theirs, "--judge", "length", "--quiet"]
    found: Any = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert {name: (of["wins"], of["losses"]) for name, of in found["by_complexity"].items()} == {
        "1-10 words": (1, 0), "26-75 words": (0, 1),
    }  # fmt: skip
    shown = CliRunner().invoke(app, command).stdout
    assert "By kind of prompt" in shown and "complexity: 26-75 words" in shown


def test_verdicts_from_elsewhere_may_say_the_kind_of_their_prompt(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    rows = [{"id": "a", "order": order, "winner": 1, "expected_length": "1-25 words"} for order in (0, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_verdicts(path)[0] == Verdict(id="a", order=0, winner=1, expected_length="1-25 words")
    path.write_text("".join(json.dumps(row | {"expected_length": str(row["order"])}) + "\n" for row in rows))
    with pytest.raises(BadInput, match="another expected_length before"):
        read_verdicts(path)
