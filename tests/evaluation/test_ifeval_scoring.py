"""IFEval's accuracies: strict and loose, by prompt and by instruction, from published files; bad files say what is bad."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.errors import BadInput
from selfreward.evaluation import extras
from selfreward.evaluation.ifeval import INSTRUCTIONS, Task, ifeval, read_responses, read_tasks
from selfreward.evaluation.ifeval.scoring import variants
from selfreward.statistics import wilson

NO_COMMA: tuple[str, dict[str, Any]] = ("punctuation:no_comma", {})
QUOTED: tuple[str, dict[str, Any]] = ("startend:quotation", {})
LONG: tuple[str, dict[str, Any]] = ("length_constraints:number_words", {"relation": "at least", "num_words": 3})


def task(prompt: str, *instructions: tuple[str, dict[str, Any]]) -> Task:
    return Task(prompt, prompt, tuple((id, INSTRUCTIONS[id].model_validate(kwargs)) for id, kwargs in instructions))


def row(prompt: str, *instructions: tuple[str, dict[str, Any]], **changes: Any) -> dict[str, Any]:
    ids, kwargs = [id for id, _ in instructions], [kwargs for _, kwargs in instructions]
    return {"key": 7, "prompt": prompt, "instruction_id_list": ids, "kwargs": kwargs} | changes


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in rows))
    return path


def test_the_accuracies_are_those_counted_by_hand() -> None:
    tasks = [task("p", NO_COMMA, LONG), task("q", NO_COMMA), task("r", QUOTED), task("s", QUOTED)]
    found = ifeval(tasks, ["one, two, three", "fine", 'Here you are:\n"quoted"', " \n"])
    strict, loose = found["strict"], found["loose"]
    assert (found["prompts"], found["instructions"], found["blank"]) == (4, 5, 1)
    assert strict["prompt"] == {"value": 1 / 4, "ci95": wilson(1, 4), "n": 4}
    assert (strict["instruction"]["value"], strict["instruction"]["n"]) == (2 / 5, 5)  # long; no comma in q
    assert loose["prompt"] == {"value": 2 / 4, "ci95": wilson(2, 4), "n": 4}  # r without its first line
    assert loose["instruction"]["value"] == 3 / 5
    assert {id: share["value"] for id, share in strict["by_instruction"].items()} == {
        "length_constraints:number_words": 1, "punctuation:no_comma": 1 / 2, "startend:quotation": 0
    }  # fmt: skip
    assert {id: share["n"] for id, share in loose["by_group"].items()} == {
        "length_constraints": 1, "punctuation": 2, "startend": 2
    }  # fmt: skip


def test_a_blank_response_follows_nothing() -> None:
    found = ifeval([task("p", NO_COMMA)], [" \n"])
    assert found["strict"]["prompt"]["value"] == found["loose"]["prompt"]["value"] == 0


def test_the_variants_are_with_and_without_stars_first_line_and_last_line() -> None:
    assert variants("*a*\nb\n*c*") == [
        "*a*\nb\n*c*", "b\n*c*", "*a*\nb", "b", "a\nb\nc", "b\nc", "a\nb", "b"
    ]  # fmt: skip
    assert variants("one line") == ["one line", "", "", "", "one line", "", "", ""]


@given(st.text(st.sampled_from('ab,*"\n '), max_size=30))
def test_what_is_followed_strictly_is_followed_loosely(text: str) -> None:
    found = ifeval([task("p", NO_COMMA, QUOTED, LONG)], [text])
    for id, share in found["strict"]["by_instruction"].items():
        assert share["value"] <= found["loose"]["by_instruction"][id]["value"]


def test_instructions_that_repeat_one_prompt_make_no_interval_narrower() -> None:
    once = ifeval([task(f"p{i}", NO_COMMA) for i in range(6)], ["a", "a", "a", "a", ",", ","])
    thrice = ifeval([task(f"p{i}", *[NO_COMMA] * 3) for i in range(6)], ["a", "a", "a", "a", ",", ","])
    assert thrice["strict"]["instruction"]["ci95"] == pytest.approx(once["strict"]["instruction"]["ci95"])
    assert thrice["strict"]["instruction"]["n"] == 18
    assert ifeval([task("p", NO_COMMA)], ["a"])["strict"]["instruction"]["ci95"][0] < 1  # one prompt proves little


def test_files_of_the_published_form_are_read(tmp_path: Path) -> None:
    nulls = {name: None for name in ("num_words", "keywords", "relation")}  # as the hub's copy fills them in
    prompts = write(tmp_path / "p.jsonl", row("p", (NO_COMMA[0], nulls)), "", row("q", LONG, key="x"))
    tasks = read_tasks(prompts)
    assert [(one.key, one.prompt, [id for id, _ in one.instructions]) for one in tasks] == [
        (7, "p", [NO_COMMA[0]]), ("x", "q", [LONG[0]])
    ]  # fmt: skip
    responses = write(tmp_path / "r.jsonl", *({"prompt": p, "response": f"to {p}", "model": "m"} for p in "oqp"))
    assert read_responses(responses, tasks) == (["to p", "to q"], 1)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [row("p", ("punctuation:no_coma", {}))],
            "p.jsonl:1: unknown instruction .* did you mean punctuation:no_comma",
        ),
        ([row("p", NO_COMMA), row("p", LONG)], "p.jsonl:2: the prompt of key 7 comes again"),
        ([row("p", (LONG[0], {"num_words": 3}))], "p.jsonl:1: kwargs of length_constraints:number_words: relation"),
        ([row("p", (NO_COMMA[0], {"num_words": 3}))], "kwargs of punctuation:no_comma: num_words: Extra"),
        ([row("p", NO_COMMA, kwargs=[{}, {}])], "1 instructions, 2 kwargs"),
        ([row("p")], "instruction_id_list"),
        ([{"prompt": "p"}], "p.jsonl:1: key"),
        ([row("p", NO_COMMA), '{"key": 1, "pro'], "p.jsonl:2: not JSON"),  # torn is not left out
        ([""], "holds no rows"),
    ],
)
def test_prompts_that_cannot_be_used_are_named_in_one_line(tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as raised:
        read_tasks(write(tmp_path / "p.jsonl", *rows))
    assert "\n" not in str(raised.value)


def test_missing_and_double_responses_are_refused(tmp_path: Path) -> None:
    tasks = [task("p", NO_COMMA), task("q", NO_COMMA), task("r", NO_COMMA)]
    one, other = {"prompt": "q", "response": "a"}, {"prompt": "q", "response": "b"}
    with pytest.raises(BadInput, match="2 of 3 prompts have no response, those of the keys 'p"):
        read_responses(write(tmp_path / "r.jsonl", one), tasks)
    with pytest.raises(BadInput, match=r"r.jsonl:2: a second response"):
        read_responses(write(tmp_path / "r.jsonl", one, other), tasks)
    with pytest.raises(BadInput, match="no such file"):
        read_responses(tmp_path / "none.jsonl", tasks)


def test_what_is_not_installed_is_named_before_anything_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "langdetect" else sys)
    prompts = write(tmp_path / "p.jsonl", row("p", ("language:response_language", {"language": "fr"})))
    with pytest.raises(BadInput, match=r"needs langdetect, which is not installed.*pip install 'selfreward\[eval\]'"):
        read_tasks(prompts)
    assert len(read_tasks(write(tmp_path / "q.jsonl", row("p", NO_COMMA)))) == 1
