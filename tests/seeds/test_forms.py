"""Forms of data: each is told from its columns, checked, and read as the same examples and ranked sets."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support_seeds import messages, trees

from selfreward.errors import BadInput
from selfreward.recipe import Form as FormName
from selfreward.records import Example, RankedSet
from selfreward.seeds.forms import FORMS, form_of

ASKED, ANSWERED = "How  many?\n- one\n- two", "Two:\n\n\tone and two"
USER, ASSISTANT = {"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}
ONE_OF_EACH: dict[str, dict[str, Any]] = {
    "prompt_completion": {"prompt": ASKED, "completion": ANSWERED},
    "messages": {"messages": [USER, ASSISTANT], "id": 7},
    "alpaca": {"instruction": ASKED, "input": "", "output": ANSWERED, "text": "all of it"},
    "sharegpt": {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]},
}


def read(form: str, *rows: dict[str, Any], language: str = "en") -> list[Any]:
    """What a form finds: (prompt, response) of examples, (prompt, {text: rank}) of sets, and words."""
    checked = [FORMS[form].row.model_validate(row) for row in rows]
    found: list[Any] = []
    for one in FORMS[form].read(checked, language):
        if isinstance(one, Example):
            found.append((one.prompt, one.response))
        elif isinstance(one, RankedSet):
            found.append((one.prompt, {response.text: response.rank for response in one.responses}))
        else:
            found.append(one)
    return found


def fault(form: str, row: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        FORMS[form].row.model_validate(row)
    return str(raised.value)


def test_a_recipe_can_name_every_form_and_no_other() -> None:
    assert list(get_args(FormName)) == list(FORMS)


@pytest.mark.parametrize("form", ONE_OF_EACH)
def test_a_form_is_told_from_its_columns_and_gives_the_pair_whole(form: str) -> None:
    row = ONE_OF_EACH[form]
    assert form_of(row, "x") == form
    assert read(form, row) == [(ASKED, ANSWERED)]
    assert not FORMS[form].is_ranked


def test_response_is_another_word_for_completion() -> None:
    row = {"prompt": ASKED, "response": ANSWERED}
    assert read(form_of(row, "x"), row) == [(ASKED, ANSWERED)]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"prompt": 1, "completion": 1, "messages": 1}, "fit more than one form: completion.prompt and messages"),
        ({"prompt": 1, "completion": 1, "response": 1}, "fit more than one form"),
        ({"prompt": 1, "chosen": 1, "rejected": 1}, "columns chosen, prompt, rejected are of no known form"),
        ({}, "columns none are of no known form"),
    ],
)
def test_columns_of_no_form_or_of_two_are_refused_and_named(columns: dict[str, int], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        form_of(columns, "x.jsonl")


def test_messages_are_told_apart_from_a_prompt_that_stands_beside_them() -> None:
    assert form_of({"prompt": 1, "prompt_id": 1, "messages": 1, "category": 1}, "x") == "messages"


def test_a_prompt_and_completion_may_be_messages_but_not_one_of_them() -> None:
    assert read("prompt_completion", {"prompt": [USER], "completion": [ASSISTANT]}) == [(ASKED, ANSWERED)]
    assert "both be text or both be messages" in fault("prompt_completion", {"prompt": [USER], "completion": "Two."})


def test_of_a_chat_the_first_turn_is_taken_and_a_system_message_is_counted() -> None:
    system = {"role": "system", "content": "You are a pirate."}
    more = [{"role": "user", "content": "More?"}, {"role": "assistant", "content": "No."}]
    assert read("messages", {"messages": [system, USER, ASSISTANT, *more]}) == ["system_messages", (ASKED, ANSWERED)]


@pytest.mark.parametrize("turns", [[], [USER], [ASSISTANT, USER, ASSISTANT], [USER, USER, ASSISTANT]])
def test_a_chat_that_does_not_begin_with_a_question_and_its_answer_is_counted(turns: list[dict[str, str]]) -> None:
    assert read("messages", {"messages": turns}) == ["no_first_turn"]


def test_a_completion_of_a_later_turn_is_not_taken_for_the_first() -> None:
    row = {"prompt": [USER, ASSISTANT, {"role": "user", "content": "More?"}], "completion": [ASSISTANT]}
    assert read("prompt_completion", row) == ["no_first_turn"]


def test_a_message_in_pieces_of_text_is_one_text_and_one_with_a_picture_is_refused() -> None:
    pieces = [{"type": "text", "text": "How "}, {"type": "text", "text": "many?"}]
    assert read("messages", {"messages": [{"role": "user", "content": pieces}, ASSISTANT]}) == [("How many?", ANSWERED)]
    picture = [{"type": "image", "url": "x"}]
    assert "Field required" in fault("messages", {"messages": [{"role": "user", "content": picture}, ASSISTANT]})


def test_alpacas_input_stands_below_the_instruction() -> None:
    row = {"instruction": "Add them.", "input": " 1 and 2 ", "output": "3"}
    assert read("alpaca", row) == [("Add them.\n\n1 and 2", "3")]
    assert read("alpaca", {"instruction": "Add.", "output": "3", "input": None}) == [("Add.", "3")]


def test_a_speaker_that_sharegpt_does_not_know_is_refused() -> None:
    assert "conversations.0.from" in fault("sharegpt", {"conversations": [{"from": "narrator", "value": "x"}]})


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("prompt_completion", {"prompt": "x"}),
        ("prompt_completion", {"prompt": "x", "completion": "y", "response": "z"}),
        ("prompt_completion", {"prompt": 7, "completion": "y"}),
        ("prompt_completion", {"prompt": "x", "completion": None}),
        ("alpaca", {"instruction": "x", "output": ["y"]}),
        ("messages", {"messages": "x"}),
        ("messages", {"messages": [{"role": "user"}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y", "rank": "0"}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y", "rank": 1.5}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y", "rank": -1}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y", "rank": True}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y", "quality": float("nan")}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y"}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y", "rank": 0, "quality": 1.0}]}),
        ("ranked", {"prompt": "x", "responses": [{"text": "y", "rank": 0}, {"text": "z", "quality": 1.0}]}),
        ("open_assistant_trees", {"message_tree_id": "x", "prompt": {"text": "y"}}),
        ("open_assistant_messages", {"message_id": "x", "text": None, "role": "prompter"}),
        ("prompt_completion", {"prompt": "\ud800", "completion": "y"}),
    ],
)
def test_a_row_of_wrong_fields_or_types_is_refused(form: str, row: dict[str, Any]) -> None:
    assert fault(form, row)


def test_a_ranked_set_may_name_the_category_of_its_prompt() -> None:
    row = {"prompt": "x", "responses": [{"text": "y", "rank": 0}]}
    for category, name in (({}, None), ({"category": "maths"}, "maths"), ({"category": 7}, "7")):
        checked = FORMS["ranked"].row.model_validate(row | category)
        (found,) = FORMS["ranked"].read([checked], "en")
        assert isinstance(found, RankedSet) and found.category == name
    assert "category" in fault("ranked", row | {"category": ["a", "b"]})


def test_quality_becomes_ranks_with_ties_and_nobodys_rank_is_left_out() -> None:
    qualities = {"a": 0.5, "b": 1, "c": 0.25, "d": 0.5, "e": None}
    row = {"prompt": "x", "responses": [{"text": text, "quality": q} for text, q in qualities.items()]}
    assert read(form_of(row, "x"), row) == ["responses_unranked", ("x", {"a": 1, "b": 0, "c": 2, "d": 1})]


@given(st.lists(st.floats(-5, 5) | st.integers(-3, 3), min_size=1, max_size=8))
def test_f21_a_higher_quality_is_a_better_rank_and_an_equal_one_the_same(qualities: list[float]) -> None:
    row = {"prompt": "x", "responses": [{"text": str(i), "quality": q} for i, q in enumerate(qualities)]}
    ((_, ranks),) = read("ranked", row)
    for i, one in enumerate(qualities):
        for j, other in enumerate(qualities):
            assert (ranks[str(i)] < ranks[str(j)]) == (one > other)
    assert min(ranks.values()) == 0


def test_trees_and_flat_messages_of_open_assistant_say_the_same() -> None:
    assert form_of(messages()[0], "x") == "open_assistant_messages"
    assert form_of(trees()[0], "x") == "open_assistant_trees"
    flat, nested = read("open_assistant_messages", *messages()), read("open_assistant_trees", *trees())
    assert flat == nested
    assert [one for one in flat if isinstance(one, str)] == [
        "other_language", "deleted", "failed_review", "synthetic", "responses_unranked", "responses_deleted",
    ]  # fmt: skip
    assert dict(one for one in flat if isinstance(one, tuple))["Who lost the best answer?"] == {
        "We did.": 1,
        "They did.": 2,
    }


def test_open_assistants_export_leaves_out_what_is_null_and_says_the_same() -> None:
    exported = [{name: value for name, value in row.items() if value is not None} for row in messages()]
    assert "parent_id" not in exported[0]
    assert form_of(exported[0], "x") == "open_assistant_messages"
    assert read("open_assistant_messages", *exported) == read("open_assistant_messages", *messages())


def test_open_assistants_language_is_a_setting() -> None:
    found = read("open_assistant_messages", *messages(), language="de")
    assert [one for one in found if isinstance(one, tuple)] == [("Wie geht es?", {"Gut.": 0})]
    everything = read("open_assistant_messages", *messages(), language="any")
    assert sum(isinstance(one, tuple) for one in everything) == 1 + 8
    assert "other_language" not in everything


@given(st.text(), st.text())
def test_f09_texts_come_through_whole_but_for_white_space_around_them(prompt: str, response: str) -> None:
    found = read("prompt_completion", {"prompt": prompt, "completion": response})
    assert found == [(prompt.strip(), response.strip())]
