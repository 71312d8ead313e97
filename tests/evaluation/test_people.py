"""People as judges: a form that gives nothing away and does nothing, and answers that are read as they were meant."""

import csv
import json
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.evaluation.answers import Answers
from selfreward.evaluation.human_answers import Annotator, majority, read_annotators, read_key
from selfreward.evaluation.human_form import FormKey, blind_pairs, write_form

CLI = CliRunner()
HOSTILE = "</div><script>alert('x')</script>{{ 7 * 7 }} \"quoted\" & <b>bold</b>"
PROMPTS = [f"Prompt {i}?" for i in range(40)]
A = Answers("run/m3", {prompt: f"A says {prompt}" for prompt in PROMPTS} | {"Same?": "alike", "Only a": "x"}, {})
B = Answers("run/sft", {prompt: f"B says {prompt}" for prompt in PROMPTS} | {"Same?": "alike ", "Only b": "x"}, {})


class Page(HTMLParser):
    """The texts, tags and radio names of a form."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.radios: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        if values.get("type") == "radio":
            self.radios.append((str(values["name"]), str(values["value"])))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_every_prompt_that_both_answered_is_a_pair_unless_the_answers_are_alike() -> None:
    pairs, key = blind_pairs(A, B, 100, seed=0)
    assert {pair.prompt for pair in pairs} == set(PROMPTS)
    assert (key.a, key.b, key.identical) == ("run/m3", "run/sft", 1)
    for pair in pairs:
        sides = (A, B) if key.left[pair.id] == "a" else (B, A)
        assert (pair.left, pair.right) == tuple(side.texts[pair.prompt] for side in sides)


def test_sides_and_choice_are_random_and_the_same_each_time() -> None:
    pairs, key = blind_pairs(A, B, 100, seed=0)
    assert blind_pairs(A, B, 100, seed=0) == (pairs, key) != blind_pairs(A, B, 100, seed=1)
    assert 10 <= list(key.left.values()).count("a") <= 30
    some, _ = blind_pairs(A, B, 12, seed=0)
    assert some == pairs[: len(some)] and 11 <= len(some) <= 12


def test_nothing_in_a_form_tells_the_models_apart() -> None:
    pairs, key = blind_pairs(A, B, 100, seed=0)
    turned, turned_key = blind_pairs(B, A, 100, seed=0)
    assert {pair.id for pair in pairs} == {pair.id for pair in turned}
    # the sides of a prompt are drawn without looking at who is who
    assert key.left == turned_key.left


def test_a_page_shows_texts_as_they_are_and_runs_none_of_them(tmp_path: Path) -> None:
    hostile = Answers("m", {HOSTILE: HOSTILE, "two": "2"}, {}), Answers("n", {HOSTILE: "=fine", "two": "3"}, {})
    pairs, key = blind_pairs(*hostile, 10, seed=0)
    write_form(pairs, key, tmp_path / "form.html", tmp_path / "key.json")
    text = (tmp_path / "form.html").read_text()
    page = Page(text)
    assert page.texts.count(HOSTILE) == 2 and page.tags.count("script") == 1 and "b" not in page.tags
    assert [radio for radio in page.radios if radio[0] == pairs[0].id] == [
        (pairs[0].id, "left"), (pairs[0].id, "tie"), (pairs[0].id, "right"),
    ]  # fmt: skip
    for outside in ("http:", "https:", "src=", "@import", "url("):
        assert outside not in text.replace(HOSTILE, "")
    assert "run/" not in text


def test_a_spreadsheet_gets_texts_and_no_formulas(tmp_path: Path) -> None:
    pairs, key = blind_pairs(
        Answers("m", {"p": "=1+1", "q\n": 'two\nlines, "quoted"'}, {}),
        Answers("n", {"p": "@sum", "q\n": "-3"}, {}),
        9,
        seed=0,
    )
    write_form(pairs, key, tmp_path / "form.csv", tmp_path / "key.json")
    with (tmp_path / "form.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == [pair.id for pair in pairs]
    assert {row["choice"] for row in rows} == {""}
    texts = {row[side] for row in rows for side in ("left", "right")}
    assert texts == {"'=1+1", "'@sum", "'-3", 'two\nlines, "quoted"'}


def test_a_form_or_key_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    pairs, key = blind_pairs(A, B, 5, seed=0)
    write_form(pairs, key, tmp_path / "form.csv", tmp_path / "key.json")
    for form, key_file in (("form.csv", "other.json"), ("other.csv", "key.json")):
        with pytest.raises(BadInput, match="is there already"):
            write_form(pairs, key, tmp_path / form, tmp_path / key_file)
    with pytest.raises(BadInput, match=r"ends on \.html or \.csv"):
        write_form(pairs, key, tmp_path / "form.pdf", tmp_path / "k.json")


def test_what_makes_no_form_is_said() -> None:
    with pytest.raises(BadInput, match="same model"):
        blind_pairs(A, A, 5, seed=0)
    with pytest.raises(BadInput, match="no prompt in common"):
        blind_pairs(A, Answers("n", {"other": "x"}, {}), 5, seed=0)
    with pytest.raises(BadInput, match="all 1 answers are alike"):
        blind_pairs(Answers("m", {"p": "x"}, {}), Answers("n", {"p": "x"}, {}), 5, seed=0)


KEY = FormKey(a="m3", b="sft", left={"p": "a", "q": "b", "r": "a", "s": "b"}, identical=1)


def answered(name: str, **choices: str) -> Annotator:
    return Annotator(name, choices)


def test_the_majority_counts_and_sides_are_turned_back() -> None:
    found = majority(
        [
            answered("ann", p="left", q="right", r="left", s="tie"),
            answered("bob", p="left", q="left", r="tie", s="tie"),
            answered("eve", p="right", q="right", r="right"),
        ],
        KEY,
    )
    # A: p wins two of three, q wins two of three, r has all three outcomes, s ties; and one pair was alike
    assert (found["win"], found["tie"], found["lose"], found["n"]) == (40, 60, 0, 5)
    assert (found["no_majority"], found["identical"], found["unanswered"], found["answered_by_all"]) == (1, 1, 0, 3)
    assert found["win_ci95"][0] < 40 < found["win_ci95"][1]
    assert found["annotators"]["bob"] == {"answers": 4, "win": 25, "tie": 50, "lose": 25}
    assert set(found["cohen_kappa"]) == {"ann v bob", "ann v eve", "bob v eve"}
    # win win lose, win lose win, win tie lose: no two of three agree by more than chance
    assert found["fleiss_kappa"] == pytest.approx((2 / 9 - (25 + 9 + 1) / 81) / (1 - 35 / 81))


def test_a_pair_that_nobody_answered_is_left_out_and_counted() -> None:
    found = majority([answered("ann", p="left")], KEY)
    assert (found["win"], found["n"], found["unanswered"]) == (50, 2, 3)
    assert (found["fleiss_kappa"], found["cohen_kappa"]) == (None, {})


def test_of_two_who_disagree_neither_is_a_majority() -> None:
    found = majority([answered("ann", p="left"), answered("bob", p="right")], KEY)
    assert (found["tie"], found["no_majority"]) == (100, 1)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_answers_are_read_from_the_pages_files_and_from_spreadsheets(tmp_path: Path) -> None:
    files = [
        written(tmp_path / "a.csv", 'pair,choice,annotator\r\np,left,"ann"\r\nq,,"ann"\r\n'),
        written(tmp_path / "b.json", json.dumps({"form": "f", "annotator": "bob", "choices": {"p": "tie", "q": ""}})),
        written(tmp_path / "eve.csv", '\ufeffpair;prompt;left;right;choice\np;"x\ny";1;2; Right \n'),
    ]
    found = read_annotators(files, KEY)
    assert [(one.name, one.choices) for one in found] == [
        ("ann", {"p": "left"}), ("bob", {"p": "tie"}), ("eve", {"p": "right"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.csv", "pair,choice\np,left\nz,left\n", "x.csv:3: the pair 'z' is not in this key"),
        ("x.csv", "pair,choice\np,left\np,left\n", "x.csv:3: the pair 'p' stands twice"),
        ("x.csv", "pair,choice\np,lef\n", "x.csv:2: no choice: 'lef'; did you mean left?"),
        ("x.csv", "pair,answer\np,left\n", "x.csv:1: has no column choice"),
        ("x.json", "[]", "not answers of a form"),
        ("x.json", '{"choices": {"p": "best"}}', "no choice: 'best'"),
    ],
)
def test_answers_that_cannot_be_read_are_named_with_their_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        read_annotators([written(tmp_path / name, text)], KEY)
    assert said in str(error.value)


def test_one_persons_answers_count_once(tmp_path: Path) -> None:
    file = written(tmp_path / "ann.csv", "pair,choice\np,left\n")
    other = written(tmp_path / "copy.csv", "pair,choice,annotator\np,left,ann\n")
    with pytest.raises(BadInput, match="a second file of 'ann'"):
        read_annotators([file, other], KEY)
    with pytest.raises(BadInput, match="not the key of a form"):
        read_key(written(tmp_path / "key.json", '{"a": 1}'))


def outputs(path: Path, generator: str, texts: Mapping[str, str]) -> Path:
    rows: list[dict[str, Any]] = [{"instruction": p, "output": t, "generator": generator} for p, t in texts.items()]
    return written(path, json.dumps(rows))


def test_from_two_files_of_outputs_to_the_papers_row(tmp_path: Path) -> None:
    one, other = outputs(tmp_path / "a.json", "m3", A.texts), outputs(tmp_path / "b.json", "sft", B.texts)
    form = tmp_path / "form.csv"
    made = CLI.invoke(app, ["eval", "human-form", str(one), str(other), "--to", str(form), "--num", "10"])
    assert made.exit_code == 0, made.stderr
    key = tmp_path / "form.key.json"
    left = read_key(key).left
    answers = "".join(f"{pair},{'left' if side == 'a' else 'right'}\n" for pair, side in left.items())
    files = [written(tmp_path / f"{name}.csv", "pair,choice\n" + answers) for name in ("ann", "bob")]
    command = ["eval", "human-read", *map(str, files), "--key", str(key)]
    found = json.loads(CLI.invoke(app, [*command, "--json"]).stdout)
    assert (found["a"], found["win"] + found["tie"]) == ("m3", 100)
    text = CLI.invoke(app, command).stdout
    assert "m3 v sft, by people" in text and "paper: m3 v sft" in text and "66.0" in text
