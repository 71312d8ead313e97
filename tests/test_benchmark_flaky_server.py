"""A server that fails one call in five loses no judgement; what is wrong for good ends at once, in one line without the key."""

import logging
from pathlib import Path

import pytest
from support_benchmarks import load
from support_endpoint import FakeEndpoint

from selfreward import store
from selfreward.engines import endpoint
from selfreward.engines.opening import opened
from selfreward.errors import StageFailed
from selfreward.judges.filling import judge_into
from selfreward.progress import QuietProgress
from selfreward.recipe import Judge, Recipe
from selfreward.records import Judgement

flaky = load("flaky_server")


def test_no_judgement_is_lost_wrong_or_made_twice_where_one_call_in_five_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "BACKOFF_S", 0.01)
    found = flaky.measure(tmp_path, 300, concurrency=32, timeout_s=0.5)
    assert {name: found[name] for name in ("judgements", "lost", "wrong", "twice")} == {
        "judgements": 300, "lost": 0, "wrong": 0, "twice": 0,
    }  # fmt: skip
    assert found["faults"].keys() == flaky.FAULTS.keys()
    assert (
        found["retries"] == found["pauses_in_the_log"] >= sum(found["faults"].values()) > 40
    )  # a busy machine adds its own


@pytest.mark.parametrize(
    ("status", "said", "todo"),
    [(401, "bad key", "check the key"), (404, "no such model", "check server.url"), (400, "no", "nothing was tried again")],
)  # fmt: skip
def test_what_is_wrong_for_good_ends_at_once_and_the_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int, said: str, todo: str
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    fake = FakeEndpoint(says=flaky.verdicts)
    wanted = flaky.responses(8)
    settings = {"url": fake.url, "model": "judge-1", "api_key_env": "SOME_KEY", "concurrency": 1}
    judge = Judge.model_validate({"votes": 2, "engine": {"name": "server", "server": settings, "batch_size": 4}})
    recipe, path = Recipe.of({"name": "x"}), tmp_path / "m2" / store.JUDGEMENTS_FILE
    try:
        with opened(recipe.engine) as engines:
            judge_into(path, wanted[:4], judge, recipe, engines, "m1", "judge-1", QuietProgress())
            asked = len(fake.bodies)
            fake.faults = [(status, {}, {"error": {"message": f"{said}: Bearer sk-secret"}})]
            with pytest.raises(StageFailed) as raised:
                judge_into(path, wanted, judge, recipe, engines, "m1", "judge-1", QuietProgress())
    finally:
        fake.close()
    assert len(fake.bodies) == asked + 1
    assert f"{status}: {said}: Bearer ***; {todo}" in str(raised.value) and "\n" not in str(raised.value)
    assert len(store.read(path, Judgement)) == 4
    written = caplog.text + "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert "sk-secret" not in written + str(raised.value)


def test_a_response_too_long_for_the_judge_is_a_fault_of_its_vote_and_is_not_asked_again(tmp_path: Path) -> None:
    fake = FakeEndpoint(says=flaky.verdicts)
    fake.context = 10
    settings = {"url": fake.url, "model": "judge-1"}
    judge = Judge.model_validate({"votes": 2, "engine": {"name": "server", "server": settings}})
    recipe, path = Recipe.of({"name": "x"}), tmp_path / "m2" / store.JUDGEMENTS_FILE
    try:
        with opened(recipe.engine) as engines:
            found = judge_into(path, flaky.responses(1), judge, recipe, engines, "m1", "judge-1", QuietProgress())
    finally:
        fake.close()
    assert [vote.fault for vote in found[0].votes] == ["too_long", "too_long"] and found[0].score is None
    asked = [body for body in fake.bodies if not body["messages"][0]["content"].startswith("Write down")]
    assert len(asked) == 1
