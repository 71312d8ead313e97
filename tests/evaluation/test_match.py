"""A match: who plays, who judges, where it is kept; and what of it is refused before anything is asked."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support_pairwise import TASTE, asked, outputs
from typer.testing import CliRunner

from selfreward.cli import app

pytestmark = pytest.mark.usefixtures("here")
QUESTIONS = ("q1", "q2", "q3", "q4")


@pytest.fixture
def sides(here: Path) -> tuple[str, str]:
    """Two files whose answers to q1 are won by the first side, to q2 by the second, tied at q3 and unreadable at q4."""
    ours = outputs(here / "a.json", dict(zip(QUESTIONS, ("good good", "bad", "good", "unclear"), strict=True)), "a")
    theirs = outputs(here / "b.json", dict(zip(QUESTIONS, ("good", "good", "good", "good"), strict=True)), "b")
    return ours, theirs


def play(*words: object) -> Any:
    ended = CliRunner().invoke(app, ["eval", "head-to-head", *map(str, words), "--quiet", "--json"])
    assert ended.exit_code == 0, ended.output + repr(ended.exception)
    return json.loads(ended.stdout)


def refused(*words: object) -> str:
    ended = CliRunner().invoke(app, ["eval", *map(str, words)])
    assert ended.exit_code == 2, ended.output + repr(ended.exception)
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_two_files_of_outputs_meet_in_both_orders(sides: tuple[str, str], here: Path) -> None:
    found = play(*sides, "--judge", "micro-m0", *TASTE)
    assert (found["wins"], found["ties"], found["losses"], found["missing"]) == (1, 1, 1, 1)
    assert (found["models"], found["identical"], found["empty"]) == (["a", "b"], 1, [0, 0])
    assert found["mean_length"] == [(9 + 3 + 4 + 7) / 4, 4]
    assert found["longer_wins"]["n"] == 2 and found["longer_wins"]["value"] == 1
    assert found["faults"] == {"unreadable": 2}
    assert asked(here) == 6  # two orders of three pairs; the pair that says the same is not shown


def test_the_result_names_the_judge_its_weights_words_and_sampling(sides: tuple[str, str], here: Path) -> None:
    pin = play(*sides, "--judge", "micro-m0", *TASTE, "--to", "there")["judge"]
    assert (
        pin["judge"] == "micro-m0"
        and pin["weights"]
        and all(pin["weights"].values())
        and len(pin["template_sha256"]) == 64
    )
    assert (pin["temperature"], pin["top_p"], pin["template"], pin["read"]) == (0, 1, "forced_choice", "written")
    assert json.loads((here / "there" / "result.json").read_text())["judge"] == pin


def test_a_match_that_was_cut_short_goes_on_and_one_that_is_finished_asks_nothing(
    sides: tuple[str, str], here: Path
) -> None:
    whole = play(*sides, "--judge", "micro-m0", *TASTE, "--to", "there")
    path = here / "there" / "meetings.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    before = asked(here)
    assert play(*sides, "--judge", "micro-m0", *TASTE, "--to", "there") == whole
    assert asked(here) == before + 2
    assert path.read_bytes() == b"".join(lines)


def test_the_default_folder_is_the_same_for_the_same_match_and_another_for_another(
    sides: tuple[str, str], here: Path
) -> None:
    play(*sides, "--judge", "micro-m0", *TASTE)
    play(*sides, "--judge", "micro-m0", *TASTE)
    assert len(os.listdir("evals")) == 1
    play(*sides, "--judge", "length")
    play(*sides, "--judge", "micro-m0", *TASTE, "--read", "probabilities")
    outputs(here / "b.json", dict.fromkeys(QUESTIONS, "other"))
    play(*sides, "--judge", "micro-m0", *TASTE)
    assert len(os.listdir("evals")) == 4


def test_a_folder_belongs_to_one_judge_and_one_pair(sides: tuple[str, str], here: Path) -> None:
    play(*sides, "--judge", "micro-m0", *TASTE, "--to", "there")
    said = refused("head-to-head", *sides, "--judge", "length", "--to", "there")
    assert "other judge" in said and "--to" in said
    assert "other sides" in refused("head-to-head", *reversed(sides), "--judge", "micro-m0", *TASTE, "--to", "there")
    (here / "full").mkdir()
    (here / "full" / "x").touch()
    assert "something other" in refused("head-to-head", *sides, "--judge", "length", "--to", "full")


def test_a_template_that_was_edited_is_another_judge(sides: tuple[str, str], here: Path) -> None:
    words = "{{ prompt }}\n<answer-1>\n{{ first }}\n</answer-1>\n<answer-2>\n{{ second }}\n</answer-2>"
    (here / "mine.jinja").write_text(words)
    judged = (*sides, "--judge", "micro-m0", *TASTE, "--template", "mine.jinja")
    play(*judged, "--to", "there")
    (here / "mine.jinja").write_text(words + "\nWhich is better?")
    assert "other judge" in refused("head-to-head", *judged, "--to", "there")
    play(*judged, "--to", "elsewhere")
    assert "2 judges" in refused("matches", "there", "elsewhere")


def test_the_length_judge_is_a_control_without_a_model(sides: tuple[str, str]) -> None:
    found = play(*sides, "--judge", "length")
    assert (found["wins"], found["ties"], found["losses"]) == (2, 1, 1)
    assert found["longer_wins"]["value"] == 1 and found["judge"] == {"judge": "length"}


def test_by_scores_the_higher_of_two_pointwise_scores_wins(sides: tuple[str, str], here: Path) -> None:
    found = play(*sides, "--judge", "micro-m0", *TASTE, "--by", "scores", "--set", "judge.votes=2")
    assert (found["wins"], found["ties"], found["losses"], found["missing"]) == (1, 1, 2, 0)
    assert "position_bias" not in found and found["judge"]["votes"] == 2
    assert asked(here) > 0


def test_categories_of_the_prompts_are_counted_apart(here: Path) -> None:
    ours = outputs(here / "a.json", {"q1": "good"}, dataset="maths")
    theirs = outputs(here / "b.json", {"q1": "bad"}, dataset="maths")
    assert play(ours, theirs, "--judge", "length")["by_category"]["maths"]["wins"] == 1


def test_models_of_a_run_are_compared_on_what_they_answered_when_they_were_measured(run: Path) -> None:
    found = play(run / "m2", run / "m1", "--judge", "micro-m0", *TASTE)
    assert (found["wins"], found["n"], found["models"]) == (2, 2, ["x/m2", "x/m1"])


def test_models_of_a_run_answer_prompts_that_are_given(run: Path, here: Path) -> None:
    (here / "prompts.jsonl").write_text(
        '{"prompt": "say good", "category": "c"}\n{"prompt": "say bad", "category": "c"}\n'
    )
    found = play(run / "m2", run / "m1", "--judge", "length", "--prompts", "prompts.jsonl", "--to", "there")
    assert (found["ties"], found["by_category"]["c"]["n"]) == (2, 2)
    (kept,) = (here / "there").glob("answers-x-m2-*.jsonl")
    assert len(kept.read_text().splitlines()) == 2


def test_runs_of_one_name_keep_their_answers_apart(run: Path, here: Path) -> None:
    other = here / "elsewhere" / "x"
    shutil.copytree(run, other)
    (other / "m2" / "model" / "model.safetensors").write_bytes(b"other weights")
    (here / "prompts.jsonl").write_text('{"prompt": "say good"}\n')
    play(run / "m2", other / "m2", "--judge", "length", "--prompts", "prompts.jsonl", "--to", "there")
    assert len(list((here / "there").glob("answers-x-m2-*.jsonl"))) == 2


def test_a_model_of_a_run_answers_the_prompts_of_the_outputs_it_meets(run: Path, here: Path) -> None:
    theirs = outputs(here / "b.json", {"say good": "bad"})
    assert play(run / "m2", theirs, "--judge", "micro-m0", *TASTE)["wins"] == 1


def test_a_model_of_a_run_judges(run: Path, sides: tuple[str, str]) -> None:
    pin = play(*sides, "--judge", run / "m2", *TASTE)["judge"]
    assert pin["judge"] == "x/m2" and list(pin["weights"]) == ["model.safetensors"]


def test_sides_that_answered_different_prompts_do_not_meet(here: Path) -> None:
    ours = outputs(here / "a.json", {"q1": "x", "q2": "x"}, "a")
    theirs = outputs(here / "b.json", {"q1": "x"}, "b")
    said = refused("head-to-head", ours, theirs, "--judge", "length")
    assert "b: lacks 1 of the 2 instructions of a ('q2') and has 0 others; give" in said


def test_bad_sides_and_judges_are_refused_before_anything_is_asked(
    sides: tuple[str, str], run: Path, here: Path
) -> None:
    ours, _ = sides
    twice = here / "twice.json"
    twice.write_text(json.dumps([{"instruction": "q", "output": "a"}, {"instruction": "q", "output": "b"}]))
    assert "already" in refused("head-to-head", twice, ours, "--judge", "length")
    assert "neither a file" in refused("head-to-head", "none.json", ours, "--judge", "length")
    assert "no such file" in refused("head-to-head", *sides, "--judge", "length", "--prompts", "none.json")
    assert "no model 'm9'" in refused("head-to-head", run / "m9", ours, "--judge", "length")
    assert "no pairwise template" in refused(
        "head-to-head", *sides, "--judge", "micro-m0", "--template", "forced_choic"
    )
    assert "judge.vote" in refused("head-to-head", *sides, "--judge", "micro-m0", "--set", "judge.vote=1")
    assert "gives no scores" in refused("head-to-head", *sides, "--judge", "length", "--by", "scores")
    assert "server.model" in refused("head-to-head", *sides, "--judge", "http://127.0.0.1:1/v1")
    assert "no such model" in refused("head-to-head", *sides, "--judge", "nowhere")
    assert "--judge" in refused("head-to-head", *sides)
    assert "no effect" in refused("head-to-head", "--verdicts", ours, "--read", "written")
    assert "judge.template" in refused(
        "head-to-head", *sides, "--judge", "micro-m0", "--by", "scores", "--template", "x"
    )
    assert "no settings" in refused("head-to-head", *sides, "--judge", "length", "--read", "written")
    assert "--verdicts" in refused("head-to-head", *sides, "--verdicts", ours)
    assert asked(here) == 0 and not (here / "evals").exists()


def test_a_match_is_printed_with_the_papers_figures_where_it_has_the_pair(run: Path) -> None:
    shown = CliRunner().invoke(app, ["eval", "head-to-head", f"{run}/m2", f"{run}/m1", "--judge", "length", "--quiet"])
    assert shown.exit_code == 0 and "55.5" in shown.stdout and "The longer answer won in" in shown.stdout


def test_f19_verdicts_are_joined_by_what_they_are_on_when_pairs_between_are_not_shown(here: Path) -> None:
    ours = outputs(here / "a.json", {"q1": "same", "q2": "good", "q3": "same", "q4": "bad"})
    theirs = outputs(here / "b.json", {"q4": "good", "q3": "same", "q2": "bad", "q1": "same"})
    play(ours, theirs, "--judge", "micro-m0", *TASTE, "--to", "there")
    lines = map(json.loads, (here / "there" / "meetings.jsonl").read_text().splitlines())
    assert {line["prompt"]: [v["winner"] for v in line["verdicts"]] for line in lines} == {
        "q1": [0, 0], "q2": [1, 1], "q3": [0, 0], "q4": [2, 2],
    }  # fmt: skip


def test_matches_of_one_judge_stand_side_by_side_and_of_two_only_by_force(run: Path, here: Path) -> None:
    for one, two, to in (("m2", "m1", "a"), ("m1", "m2", "b")):
        play(run / one, run / two, "--judge", "length", "--to", to)
    play(run / "m2", run / "m1", "--judge", "micro-m0", *TASTE, "--to", "c")
    shown = CliRunner().invoke(app, ["eval", "matches", "a", "b"])
    assert shown.exit_code == 0 and "x/m2 v x/m1" in shown.stdout and "55.5 / 32.8 / 11.7" in shown.stdout
    assert "2 judges: length" in refused("matches", "a", "c")
    forced = CliRunner().invoke(app, ["eval", "matches", "a", "c", "--force", "--json"])
    assert [found["judge"]["judge"] for found in json.loads(forced.stdout)] == ["length", "micro-m0"]
    assert "no finished match" in refused("matches", "a", "none")


def test_categories_may_stand_with_the_prompts_alone(here: Path) -> None:
    ours, theirs = (outputs(here / name, {"q1": text}) for name, text in (("a.json", "long"), ("b.json", "x")))
    (here / "p.jsonl").write_text('{"prompt": "q1", "category": "maths"}\n')
    assert play(ours, theirs, "--judge", "length", "--prompts", "p.jsonl")["by_category"]["maths"]["wins"] == 1
