"""What a run watches itself for: a healthy run gives no alarm, a sick one the right ones, and the recipe says what then."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.errors import BadInput, StageFailed
from selfreward.guards import (
    Alarm,
    judge_alarms,
    pair_alarms,
    response_alarms,
    sound,
    training_alarms,
)
from selfreward.recipe import Guards, Recipe, load_recipe
from selfreward.records import Judgement, Response, Vote

GUARDS = Guards()


def judged(*prompts: list[float | None]) -> list[Judgement]:
    """One vote to a response; None is one that could not be read."""
    return [
        Judgement(
            id=f"j{p}-{i}", response_id=f"r{p}-{i}", prompt_id=f"p{p}", prompt="p", response="r", judge="m1",
            votes=(Vote(score=score, fault=None if score is not None else "unreadable", text=""),), score=score,
            coverage=float(score is not None),
        )
        for p, scores in enumerate(prompts) for i, score in enumerate(scores)
    ]  # fmt: skip


def answered(*prompts: list[str]) -> list[Response]:
    return [
        Response(id=f"r{p}-{i}", prompt_id=f"p{p}", prompt="p", text=text, model="m1", sample=i, num_tokens=1, finished=True)
        for p, texts in enumerate(prompts) for i, text in enumerate(texts)
    ]  # fmt: skip


def names(alarms: list[Alarm]) -> list[str]:
    return [alarm.guard for alarm in alarms]


def test_a_judge_that_tells_responses_apart_gives_no_alarm() -> None:
    assert judge_alarms(judged([5, 3, 4, 1], [5, 5, 2, 0]), GUARDS) == []


def test_a_judge_that_always_says_five_is_told_by_its_ties_its_votes_and_its_entropy() -> None:
    alarms = judge_alarms(judged(*[[5, 5, 5, 5]] * 9, [5, 5, 5, 4]), GUARDS)
    assert names(alarms) == ["ties", "one_score", "entropy"]
    assert "98% of the votes say 5" in alarms[1].said


def test_f01_votes_that_cannot_be_read_give_an_alarm_of_their_own_and_are_no_score() -> None:
    assert names(judge_alarms(judged([5, None, 1], [4, 2, 0]), GUARDS)) == ["readable"]
    assert names(judge_alarms(judged([None, None]), GUARDS)) == ["readable"]


def test_nothing_is_said_of_nothing() -> None:
    assert judge_alarms([], GUARDS) == response_alarms([], 10.0, GUARDS) == pair_alarms(0, 0, GUARDS) == []


@given(
    st.lists(st.lists(st.sampled_from([None, 0.0, 1.0, 2.5, 4.0, 5.0]), min_size=1, max_size=4), max_size=8),
    st.randoms(),
)
def test_the_order_of_the_judgements_does_not_matter(prompts: list[list[float | None]], random: Any) -> None:
    judgements = judged(*prompts)
    shuffled = random.sample(judgements, len(judgements))
    assert [a.guard for a in judge_alarms(shuffled, GUARDS)] == [a.guard for a in judge_alarms(judgements, GUARDS)]


@pytest.mark.parametrize(
    ("before", "found"), [(10.0, []), (6.0, []), (4.9, ["length"]), (21.0, ["length"]), (None, [])]
)
def test_responses_that_grow_or_shrink_give_an_alarm(before: float | None, found: list[str]) -> None:
    assert names(response_alarms(answered(["a" * 10, "b" * 10]), before, GUARDS)) == found


def test_one_answer_to_a_prompt_however_often_it_is_sampled_gives_an_alarm() -> None:
    assert names(response_alarms(answered(["a", "a ", "a", "a"], ["b", "b", "b", "c"]), None, GUARDS)) == ["duplicates"]
    assert response_alarms(answered(["a", "a", "b", "c"], ["a", "b", "c", "d"]), None, GUARDS) == []


def test_a_round_that_leaves_next_to_no_pairs_gives_an_alarm() -> None:
    (alarm,) = pair_alarms(3, 100, GUARDS)
    assert alarm.said == "100 prompts left 3 pairs to learn from"
    assert pair_alarms(30, 100, GUARDS) == []


@pytest.mark.parametrize(("loss", "found"), [(0.2, []), (2.5, []), (3.8, ["loss"])])
def test_a_loss_that_explodes_gives_an_alarm(loss: float, found: list[str]) -> None:
    assert names(training_alarms({"loss": loss}, 0.69, 0.1, GUARDS)) == found


@pytest.mark.parametrize(
    ("chosen", "rejected", "found"),
    [
        (-6.0, -9.0, ["likelihood"]),  # nats, of 10
        (-4.0, -9.0, []),
        (2.0, -9.0, []),
        (-6.0, 1.0, []),  # worse, but another fault: its margin says so
    ],
)
def test_probability_that_both_responses_lose_gives_an_alarm(chosen: float, rejected: float, found: list[str]) -> None:
    step = {
        "loss": 0.5,
        "rewards/chosen": 0.1 * chosen,
        "rewards/rejected": 0.1 * rejected,
        "logps/chosen": chosen - 10,
    }
    alarms = training_alarms(step, 0.69, 0.1, GUARDS)
    assert names(alarms) == found
    assert not alarms or "of the chosen from -10 to -16" in alarms[0].said


def test_sft_which_logs_no_log_probs_gives_no_alarm_of_them() -> None:
    assert training_alarms({"loss": 1.0}, 1.1, 0.1, GUARDS) == []


def test_an_alarm_is_said_and_kept_or_ends_the_run_or_is_not_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    alarm, kept = Alarm("ties", "all are tied", 0.9), []
    log = lambda **line: kept.append(line)  # noqa: E731
    sound([alarm], GUARDS, "m2", log)
    assert capsys.readouterr().err == "warning: m2: all are tied (guards.ties)\n"
    assert kept == [{"model": "m2", "guard": "ties", "said": "all are tied", "value": 0.9, "limit": 0.85}]
    sound([alarm], load_recipe("micro", ["guards.ties.action=off"]).guards, "m2", log)
    assert (capsys.readouterr().err, len(kept)) == ("", 1)
    with pytest.raises(StageFailed, match=r"m2: all are tied; .*guards\.ties\.action=warn"):
        sound([alarm], load_recipe("micro", ["guards.ties.action=stop"]).guards, "m2", log)
    assert len(kept) == 2


def test_a_guards_limit_and_action_are_set_one_without_the_other() -> None:
    guards = load_recipe("micro", ["guards.loss.limit=1.5", "guards.ties.action=off"]).guards
    assert (guards.loss.limit, guards.loss.action, guards.ties.limit, guards.ties.action) == (1.5, "stop", 0.85, "off")
    with pytest.raises(BadInput, match=r"guards\.ties\.action: .*'warn', 'stop' or 'off'"):
        Recipe.of({"name": "x", "guards": {"ties": {"action": "shout"}}})


def test_the_table_in_the_documents_is_the_defaults() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+) \| (warns|stops) \|$", text, re.MULTILINE)
    defaults = {name: getattr(GUARDS, name) for name in Guards.model_fields}
    written = [(name, float(limit), action) for name, limit, action in rows]
    assert written == [(name, guard.limit, f"{guard.action}s") for name, guard in defaults.items()]
