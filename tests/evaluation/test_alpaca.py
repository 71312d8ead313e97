"""AlpacaEval: figures as its leaderboard computes them, and annotations that cannot be counted."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.evaluation.alpaca import figures, leaderboard, read_annotations, read_outputs, win_rate
from selfreward.evaluation.length_control import length_controlled, read_difficulties

NUM_ROWS = 40
# What alpaca_eval 0.6.6 makes of `annotations` and `gamed_file`, run once by hand; its solver stops at 1e-4.
GOLDEN = {
    "win_rate": 35.01897435897436, "standard_error": 4.258110238864827, "n_wins": 8, "n_wins_base": 29, "n_draws": 2,
    "n_total": 39, "discrete_win_rate": 23.076923076923077, "avg_length": 147,
}  # fmt: skip
GOLDEN_LENGTH_CONTROLLED = {
    "length_controlled_v1": (35.617589563702005, 1.5558952122466554),
    "length_controlled_noreg": (36.55147479910129, 1.8578286674626618),
    "length_controlled_minimal": (36.19403499736645, 0.0),
}


def difficulty(index: int) -> float:
    return math.sin(1.7 * index)


def annotations() -> list[dict[str, Any]]:
    """Forty rows made of formulas, with a missing preference and every kind of whole one among them."""
    special = {3: None, 7: 1.5, 11: 0, 19: 2, 23: 1}
    rows = []
    for i in range(NUM_ROWS):
        reference, model = 50 + (37 * i * i) % 211, 50 + (53 * i) % 197
        z = 1.2 * difficulty(i) - 0.8 + (model - reference) / 90 + 1.5 * math.sin(5 * i)
        drawn = round(1 + 1 / (1 + math.exp(-z)), 4)
        rows.append(row(f"i{i}", special.get(i, drawn), "r" * reference, "m" * model))
    return rows


def row(instruction: str, preference: object, output_1: str = "theirs", output_2: str = "ours") -> dict[str, Any]:
    return {
        "instruction": instruction, "output_1": output_1, "generator_1": "ref", "output_2": output_2, "generator_2": "mod",
        "annotator": "j", "preference": preference,
    }  # fmt: skip


def gamed_file(folder: Path) -> Path:
    """A file of the form of df_gamed.csv."""
    path = folder / "df_gamed.csv"
    with path.open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["model", "index", "preference", "std_delta_len", "instruction_difficulty", "not_gamed_baseline"])
        for k, model in enumerate(("long", "short")):
            for i in range(NUM_ROWS):
                delta = (1 if k else -1) * 0.9 + 0.5 * math.cos(3 * i + k)
                write([model, i, 0.5 + 0.4 * math.sin(i + k), delta, difficulty(i), False])
    return path


def written(folder: Path, rows: object, name: str = "annotations.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows))
    return path


def run(*words: object) -> Any:
    ended = CliRunner().invoke(app, ["eval", "alpaca", *map(str, words), "--json"])
    assert ended.exit_code == 0, ended.output + repr(ended.exception)
    return json.loads(ended.stdout)


def refused(*words: object) -> str:
    ended = CliRunner().invoke(app, ["eval", *map(str, words)])
    assert ended.exit_code == 2, ended.output + repr(ended.exception)
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_figures_are_those_of_the_published_implementation(tmp_path: Path) -> None:
    found = run("--annotations", written(tmp_path, annotations()))
    assert {name: found[name] for name in GOLDEN} == pytest.approx(GOLDEN, rel=1e-12)
    assert (found["no_preference"], found["repeated"], found["empty_outputs"]) == (1, 0, 0)
    assert "length_controlled_winrate" not in found


@pytest.mark.parametrize("formula", list(GOLDEN_LENGTH_CONTROLLED))
def test_length_controlled_rates_are_those_of_the_published_implementation(formula: str, tmp_path: Path) -> None:
    words: list[object] = ["--annotations", written(tmp_path, annotations()), "--length-controlled"]
    path = gamed_file(tmp_path)
    if formula == "length_controlled_noreg":
        lines = [f"{i},{difficulty(i)!r}\n" for i in range(NUM_ROWS)]
        path.write_text(",instruction_difficulty\n" + "".join(lines))
    if formula != "length_controlled_minimal":
        words += ["--difficulty", path]
    found = run(*words)
    rate, error = GOLDEN_LENGTH_CONTROLLED[formula]
    assert found["length_controlled_winrate"] == pytest.approx(rate, abs=2e-3)
    assert found["lc_standard_error"] == pytest.approx(error, abs=2e-3)
    assert found["length_control"]["formula"] == formula


def test_a_length_controlled_fit_is_the_minimum_of_its_penalised_loss(tmp_path: Path) -> None:
    """The slope of the loss in each coefficient that is not 0 balances the penalty's, which is 1; at 0 it is below that."""
    difficulties = read_difficulties(gamed_file(tmp_path))
    rng = np.random.default_rng(5)
    won = [float(p) for p in rng.random(NUM_ROWS)]
    lengths = [(int(a), int(b)) for a, b in rng.integers(10, 300, (NUM_ROWS, 2))]
    fit = length_controlled(won, lengths, range(NUM_ROWS), difficulties)["length_control"]
    weights = np.array([fit["length"], fit["difficulty"], fit["model"]])
    delta = np.array([a - b for a, b in lengths], float)
    gammas = np.array([difficulties.of[i] for i in range(NUM_ROWS)])
    ours = np.column_stack([np.tanh(delta / delta.std(ddof=1)), gammas, np.ones(NUM_ROWS)])
    gamed = np.array([(math.tanh(d), gamma, 0.0) for d, gamma, _ in difficulties.gamed])
    features = np.vstack([ours, gamed])
    target = np.array([*won, *(preference for *_, preference in difficulties.gamed)])
    weight = np.array([1.0] * NUM_ROWS + [0.1] * len(gamed))
    slope = fit["strength"] * features.T @ (weight * (1 / (1 + np.exp(-features @ weights)) - target))
    for value, found in zip(weights, slope, strict=True):
        assert found == pytest.approx(-np.sign(value), abs=1e-6) if value else abs(found) <= 1


@pytest.mark.parametrize("won", [0.0, 1.0])
def test_where_every_row_says_the_same_the_penalty_alone_bounds_the_rate(won: float) -> None:
    """The slope of the loss in c, strength x n x the predicted chance of the other outcome, equals the penalty's 1."""
    found = length_controlled([won] * 50, [(100 + i, 200 - i) for i in range(50)], range(50), None)
    other = 100 / (found["length_control"]["strength"] * 50)
    assert found["length_controlled_winrate"] == pytest.approx(100 - other if won else other, rel=1e-9)
    assert found["length_control"]["length"] == pytest.approx(0, abs=1e-9)


def test_a_model_that_wins_by_length_alone_wins_half_at_equal_lengths() -> None:
    lengths = [(100 + 10 * (i % 7), 130 - 10 * (i % 5)) for i in range(300)]
    deltas = np.array([a - b for a, b in lengths])
    won = [float(p) for p in 1 / (1 + np.exp(2 * np.tanh(deltas / deltas.std(ddof=1))))]
    found = length_controlled(won, lengths, range(300), None)
    assert abs(100 * float(np.mean(won)) - 50) > 5
    assert found["length_controlled_winrate"] == pytest.approx(50, abs=0.5)


def test_rates_of_a_few_preferences_by_hand() -> None:
    """Won 0, 1, 1/2, 1/2, 0.2 and 0.9: the mean is 3.1 / 6, the sum of squares 0.5 + 1 + 0.04 + 0.81."""
    found = win_rate([1, 2, 1.5, 1.5, None, 1.2, 1.9])
    variance = (2.35 - 3.1**2 / 6) / 5
    expected = {
        "win_rate": 310 / 6, "standard_error": 100 * math.sqrt(variance / 6), "n_wins": 2, "n_wins_base": 2, "n_draws": 2,
        "n_total": 6, "discrete_win_rate": 50,
    }  # fmt: skip
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("preferences, rate, error", [([], None, None), ([None], None, None), ([2], 100, None)])
def test_what_cannot_be_computed_is_none(preferences: list[float | None], rate: float | None, error: None) -> None:
    found = win_rate(preferences)
    assert (found["win_rate"], found["standard_error"]) == (rate, error)


def test_a_model_against_itself_has_half(tmp_path: Path) -> None:
    rows = [{**row(f"i{i}", 1.5), "generator_2": "ref"} for i in range(3)]
    found = run("--annotations", written(tmp_path, rows), "--length-controlled")
    assert (found["win_rate"], found["length_controlled_winrate"], found["n_draws"]) == (50, 50, 3)


def test_null_and_nan_are_dropped_0_and_a_half_are_draws(tmp_path: Path) -> None:
    values = ("null", "NaN", "0", "0.0", "1.5", "1", "2")
    texts = [json.dumps(row(f"i{i}", "@")).replace('"@"', value) for i, value in enumerate(values)]
    path = tmp_path / "annotations.json"
    path.write_text(f"[{', '.join(texts)}]")
    found = run("--annotations", path)
    assert (found["n_total"], found["n_draws"], found["no_preference"], found["win_rate"]) == (5, 3, 2, 50)


@pytest.mark.parametrize("preference", ["1", "model", True, -1, 0.5, 2.0001, 3, math.inf, [1], {}])
def test_what_is_no_preference_is_refused_with_its_place(preference: object, tmp_path: Path) -> None:
    path = written(tmp_path, [row("first", 1), row("second", preference)])
    said = refused("alpaca", "--annotations", path)
    assert f"{path}: item 2: preference:" in said


@pytest.mark.parametrize("field", ["instruction", "output_1", "output_2", "preference"])
def test_a_row_without_a_field_is_refused(field: str, tmp_path: Path) -> None:
    lacking = row("a", 1)
    del lacking[field]
    assert f"{field}: Field required" in refused("alpaca", "--annotations", written(tmp_path, [lacking]))


def test_a_file_of_two_annotators_counts_only_by_force_and_of_two_models_likewise(tmp_path: Path) -> None:
    for field in ("annotator", "generator_2"):
        path = written(tmp_path, [row("a", 1), {**row("b", 2), field: "other"}])
        assert f"2 {field}s" in refused("alpaca", "--annotations", path)
        assert run("--annotations", path, "--force")["n_total"] == 2


def test_models_of_two_judges_or_references_do_not_stand_in_one_table_unless_forced(tmp_path: Path) -> None:
    ours = written(tmp_path, [row("a", 1)], "a.json")
    for field in ("annotator", "generator_1"):
        theirs = written(tmp_path, [{**row("a", 1), field: "other"}], "b.json")
        assert "do not compare" in refused("alpaca", "--annotations", ours, "--annotations", theirs)
        assert len(run("--annotations", ours, "--annotations", theirs, "--force")) == 2


def test_an_instruction_that_stands_twice_counts_twice_and_is_shown(tmp_path: Path) -> None:
    found = run("--annotations", written(tmp_path, [row("a", 1), row("a", 2), row("b", 2)]))
    assert (found["n_total"], found["repeated"]) == (3, 1)


def test_empty_outputs_are_counted_and_count(tmp_path: Path) -> None:
    found = run("--annotations", written(tmp_path, [row("a", 1, output_2=" "), row("b", 2, output_2="four")]))
    assert (found["empty_outputs"], found["n_total"], found["avg_length"]) == (1, 2, 2)


def test_outputs_must_be_those_that_were_annotated(tmp_path: Path) -> None:
    path = written(tmp_path, [row("a", 1), row("b", 2)])
    good = [{"instruction": name, "output": "ours", "generator": "mod"} for name in "ba"]
    assert run("--annotations", path, "--outputs", written(tmp_path, good, "o.json"))["avg_length"] == 4
    cases = {
        "lacks 1 of the 2 instructions": good[:1],
        "has 1 others ('c')": [*good, {**good[0], "instruction": "c"}],
        "already, at": [*good, good[0]],
        "another output than the one annotated": [good[0], {**good[1], "output": "else"}],
        "2 generators": [good[0], {**good[1], "generator": "x"}],
        "output: Input should be a valid string": [good[0], {**good[1], "output": None}],
    }
    for said, rows in cases.items():
        assert said in refused("alpaca", "--annotations", path, "--outputs", written(tmp_path, rows, "o.json"))
    theirs = [{"instruction": name, "output": "others"} for name in "ab"]
    assert "another output" in refused(
        "alpaca", "--annotations", path, "--reference", written(tmp_path, theirs, "r.json")
    )


@pytest.mark.parametrize(
    "text, said",
    [
        ("a,b\n1,2\n", "no columns"),
        ("", "no columns"),
        ("index,instruction_difficulty\n0,high\n", ":2"),
        ("index,instruction_difficulty\n0,nan\n", ":2"),
        ("index,instruction_difficulty\n0.5,1\n", ":2"),
        ("index,instruction_difficulty\n0,1\n", "39 instructions have no difficulty: 1, 2, 3, 4, 5 and 34 more"),
    ],
)
def test_difficulties_that_do_not_fit_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "difficulty.csv"
    path.write_text(text)
    words = ("--annotations", written(tmp_path, annotations()), "--difficulty", path)
    assert said in refused("alpaca", *words, "--length-controlled")
    assert "--length-controlled" in refused("alpaca", *words)


def test_difficulties_belong_to_the_place_of_a_row_or_to_its_index(tmp_path: Path) -> None:
    difficulties = read_difficulties(gamed_file(tmp_path))
    rows = [{**one, "index": i} for i, one in enumerate(annotations())]
    straight = figures(_read(tmp_path, rows), None, True, difficulties)
    turned = figures(_read(tmp_path, rows[::-1]), None, True, difficulties)
    one, other = (found["length_control"]["difficulty"] for found in (straight, turned))
    assert one == pytest.approx(other, rel=0.02)  # not equal: rows are dealt to folds by their places
    unnumbered = figures(_read(tmp_path, annotations()[::-1]), None, True, difficulties)
    assert unnumbered["length_control"]["difficulty"] != pytest.approx(
        straight["length_control"]["difficulty"], rel=0.1
    )


def _read(folder: Path, rows: object) -> Any:
    return read_annotations(written(folder, rows))


def test_too_few_preferences_are_no_fit() -> None:
    with pytest.raises(BadInput, match="too few"):
        length_controlled([1.0, None, 0.0], [(1, 2)] * 3, range(3), None)


def test_equal_lengths_say_nothing_of_length() -> None:
    found = length_controlled([0.25, 0.75, 0.7, 0.2, 0.9, 0.8], [(9, 9)] * 6, range(6), None)
    assert found["length_control"]["length"] == 0
    assert math.isfinite(found["length_controlled_winrate"])


def test_the_papers_rows_are_printed_beside(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["eval", "alpaca", "--annotations", str(written(tmp_path, annotations()))])
    assert shown.exit_code == 0
    assert (
        "35.02" in shown.stdout and "paper: m3" in shown.stdout and "20.44" in shown.stdout and "2552" in shown.stdout
    )
    assert "1 without a preference" in shown.stdout


def test_what_is_asked_for_must_make_sense(tmp_path: Path) -> None:
    path = written(tmp_path, annotations())
    assert "--annotations" in refused("alpaca")
    assert "--annotations" in refused("alpaca", "x.json", "--annotations", path)
    assert "--judge" in refused("alpaca", "x.json", "--reference", path)
    assert "--outputs" in refused("alpaca", "--annotations", path, "--annotations", path, "--outputs", path)
    assert "no such file" in refused("alpaca", "--annotations", tmp_path / "none.json")
    with pytest.raises(BadInput, match="holds no rows"):
        leaderboard([written(tmp_path, [])])
    with pytest.raises(BadInput, match="not JSON"):
        (tmp_path / "o.json").write_text("{")
        read_outputs(tmp_path / "o.json")
