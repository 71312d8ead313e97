"""AlpacaEval's annotations by a judge of one's own, and the outputs of a model of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from support_pairwise import TASTE, asked, outputs
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.evaluation.annotate import preference
from selfreward.judges.pairwise import Meeting, PairVerdict


def command(*words: object, code: int = 0) -> Any:
    ended = CliRunner().invoke(app, ["eval", *map(str, words), "--quiet"])
    assert ended.exit_code == code, ended.output + repr(ended.exception)
    return ended


def meeting(*verdicts: tuple[int | None, float | None]) -> Meeting:
    said = tuple(
        PairVerdict(order=order, winner=winner, fault=None if winner is not None else "refused", text="", share=share)  # type: ignore[arg-type]
        for order, (winner, share) in enumerate(verdicts)
    )
    return Meeting(id="m", prompt="p", answer_1="a", answer_2="b", verdicts=said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "verdicts, expected",
    [
        (((1, None), (1, None)), 2), (((2, None), (2, None)), 1), (((1, None), (2, None)), 1.5), (((0, None), (1, None)), 1.75),
        (((1, 0.75), (2, 0.25)), 1.5), (((1, 1.0), (1, 0.8)), 1.9), (((None, None), (1, None)), None),
    ],
)  # fmt: skip
def test_a_preference_is_the_mean_of_both_orders(verdicts: tuple[Any, Any], expected: float | None) -> None:
    assert preference(meeting(*verdicts)) == (None if expected is None else pytest.approx(expected))


def test_a_model_is_annotated_in_the_order_of_the_reference_and_measured(here: Path) -> None:
    model = outputs(here / "m.json", {"q2": "good", "q1": "good good", "q3": "same"}, "mod")
    reference = outputs(here / "r.json", {"q1": "good", "q2": "good good", "q3": "same"}, "ref", dataset="d")
    words = ("alpaca", model, "--reference", reference, "--judge", "micro-m0", *TASTE, "--to", "there")
    found = json.loads(command(*words, "--json").stdout)
    rows = json.loads((here / "there" / "annotations.json").read_text())
    assert [row["instruction"] for row in rows] == ["q1", "q2", "q3"]
    # 0.5 / 0.8 of the two numbers where the better answer is first, 0.6 / 0.8 where it is second
    expected = (0.5 / 0.8 + 0.6 / 0.8) / 2
    assert [row["preference"] for row in rows] == pytest.approx([1 + expected, 2 - expected, 1.5])
    assert (found["win_rate"], found["n_wins"], found["n_draws"], found["n_total"]) == (pytest.approx(50), 1, 1, 3)
    assert (found["model"], found["reference"]) == ("mod", "ref")
    assert found["annotator"].startswith("micro-m0 ") and rows[0]["dataset"] == "d"
    again = (
        "alpaca",
        "--annotations",
        here / "there" / "annotations.json",
        "--outputs",
        model,
        "--reference",
        reference,
    )
    assert json.loads(command(*again, "--json").stdout) == found


def test_annotating_again_asks_nothing_and_another_judge_is_another_annotator(here: Path) -> None:
    model = outputs(here / "m.json", {"q1": "good"}, "mod")
    reference = outputs(here / "r.json", {"q1": "bad"}, "ref")
    words = ("alpaca", model, "--reference", reference, "--judge", "micro-m0", *TASTE, "--json")
    first = json.loads(command(*words).stdout)
    before = asked(here)
    assert json.loads(command(*words).stdout) == first and asked(here) == before == 2
    written = json.loads(command(*words, "--read", "written").stdout)
    assert written["win_rate"] == 100 and written["annotator"] != first["annotator"]


def test_a_model_of_a_run_writes_its_outputs_and_is_annotated_alike(run: Path, here: Path) -> None:
    rows = [{"instruction": "say good", "dataset": "d"}, {"instruction": "say bad"}]
    (here / "prompts.json").write_text(json.dumps(rows))
    command("alpaca-outputs", run / "m2", "--prompts", "prompts.json", "--to", "outputs.json")
    assert json.loads((here / "outputs.json").read_text()) == [
        {"instruction": "say good", "output": "good m2", "generator": "x/m2", "dataset": "d"},
        {"instruction": "say bad", "output": "bad m2", "generator": "x/m2", "dataset": None},
    ]
    reference = outputs(here / "r.json", {"say good": "bad", "say bad": "good"}, "ref")
    judge = ("--reference", reference, "--judge", "micro-m0", *TASTE, "--json")
    of_run, of_file = (json.loads(command("alpaca", side, *judge).stdout) for side in (run / "m2", "outputs.json"))
    assert of_run == of_file


def test_outputs_are_not_written_over_and_prompts_must_be_prompts(run: Path, here: Path) -> None:
    (here / "prompts.jsonl").write_text('{"instruction": "a"}\n{"prompt": "a"}\n')
    words = ("alpaca-outputs", run / "m2", "--prompts", "prompts.jsonl", "--to", "outputs.json")
    assert "stands twice, first at prompts.jsonl:1" in command(*words, code=2).stderr
    (here / "prompts.jsonl").write_text('{"question": "a"}\n')
    assert "instruction: Field required" in command(*words, code=2).stderr
    (here / "outputs.json").write_text("[]")
    assert "is there already" in command(*words, code=2).stderr
    assert asked(here) == 0


def test_the_length_control_annotates_too_and_what_has_no_effect_is_refused(here: Path) -> None:
    model = outputs(here / "m.json", {"q1": "longer", "q2": "x"}, "mod")
    reference = outputs(here / "r.json", {"q1": "short", "q2": "same length"}, "ref")
    words = ("alpaca", model, "--reference", reference, "--judge", "length")
    assert json.loads(command(*words, "--json").stdout)["win_rate"] == 50
    assert "no effect" in command(*words, "--outputs", model, code=2).stderr
    annotations = next(here.glob("evals/*/annotations.json"))
    assert "no effect" in command("alpaca", "--annotations", annotations, "--judge", "length", code=2).stderr
