"""Pairwise verdicts in both orders: what they are worth, and what of them is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.evaluation.verdicts import Verdict, Winner, outcome, read_verdicts, tally
from selfreward.statistics import wilson

WINNERS: list[Winner | None] = [0, 1, 2, None]


def verdicts(*pairs: tuple[Winner | None, Winner | None], **fields: Any) -> list[Verdict]:
    """Two verdicts for each prompt, order 0 first."""
    return [
        Verdict(id=str(number), order=order, winner=winner, **fields)  # type: ignore[arg-type]
        for number, pair in enumerate(pairs)
        for order, winner in enumerate(pair)
    ]


def written(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "pair, wins",
    [
        ((1, 1), 1), ((2, 2), 2), ((0, 0), 0), ((1, 2), 0), ((2, 1), 0), ((1, 0), 0), ((0, 2), 0),
        ((None, 1), None), ((1, None), None), ((None, None), None), ((1,), None), ((), None),
    ],
)  # fmt: skip
def test_a_model_wins_where_both_orders_name_it(pair: tuple[Winner | None, ...], wins: Winner | None) -> None:
    assert outcome(pair) == wins


def test_shares_are_of_the_prompts_with_two_readable_verdicts() -> None:
    found = tally(verdicts((1, 1), (1, 1), (1, 2), (2, 2), (None, 1), (1, None)))
    assert (found["wins"], found["ties"], found["losses"], found["missing"]) == (2, 1, 1, 2)
    assert (found["win"], found["tie"], found["lose"], found["net"]) == (50, 25, 25, 25)
    assert (found["prompts"], found["n"], found["unreadable"], found["unreadable_verdicts"]) == (6, 4, 2, 2)
    assert found["missing_ids"] == ["4", "5"]
    assert found["disagree"] == 1
    for share in ("win", "tie", "lose"):
        low, high = found[f"{share}_ci95"]
        assert low < found[share] < high
    assert found["bootstrap_ci95"][0] < 25 < found["bootstrap_ci95"][1]


def test_a_prompt_judged_in_one_order_is_missing_whatever_was_said() -> None:
    found = tally([*verdicts((2, 2)), Verdict(id="alone", order=1, winner=1)])
    assert (found["wins"], found["losses"], found["one_order"], found["missing"], found["n"]) == (0, 1, 1, 1, 1)


def test_nothing_readable_gives_no_shares() -> None:
    found = tally(verdicts((None, None)))
    assert found["win"] is None and found["net"] is None and found["ci95"] is None
    assert found["position_bias"] == {"value": None, "ci95": None, "n": 0}


def test_f02_exchanging_the_models_exchanges_wins_and_losses() -> None:
    @given(st.lists(st.tuples(st.sampled_from(WINNERS), st.sampled_from(WINNERS)), min_size=1))
    def exchanged(pairs: list[tuple[Winner | None, Winner | None]]) -> None:
        other: dict[Winner | None, Winner | None] = {0: 0, 1: 2, 2: 1, None: None}
        found = tally(verdicts(*pairs))
        turned = tally(verdicts(*((other[second], other[first]) for first, second in pairs)))
        assert (found["wins"], found["ties"], found["losses"]) == (turned["losses"], turned["ties"], turned["wins"])
        assert found["position_bias"] == turned["position_bias"]

    exchanged()


@pytest.mark.parametrize("pair, first", [((1, 2), 1), ((2, 1), 0), ((1, 1), 0.5), ((0, 1), 0), ((None, 2), 1)])
def test_position_bias_is_how_often_the_answer_shown_first_was_preferred(
    pair: tuple[Winner | None, Winner | None], first: float
) -> None:
    assert tally(verdicts(pair))["position_bias"] == {"value": first, "ci95": wilson(first, 1), "n": 1}


def test_a_tie_says_nothing_about_places() -> None:
    assert tally(verdicts((0, 0)))["position_bias"]["n"] == 0


def test_categories_are_counted_apart_and_together() -> None:
    found = tally([*verdicts((1, 1), category="maths"), Verdict(id="x", order=0, winner=2, category="prose"),
                   Verdict(id="x", order=1, winner=2, category="prose")])  # fmt: skip
    assert found["by_category"]["maths"]["wins"] == 1 and found["by_category"]["prose"]["losses"] == 1
    assert (found["wins"], found["losses"]) == (1, 1)


def test_ids_may_be_numbers_and_other_fields_are_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path, {"id": 7, "order": 0, "winner": None, "reason": "?"})
    assert [place for place in read_verdicts(path)] == [Verdict(id="7", order=0, winner=None)]


@pytest.mark.parametrize(
    "row, said",
    [
        ({"id": "a", "order": 0, "winner": 3}, "winner"),
        ({"id": "a", "order": 0, "winner": -1}, "winner"),
        ({"id": "a", "order": 0, "winner": True}, "winner"),
        ({"id": "a", "order": 0, "winner": 1.0}, "winner"),
        ({"id": "a", "order": 0, "winner": "1"}, "winner"),
        ({"id": "a", "order": 2, "winner": 1}, "order"),
        ({"id": "a", "order": False, "winner": 1}, "order"),
        ({"id": "a", "order": 0}, "winner"),
        ({"order": 0, "winner": 1}, "id"),
        ({"id": None, "order": 0, "winner": 1}, "id"),
        ([1, 2], "not an object"),
        ('{"id": "a", "order": 0, "win', "not JSON"),
    ],
)
def test_what_is_no_verdict_is_refused_with_its_line(row: object, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"id": "first", "order": 0, "winner": 1}, row)
    with pytest.raises(BadInput, match=said) as refused:
        read_verdicts(path)
    assert f"{path}:2" in str(refused.value) and "\n" not in str(refused.value)


def test_an_order_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    rows = [{"id": "a", "order": order, "winner": 1} for order in (0, 1, 0)]
    path = written(tmp_path, *rows)
    with pytest.raises(BadInput, match=rf"order 0 of a stands twice, first at {path}:1") as refused:
        read_verdicts(path)
    assert f"{path}:3" in str(refused.value)


def test_verdicts_of_two_judges_are_counted_together_only_by_force(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"id": "a", "order": 0, "winner": 1, "judge": "x"},
        {"id": "a", "order": 1, "winner": 1, "judge": "y"},
    )
    with pytest.raises(BadInput, match="2 judges: x, y"):
        read_verdicts(path)
    assert len(read_verdicts(path, force=True)) == 2


def test_a_prompt_has_one_category(tmp_path: Path) -> None:
    rows = [{"id": "a", "order": order, "winner": 1, "category": name} for order, name in enumerate("xy")]
    with pytest.raises(BadInput, match="category"):
        read_verdicts(written(tmp_path, *rows))


@pytest.mark.parametrize("name, content", [("none.jsonl", None), ("empty.jsonl", ""), ("words.txt", "hm")])
def test_a_file_without_verdicts_is_refused(name: str, content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=name):
        read_verdicts(tmp_path / name)


def test_the_command_prints_the_tally_and_json(tmp_path: Path) -> None:
    path = written(tmp_path, *(v.model_dump() for v in verdicts((1, 1), (1, 2), (2, 2), (None, 1))))
    printed = CliRunner().invoke(app, ["eval", "head-to-head", "--verdicts", str(path), "--json"])
    assert json.loads(printed.stdout) == json.loads(json.dumps(tally(read_verdicts(path))))
    shown = CliRunner().invoke(app, ["eval", "head-to-head", "--verdicts", str(path)])
    assert shown.exit_code == 0 and "3 of 4 prompts judged, 1 missing: 1 unreadable" in shown.stdout


def test_the_command_ends_with_2_and_one_line_for_a_bad_file(tmp_path: Path) -> None:
    path = written(tmp_path, {"id": "a", "order": 0, "winner": 9})
    ended = CliRunner().invoke(app, ["eval", "head-to-head", "--verdicts", str(path)])
    assert ended.exit_code == 2 and ended.stderr.count("\n") == 1 and ended.stdout == ""
