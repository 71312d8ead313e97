"""Which pairs are shown, and why."""

import shutil
from pathlib import Path

import pytest

from selfreward import store
from selfreward.records import Pair
from selfreward.report.html.run import Run, read_run
from selfreward.report.html.telling import KINDS, NUM_SHOWN, telling


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_run, tmp_path / "run")


def read(path: Path) -> Run:
    return read_run(path)


def test_pairs_of_every_round_are_shown_in_the_order_of_rounds_and_each_once(run: Path) -> None:
    shown = telling(read(run))
    assert 5 <= len(shown) <= NUM_SHOWN
    assert [one.model for one in shown] == sorted(one.model for one in shown)
    assert {one.model for one in shown} == {"m2", "m3"}
    assert len({one.pair.id for one in shown}) == len(shown)
    assert {one.kind for one in shown} <= set(KINDS)
    assert telling(read(run)) == shown


def test_the_widest_margin_of_a_round_is_shown_with_what_the_judge_said(run: Path) -> None:
    pairs = store.read(run / "m2" / store.PAIRS_FILE, Pair)
    widest = [one for one in telling(read(run)) if one.model == "m2" and one.kind == "widest"]
    assert widest and widest[0].pair.margin == max(pair.margin for pair in pairs)
    assert widest[0].chosen is not None and widest[0].chosen.response == widest[0].pair.chosen
    assert widest[0].rejected is not None and widest[0].rejected.votes


def test_a_pair_that_the_oracle_sees_the_other_way_round_is_shown_as_wrong(run: Path) -> None:
    path = run / "m2" / store.PAIRS_FILE
    pairs = store.read(path, Pair)
    one = pairs[0]
    turned = one.model_copy(update={"chosen": "", "rejected": one.chosen, "id": "turned"})
    path.write_text("".join(f"{pair.model_dump_json()}\n" for pair in [turned, *pairs[1:]]))
    shown = {found.pair.id: found for found in telling(read(run))}
    assert shown["turned"].kind == "wrong"
    assert shown["turned"].truth is not None and shown["turned"].truth[0] <= shown["turned"].truth[1]


def test_a_run_without_an_oracle_has_no_truth_and_no_wrong_pairs(run: Path) -> None:
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("source: micro", "source: people.jsonl"))
    shown = telling(read(run))
    assert shown and {one.truth for one in shown} == {None}
    assert "wrong" not in {one.kind for one in shown}


def test_judgements_that_are_gone_leave_the_pairs(run: Path) -> None:
    for name in ("m2", "m3"):
        (run / name / store.JUDGEMENTS_FILE).unlink()
    assert {one.chosen for one in telling(read(run))} == {None}


def test_a_run_without_rounds_has_no_pairs(run: Path) -> None:
    for name in ("m2", "m3"):
        shutil.rmtree(run / name)
    assert telling(read(run)) == []
