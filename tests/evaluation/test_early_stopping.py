"""Early stopping: which snapshot becomes the model, by whose word, and what a kill leaves to be done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_pairwise import asked

from selfreward import store
from selfreward.engines.opening import opened
from selfreward.errors import StageFailed
from selfreward.evaluation.early_stopping import choose_snapshot, walk
from selfreward.judges.pairwise import Meeting
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Judgement, RankedResponse, RankedSet
from selfreward.responses import Responses

RANKED = (RankedResponse(text="good good", rank=0), RankedResponse(text="good", rank=1))
SETS = [RankedSet(id=f"v{i}", prompt=f"say something about {i}", responses=RANKED) for i in range(4)]
STEPS = (10, 20, 30, 40)

Chosen = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture
def choose(here: Path, monkeypatch: pytest.MonkeyPatch) -> Chosen:
    """Chooses among snapshots that say good so many times; the model's folder and early_stopping.json."""

    def chosen(
        by: str, *goods: int, patience: int = 1, sets: list[RankedSet] = SETS, **sections: Any
    ) -> tuple[Path, dict[str, Any]]:
        times = ",".join(f"{step}:{num}" for step, num in zip(STEPS, goods, strict=False))
        monkeypatch.setenv("SELFREWARD_TEST_GOODS", times)
        early_stopping = {"every": 10, "by": by, "patience": patience}
        engine, training = {"name": "support_pairwise:snapshot"}, {"early_stopping": early_stopping}
        recipe = Recipe.of({"name": "x", "engine": engine, "training": training, **sections})
        folder = here / "m2"
        for step in STEPS[: len(goods)]:
            (folder / "snapshots" / f"step-{step}").mkdir(parents=True)
            (folder / "snapshots" / f"step-{step}" / "weights").write_text(f"{step}")
        with opened(recipe.engine) as engines:
            choose_snapshot(folder, ("m1", str(here / "m1")), recipe, sets, engines, QuietProgress())
        return folder, store.read_json(folder / store.EARLY_STOPPING_FILE)

    return chosen


def outcomes(**better: bool) -> Callable[[int, int | None], tuple[bool, dict[str, Any]]]:
    """What a walk finds, by step."""
    return lambda step, best: (better[f"s{step}"], {})


def test_the_walk_ends_at_the_first_that_is_no_better_and_takes_the_one_before() -> None:
    chosen, found = walk(STEPS, outcomes(s10=True, s20=True, s30=False, s40=True), patience=1)
    assert (chosen, [one["step"] for one in found]) == (20, [10, 20, 30])


def test_with_more_patience_a_later_one_is_compared_with_the_best_so_far() -> None:
    chosen, found = walk(STEPS, outcomes(s10=True, s20=True, s30=False, s40=True), patience=2)
    assert (chosen, [one["against"] for one in found]) == (40, [None, 10, 20, 20])


def test_misses_count_in_a_row() -> None:
    chosen, found = walk((*STEPS, 50), outcomes(s10=True, s20=False, s30=True, s40=False, s50=True), patience=2)
    assert (chosen, len(found)) == (50, 5)


def test_where_none_is_good_the_first_is_taken() -> None:
    assert walk(STEPS, outcomes(s10=False, s20=False), patience=2)[0] == 10


@pytest.mark.parametrize("by", ["scores", "pairwise"])
def test_the_last_snapshot_that_wins_becomes_the_model_and_the_others_go(choose: Chosen, by: str) -> None:
    folder, story = choose(by, 1, 2, 1, 3)
    assert (folder / "model" / "weights").read_text() == "20"
    assert not (folder / "snapshots").exists()
    assert (story["chosen"], story["steps"], story["judge"]) == (20, [10, 20, 30, 40], "m1")
    won, lost = story["looked_at"][1:]  # the fourth is not asked
    assert (won["against"], won["wins"], won["losses"], won["net"]) == (10, 4, 0, 100)
    assert (lost["against"], lost["wins"], lost["losses"], lost["net"]) == (20, 0, 4, -100)
    assert story["why"].startswith("step 30 does not win against step 20: net -100.0 [")


@pytest.mark.parametrize("by", ["scores", "pairwise"])
def test_a_tie_is_no_win(choose: Chosen, by: str) -> None:
    _, story = choose(by, 2, 2)
    assert (story["chosen"], story["looked_at"][1]["ties"]) == (10, 4)


def test_answers_that_say_the_same_tie_whatever_the_judge_says_of_each(
    choose: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = iter(range(1000))
    monkeypatch.setattr("support_pairwise.verdict", lambda prompt: [f"Score: {next(said) % 6}"])
    _, story = choose("scores", 2, 2)
    assert (story["looked_at"][1]["ties"], story["looked_at"][1]["identical"]) == (4, 4)


def test_the_paper_compares_pairs_in_both_orders(choose: Chosen) -> None:
    folder, story = choose("pairwise", 1, 2)
    meetings = store.read(folder / store.VALIDATION_MEETINGS_FILE, Meeting)
    assert [[verdict.winner for verdict in meeting.verdicts] for meeting in meetings] == [[1, 1]] * 4
    assert story["looked_at"][1]["position_bias"]["value"] == 0.5
    assert story["why"] == "no snapshot ended the walk"


def test_every_snapshot_answers_every_validation_prompt_once_and_draws_the_same_numbers(choose: Chosen) -> None:
    folder, _ = choose("scores", 1, 2, 3)
    lines = store.read(folder / store.VALIDATION_RESPONSES_FILE, Responses)
    answers = [one for line in lines for one in line.samples]
    assert sorted({one.model for one in answers}) == ["m2-step-10", "m2-step-20", "m2-step-30"]
    assert len(answers) == len({one.id for one in answers}) == 3 * len(SETS)
    judgements = store.read(folder / store.VALIDATION_JUDGEMENTS_FILE, Judgement)
    assert {one.response_id for one in judgements} == {one.id for one in answers}


def test_by_health_a_snapshot_that_judges_no_more_ends_the_walk(choose: Chosen) -> None:
    folder, story = choose("health", 1, 2, 0, 3)
    assert (folder / "model" / "weights").read_text() == "20"
    assert story["judge"] == "each snapshot"
    assert story["looked_at"][2]["alarms"] == [
        "100% of the pairs of responses to a prompt are tied", "100% of the votes say 4",
        "the scores tell little apart: their entropy is 0.00 bits",
    ]  # fmt: skip
    assert story["why"].startswith("step 30 as a judge: 100% of the pairs")
    assert not (folder / store.VALIDATION_RESPONSES_FILE).exists()


def test_a_guard_that_does_not_look_ends_no_walk(choose: Chosen) -> None:
    off = {guard: {"action": "off"} for guard in ("ties", "one_score", "entropy")}
    _, story = choose("health", 1, 0, guards=off)
    assert (story["chosen"], story["looked_at"][1]["alarms"]) == (20, [])


def test_by_health_the_first_is_taken_where_it_is_the_judge_that_is_sick(choose: Chosen) -> None:
    _, story = choose("health", 0, 1)
    assert (story["chosen"], len(story["looked_at"])) == (10, 1)


def test_a_judge_that_cannot_be_read_ends_the_run_and_not_the_training(choose: Chosen, here: Path) -> None:
    unclear = [one.model_copy(update={"prompt": f"unclear {one.prompt}"}) for one in SETS]
    with pytest.raises(StageFailed, match="of 4 comparisons of steps 20 and 10 none could be read"):
        choose("pairwise", 1, 2, sets=unclear)
    assert sorted(path.name for path in (here / "m2" / "snapshots").iterdir()) == ["step-10", "step-20"]


def test_a_single_snapshot_is_the_model_and_nobody_is_asked(choose: Chosen, here: Path) -> None:
    folder, story = choose("scores", 1)
    assert (story["chosen"], asked(here)) == (10, 0)
    assert (folder / "model" / "weights").read_text() == "10"


def test_what_was_decided_before_a_kill_is_carried_out_without_asking_again(choose: Chosen, here: Path) -> None:
    folder = here / "m2"
    folder.mkdir()
    store.write_json(folder / store.EARLY_STOPPING_FILE, {"chosen": 30})
    choose("scores", 3, 2, 1)
    assert ((folder / "model" / "weights").read_text(), asked(here)) == ("30", 0)


def test_snapshots_that_a_kill_left_beside_the_model_are_deleted(choose: Chosen, here: Path) -> None:
    folder = here / "m2"
    (folder / "model").mkdir(parents=True)
    store.write_json(folder / store.EARLY_STOPPING_FILE, {"chosen": 30})
    choose("scores", 3, 2)
    assert sorted(path.name for path in folder.iterdir()) == [store.EARLY_STOPPING_FILE, "model"]


def test_the_truth_of_the_micro_world_is_never_asked(choose: Chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the oracle was asked")

    for name in ("score", "checks"):
        monkeypatch.setattr(f"selfreward.micro.oracle.{name}", refuse)
    assert choose("scores", 1, 2)[1]["chosen"] == 20
