"""Scores from a file against people's ranks: what is printed, what the order of lines changes, and lines that cannot be used."""

import json
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from selfreward import statistics
from selfreward.cli import app
from selfreward.cli import eval_judges as commands
from selfreward.errors import BadInput
from selfreward.evaluation.scored_sets import measure, read_scored_sets

CLI = CliRunner()
SETS: list[dict[str, Any]] = [
    {"human_ranks": [0, 1, 2], "scores": [5.0, 3.0, 1]},
    {"human_ranks": [0, 1, 2], "scores": [4, 4, 2], "prompt": "other fields are passed over"},
    {"human_ranks": [1, 0], "scores": [5, 5]},
    {"human_ranks": [0, 1], "scores": [3, 5]},
]


def written(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_the_metrics_are_those_of_the_names_given(tmp_path: Path) -> None:
    file = written(tmp_path / "sets.jsonl", SETS)
    command = ["eval", "reward-model", "--sets", str(file), "--json"]
    found = json.loads(CLI.invoke(app, [*command, "--tie-policy", "wrong"]).stdout)
    assert (found["policy"], found["average"], found["undefined"]) == ("wrong", "micro", "zero")
    assert found["metrics"]["pairwise_accuracy"]["value"] == 5 / 8
    assert found["coverage"]["value"] == 1
    again = json.loads(CLI.invoke(app, [*command, "--average", "macro", "--undefined", "pooled"]).stdout)
    assert again["metrics"]["pairwise_accuracy"]["value"] == pytest.approx(2 / 3)
    assert again["metrics"]["spearman"]["value"] == pytest.approx(3 / 20**0.5)


def test_the_table_has_the_papers_models_beside_ours(tmp_path: Path) -> None:
    lines = [*SETS, {"human_ranks": [0, 1], "scores": [None, 4]}]
    result = CLI.invoke(app, ["eval", "reward-model", "--sets", str(written(tmp_path / "sets.jsonl", lines))])
    rows = {line.split()[1]: line for line in result.stdout.splitlines() if line.startswith("│")}
    assert " ".join(rows["pairwise"].replace("│", "").split()) == "pairwise % 83.3 ±50.0 6 65.1 78.7 80.4 81.7"
    assert "90.0" in rows["coverage"]
    assert "1 of 12 responses have no score" in " ".join(result.stdout.split())


def test_neither_the_order_of_the_lines_nor_that_of_the_responses_changes_anything(tmp_path: Path) -> None:
    random = Random(0)
    shuffled = []
    for one in random.sample(SETS * 3, len(SETS) * 3):
        order = random.sample(range(len(one["scores"])), len(one["scores"]))
        shuffled.append({name: [one[name][i] for i in order] for name in ("human_ranks", "scores")})
    straight, other = (
        read_scored_sets(written(tmp_path / name, lines))
        for name, lines in (("a.jsonl", SETS * 3), ("b.jsonl", shuffled))
    )
    for policy in statistics.TIE_POLICIES:
        assert measure(straight, (policy, "micro", None)) == measure(other, (policy, "micro", None))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"human_ranks": [0, 1, 2], "scores": [1, 2]}, "3 human_ranks and 2 scores"),
        ({"human_ranks": [0, 0.5], "scores": [1, 2]}, "human_ranks: "),
        ({"human_ranks": [0, "1"], "scores": [1, 2]}, "human_ranks: "),
        ({"human_ranks": [0, -1], "scores": [1, 2]}, "human_ranks: "),
        ({"human_ranks": [], "scores": []}, "human_ranks"),
        ({"human_ranks": [0, 1], "scores": [1, True]}, "scores: "),
        ('{"human_ranks": [0, 1], "scores": [1, NaN]}', "scores: "),
        ('{"human_ranks": [0, 1], "scores": [1, Infinity]}', "scores: "),
        ({"human_ranks": [0, 1]}, "scores: Field required"),
        ("[1, 2]", "not an object"),
        ('{"human_ranks": [0, 1], "sco', "JSON"),
    ],
)
def test_a_line_that_cannot_be_used_is_one_error_with_its_number(tmp_path: Path, line: Any, said: str) -> None:
    file = written(tmp_path / "sets.jsonl", [SETS[0], line, SETS[1]])
    result = CLI.invoke(app, ["eval", "reward-model", "--sets", str(file)])
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert f"{file}:2: " in result.stderr and said in result.stderr


def test_a_file_without_sets_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no rows"):
        read_scored_sets(written(tmp_path / "sets.jsonl", []))


def test_the_command_takes_the_names_that_the_statistics_know() -> None:
    pairs = ((commands.Ties, statistics.TiePolicy), (commands.Averaged, statistics.Average))
    for option, names in pairs:
        assert get_args(get_args(option)[0]) == get_args(names)
    assert get_args(get_args(get_args(commands.Undefined)[0])[0]) == statistics.UNDEFINED
