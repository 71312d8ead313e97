"""The server engine: what it asks, what it believes, what it tries again, and that the key stays where it is."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support_endpoint import FakeEndpoint, varied

from selfreward.engines import check_engine, endpoint, open_engine
from selfreward.engines.base import Completion, Metered, Request, Sampling, Unanswered
from selfreward.engines.server import ServerEngine
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import EngineOptions

GREEDY, WARM = Sampling(0.0, 1.0, 16), Sampling(0.7, 0.9, 16)
REQUESTS = [Request(f"r{i}", f"write about {i}", 3, 10**15 + 1000 * i) for i in range(6)]
BUSY = (429, {}, {"error": {"message": "slow down"}})


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "BACKOFF_S", 0.01)


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    server = FakeEndpoint()
    yield server
    server.close()


@pytest.fixture
def engine_of(fake: FakeEndpoint) -> Iterator[Callable[..., ServerEngine]]:
    """Opens an engine over the fake, with settings; all are closed at the end."""
    engines: list[Any] = []

    def make(model: str = "judge-1", **settings: Any) -> ServerEngine:
        options = EngineOptions.model_validate(
            {"name": "server", "server": {"url": fake.url, "model": model, **settings}}
        )
        engines.append(open_engine(options, "runs/m1/model"))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def texts(samples: list[Completion]) -> list[str]:
    return [sample.text for sample in samples]


def asked(fake: FakeEndpoint) -> list[dict[str, Any]]:
    """What was asked, the probes aside."""
    return [body for body in fake.bodies if not body["messages"][0]["content"].startswith("Write down")]


def test_several_samples_are_asked_for_at_once_and_come_in_their_order(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    (samples,) = engine_of().generate(REQUESTS[:1], WARM)
    (body,) = asked(fake)
    assert body == {
        "model": "judge-1", "messages": [{"role": "user", "content": "write about 0"}], "temperature": 0.7, "top_p": 0.9,
        "max_tokens": 16, "seed": 10**15 % 2**31, "n": 3,
    }  # fmt: skip
    assert texts(samples) == [fake.draw("write about 0", 0.7, body["seed"] + j) for j in range(3)]
    assert {sample.num_tokens for sample in samples} == {None}  # the server counts them together


def test_what_was_said_before_is_sent_as_turns_of_the_chat(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    engine_of().generate([Request("r", "and then?", 1, 1, (("who?", "the cat"), ("why?", "")))], GREEDY)
    (body,) = asked(fake)
    said = [("user", "who?"), ("assistant", "the cat"), ("user", "why?"), ("assistant", ""), ("user", "and then?")]
    assert [(message["role"], message["content"]) for message in body["messages"]] == said


def test_where_n_is_ignored_the_same_samples_are_asked_for_one_by_one(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    together = engine_of().generate(REQUESTS, WARM)
    fake.takes_n = False
    fake.bodies.clear()
    singly = engine_of().generate(REQUESTS, WARM)
    assert [texts(samples) for samples in singly] == [texts(samples) for samples in together]
    assert len({body["seed"] for body in asked(fake)}) == len(asked(fake)) == 18
    assert not any("n" in body for body in asked(fake))  # the probe has found out
    assert all(sample.num_tokens == len(sample.text.split()) + 1 for samples in singly for sample in samples)


def test_where_n_is_refused_samples_are_asked_for_one_by_one(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.faults = [(400, {}, {"error": {"message": "'n' : number must be at most 1"}})]
    (samples,) = engine_of().generate(REQUESTS[:1], WARM)
    assert len(set(texts(samples))) == 3


def test_greedy_is_asked_for_once_whatever_the_number_of_samples(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    (samples,) = engine_of().generate(REQUESTS[:1], GREEDY)
    assert texts(samples) == [varied("write about 0", 0)[0]] * 3
    assert len(fake.bodies) == 1 and "n" not in fake.bodies[0]


def test_more_choices_than_asked_for_are_a_fault(fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]) -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    fake.faults = [(200, {}, {"model": "judge-1", "choices": [choice, choice]})]
    with pytest.raises(StageFailed, match="gave 2 choices where 1 were asked for"):
        engine_of().generate(REQUESTS[:1], GREEDY)


CHOICES = [{"index": i, "message": {"content": word}, "finish_reason": "stop"} for i, word in enumerate("abc")]
A, B, C = CHOICES
REPEATED = [[A, A, B], [A, B, B | {"index": 0}], [C], [A, C], [A, {**B, "index": -1}, C], [A, {**B, "index": None}, A]]


@pytest.mark.parametrize("choices", REPEATED, ids=str)
def test_choices_that_are_there_twice_or_missing_among_others_are_tried_again_and_then_given_up(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], choices: list[Any]
) -> None:
    engine = engine_of(retries=1)
    expected = engine.generate(REQUESTS[:1], WARM)
    fault = (200, {}, {"model": "judge-1", "choices": choices})
    fake.faults = [fault]
    assert engine.generate(REQUESTS[:1], WARM) == expected
    assert engine.usage()["retries"] == 1
    fake.faults = [fault, fault]
    with pytest.raises(
        Unanswered, match=f"indices of its {len(choices)} choices are not those .*; serve the model"
    ) as no:
        engine.generate(REQUESTS[:1], WARM)
    assert no.value.answers == [None]


@pytest.mark.parametrize("choices", [[A, B, C], [C, A, B], [{**c, "index": None} for c in CHOICES]], ids=str)
def test_choices_come_in_the_order_of_their_indices_or_where_they_have_none_in_that_of_their_list(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], choices: list[Any]
) -> None:
    engine = engine_of()
    engine.check_that_samples_differ()
    fake.faults = [(200, {}, {"model": "judge-1", "choices": choices})]
    assert [texts(samples) for samples in engine.generate(REQUESTS[:1], WARM)] == [["a", "b", "c"]]


# The greedy trap


def greedy_here_and_there(prompt: str, temperature: float) -> list[str]:
    """A greedy server of uncertain arithmetic: one prompt in four gets two answers."""
    return varied(prompt, 0)[: 2 if int(prompt.split()[2]) % 4 == 0 else 1]


def sure_until_heated(prompt: str, temperature: float) -> list[str]:
    """A model that has one answer at temperatures in use, and several at 2."""
    return ["Score: 4"] if temperature < 2 else varied(prompt, temperature)


def sure_even_when_heated(prompt: str, temperature: float) -> list[str]:
    """At temperature 2 it still gives one answer with probability 0.75."""
    return ["Score: 4"] if temperature < 2 else [*["Score: 4"] * 3, "Score: 3"]


@pytest.mark.parametrize("takes_n", [True, False])
def test_a_server_that_decodes_greedily_at_any_temperature_is_refused(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], takes_n: bool
) -> None:
    fake.samples, fake.takes_n = False, takes_n
    with pytest.raises(
        StageFailed, match=r"does not sample: 16 of 16 prompts got 4 equal answers at temperature 2.*do_sample"
    ):
        engine_of().generate(REQUESTS, WARM)
    assert asked(fake) == []


def test_single_samples_are_guarded_from_a_greedy_server_too(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    """New prompts are asked for one by one: no request could show that its samples are equal."""
    fake.samples = False
    with pytest.raises(StageFailed, match="does not sample"):
        engine_of().generate([Request("r", "write", 1, 1)], WARM)
    assert texts(engine_of().generate(REQUESTS[:1], GREEDY)[0]) == [varied("write about 0", 0)[0]] * 3


def test_a_greedy_server_that_differs_by_chance_is_refused(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.says = greedy_here_and_there
    with pytest.raises(StageFailed, match=r"does not sample: 1[2-6] of 16"):
        engine_of().generate(REQUESTS, WARM)


def test_a_server_that_keeps_one_temperature_whatever_is_asked_is_refused(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.temperature = 2.0
    with pytest.raises(StageFailed, match="ignores the temperature: at 0, 4 seeds gave 4 different answers"):
        engine_of().generate(REQUESTS, WARM)
    assert asked(fake) == []


@pytest.mark.parametrize("says", [sure_until_heated, sure_even_when_heated])
def test_a_model_that_is_sure_of_its_answer_is_not_refused(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], says: Any
) -> None:
    fake.says = says
    engine = engine_of()
    for samples in engine.generate(REQUESTS, WARM):
        assert texts(samples) == ["Score: 4"] * 3
    assert engine.usage()["equal_samples"] == 6  # and it is counted


def test_a_server_is_probed_once_and_at_temperature_1_where_it_refuses_2(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.faults = [(400, {}, {"error": {"message": "temperature must be at most 1"}})]
    engine = engine_of()
    engine.generate(REQUESTS[:2], WARM)
    engine.generate(REQUESTS[2:], WARM)
    assert [body["temperature"] for body in fake.bodies if body not in asked(fake)] == [2.0, 1.0, 0, 0, 0, 0]


# What an answer says


@pytest.mark.parametrize(
    ("choice", "completion"),
    [
        ({"finish_reason": "stop"}, Completion("cat", 2, True)),
        ({"finish_reason": "length"}, Completion("cat", 2, False)),
        ({"finish_reason": "abort"}, Completion("cat", 2, False)),
        ({"finish_reason": None}, Completion("cat", 2, False)),
        ({"finish_reason": "content_filter"}, Completion("cat", 2, False, refused=True)),
        ({"finish_reason": "content_filter", "message": {"content": None}}, Completion("", 2, False, refused=True)),
        ({"message": {"content": None, "refusal": "I cannot."}}, Completion("I cannot.", 2, False, refused=True)),
        ({"message": {"content": "a\nb\n"}}, Completion("a\nb\n", 2, True)),
    ],
)
def test_how_an_answer_ended_is_kept(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], choice: dict[str, Any], completion: Completion
) -> None:
    fake.says = lambda prompt, temperature: ["cat"]
    fake.choice = choice
    assert engine_of().generate([Request("r", "x", 1, 0)], GREEDY) == [[completion]]


def test_a_prompt_that_a_filter_stops_is_refused_and_its_neighbours_are_answered(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.faults_by_prompt["write about 1"] = (400, {}, {"error": {"message": "filtered", "code": "content_filter"}})
    engine = engine_of()
    answers = engine.generate(REQUESTS, WARM)
    assert answers[1] == [Completion("", 0, False, refused=True)] * 3
    assert all(sample.finished for i in (0, 2, 3, 4, 5) for sample in answers[i])
    assert engine.usage()["refused"] == 3


@pytest.mark.parametrize(
    "answered", ["judge-1", "judge-1-2026-11-01", "judge-1-1101", "judge-1@main", "some-org/judge-1"]
)
def test_the_model_that_answers_is_the_one_asked_for(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], answered: str
) -> None:
    fake.model = answered
    engine = engine_of()
    engine.generate(REQUESTS[:1], GREEDY)
    assert engine.usage()["answered_by"] == {answered: 1}


@pytest.mark.parametrize(
    "answered", ["judge-2", "judge-10", "judge", "base", "judge-1-mini", "judge-1-turbo-2026-11-01"]
)
def test_f06_f07_another_model_that_answers_is_refused(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], answered: str
) -> None:
    fake.model = answered
    with pytest.raises(StageFailed, match=f"asked for the model 'judge-1', and '{answered}' answered"):
        engine_of().generate(REQUESTS[:1], GREEDY)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "not a chat completion: model"),
        ({"model": "judge-1", "choices": []}, "choices: List should have at least 1 item"),
        ({"model": "judge-1", "choices": [{"finish_reason": "stop"}]}, r"choices\.0\.message"),
        ([], "not a chat completion"),
    ],
)
def test_what_is_no_chat_completion_is_one_clear_error(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], body: Any, said: str
) -> None:
    fake.faults = [(200, {}, body)]
    with pytest.raises(StageFailed, match=said):
        engine_of().generate(REQUESTS[:1], GREEDY)
    assert len(fake.bodies) == 1


# What is tried again


GARBAGE = [(200, {}, ""), (200, {}, '{"model": "judge-1", "choi'), (200, {}, "upstream \x00 gone")]
PASSING = ["drop", BUSY, (500, {}, "oh"), (503, {}, {"error": "loading"}), *GARBAGE]


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_passing_faults_are_tried_again(fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], fault: Any) -> None:
    expected = engine_of().generate(REQUESTS[:1], GREEDY)
    fake.faults = [fault, fault]
    engine = engine_of(retries=2)
    assert engine.generate(REQUESTS[:1], GREEDY) == expected
    assert engine.usage()["retries"] == 2


def test_an_endpoint_that_never_answers_in_json_is_given_up_and_a_web_page_at_once(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.faults = [(200, {}, "oh")] * 3
    with pytest.raises(StageFailed, match=r"answered 200 with something other than JSON: 'oh'; check server\.url"):
        engine_of(retries=2).generate(REQUESTS[:1], GREEDY)
    fake.faults = [(200, {"Content-Type": "text/html"}, "<html>")]
    with pytest.raises(StageFailed, match=r"something other than JSON: '<html>'; check server\.url"):
        engine_of(retries=2).generate(REQUESTS[:1], GREEDY)
    assert len(fake.bodies) == 3 + 1


def test_pauses_stand_in_the_log_with_their_reason(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], caplog: pytest.LogCaptureFixture
) -> None:
    fake.faults = ["drop", (429, {"Retry-After": "0.01"}, {"error": {"message": "slow down"}})]
    engine_of(retries=4).generate(REQUESTS[:1], GREEDY)
    said = [record.getMessage() for record in caplog.records if record.name == endpoint.__name__]
    assert len(said) == 2
    assert "; try 2 of 5 in 0.0" in said[0]
    assert said[1].startswith("429: slow down; try 3 of 5 in 0.0") and said[1].endswith(", and it asks for 0.01 s")


def test_an_answer_that_takes_too_long_is_tried_again_and_then_given_up(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.delay_s = 0.5
    with pytest.raises(StageFailed, match="no answer in 2 tries; the last: ReadTimeout"):
        engine_of(timeout_s=0.05, retries=1).generate(REQUESTS[:1], GREEDY)
    assert len(fake.bodies) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_other_4xx_are_one_clear_error_at_once(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], status: int
) -> None:
    fake.faults = [(status, {}, {"error": {"message": "no such\nthing"}})]
    with pytest.raises(StageFailed, match=f"{fake.url}: {status}: no such thing; ") as raised:
        engine_of().generate(REQUESTS[:1], GREEDY)
    assert len(fake.bodies) == 1
    assert raised.value.exit_code == 3


def test_an_account_that_is_used_up_is_not_tried_again(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.faults = [(429, {}, {"error": {"message": "quota", "code": "insufficient_quota"}})]
    with pytest.raises(StageFailed, match="429: quota; the account is used up"):
        engine_of().generate(REQUESTS[:1], GREEDY)
    assert len(fake.bodies) == 1


def test_retry_after_is_waited_for_by_every_request(fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]) -> None:
    fake.faults = [(429, {"Retry-After": "0.4"}, {})]
    engine_of(concurrency=1).generate(REQUESTS[:2], GREEDY)
    first, second, third = fake.times
    assert second - first > 0.38 and third - first > 0.38


@pytest.mark.parametrize("wait", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_pauses_grow_also_where_a_server_asks_to_be_asked_again_at_once(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    monkeypatch.setattr(endpoint, "BACKOFF_S", 0.1)
    fake.faults = [(503, {"Retry-After": wait}, {})] * 2
    engine_of().generate(REQUESTS[:1], GREEDY)
    first, second, third = fake.times
    assert second - first > 0.05 and third - second > 0.1


def test_a_server_that_asks_for_hours_is_not_waited_for(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.faults = [(429, {"Retry-After": "7200"}, {"error": {"message": "come back"}})]
    with pytest.raises(StageFailed, match="429: come back; it asks to wait 7200 s"):
        engine_of().generate(REQUESTS[:1], GREEDY)


# What is lost


def test_a_request_that_fails_does_not_lose_the_answers_to_others(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    whole = engine_of().generate(REQUESTS, WARM)
    fake.faults_by_prompt["write about 4"] = (400, {}, {"error": {"message": "no"}})
    with pytest.raises(Unanswered, match="400: no") as raised:
        engine_of(concurrency=2).generate(REQUESTS, WARM)
    answers = raised.value.answers
    assert answers[4] is None
    assert [answer for answer in answers[:4]] == whole[:4]


@pytest.mark.parametrize("fault", [(400, {}, {"error": {"message": "no"}}), (500, {}, "oh")], ids=str)
def test_probabilities_that_fail_do_not_lose_those_of_others(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], fault: Any
) -> None:
    fake.probs = {"3": 0.6, "4": 0.3}
    fake.context = 50
    items = [(prompt, "Score: ") for prompt in ("fish", "bad", "long " * 60, "fowl")]
    fake.faults_by_prompt["bad"] = fault
    with pytest.raises(Unanswered) as raised:
        engine_of(concurrency=4, retries=0).score_tokens(items, ["3", "4"])
    probs = pytest.approx((0.6, 0.3))
    assert raised.value.answers in ([(probs,), None, (None,), (probs,)], [(probs,), None, (None,), None])


def test_after_a_failure_no_further_request_is_begun(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.faults_by_prompt["write about 0"] = (400, {}, {"error": {"message": "no"}})
    with pytest.raises(Unanswered):
        engine_of(concurrency=1).generate(REQUESTS, GREEDY)
    assert len(fake.bodies) == 1


def test_an_engine_goes_on_after_a_failure(fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]) -> None:
    engine = engine_of()
    fake.faults = [(400, {}, {})]
    with pytest.raises(Unanswered):
        engine.generate(REQUESTS[:1], GREEDY)
    assert engine.generate(REQUESTS[:1], GREEDY)


# How fast


def test_no_more_requests_are_under_way_than_allowed(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.delay_s = 0.03
    engine_of(concurrency=2).generate(REQUESTS, GREEDY)
    assert fake.most_at_once == 2


def test_requests_keep_the_pace_that_is_set(fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]) -> None:
    engine = engine_of(requests_per_minute=1200)  # one every 50 ms
    began = time.monotonic()
    engine.generate(REQUESTS, GREEDY)
    # From the start, not from the first to arrive, which a busy machine may hold up. Six requests, five pauses.
    assert [arrived - began > 0.05 * place for place, arrived in enumerate(sorted(fake.times))] == [True] * 6


# The key


def test_the_key_comes_from_the_environment_and_is_sent_in_one_header(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.key = "sk-secret"
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    assert engine_of(api_key_env="JUDGE_KEY").generate(REQUESTS[:1], GREEDY)
    assert "sk-secret" not in str(fake.bodies)


def test_the_key_is_in_no_message_and_no_log(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Even where the server repeats it, as OpenAI's does in part."""
    caplog.set_level(logging.DEBUG)
    fake.key = "sk-other"
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    engine = engine_of(api_key_env="JUDGE_KEY")
    with pytest.raises(StageFailed, match=r"401: bad key Bearer \*\*\*; check the key") as raised:
        engine.generate(REQUESTS[:1], GREEDY)
    said = f"{raised.value} {raised.value.__cause__} {caplog.text} {engine.usage()} {engine.model}"
    assert "sk-secret" not in said


def test_a_key_that_is_not_set_is_named_by_its_variable(
    engine_of: Callable[..., ServerEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(BadInput, match="JUDGE_KEY: this environment variable"):
        engine_of(api_key_env="JUDGE_KEY")


@pytest.mark.parametrize("key", ["sk-secret\nmore", "sk-secr\u00e9t", "sk-secret\x07"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("JUDGE_KEY", key)
    options = {"name": "server", "server": {"url": fake.url, "api_key_env": "JUDGE_KEY"}}
    for use in (
        lambda: engine_of(api_key_env="JUDGE_KEY"),
        lambda: check_engine(EngineOptions.model_validate(options)),
    ):
        with pytest.raises(BadInput, match="JUDGE_KEY: the key in this environment variable has") as raised:
            use()
        assert "sk-" not in str(raised.value)


# Probabilities and likelihoods


def test_probabilities_are_those_of_the_listed_tokens_spaces_aside(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    fake.probs = {" 4": 0.5, "4": 0.1, "3": 0.2, "Score": 0.2}
    found = engine_of().score_tokens([("judge this", "Fine. Score: "), ("judge this", "")], ["3", "4", "5"])
    assert found == [pytest.approx((0.2, 0.6, 0.0))] * 2
    said, unsaid = sorted(fake.bodies, key=lambda body: -len(body["messages"]))
    assert said["messages"][1] == {"role": "assistant", "content": "Fine. Score:"}
    assert said["continue_final_message"] is True and said["add_generation_prompt"] is False
    assert "continue_final_message" not in unsaid
    assert (said["temperature"], said["top_p"], said["max_tokens"], said["top_logprobs"]) == (0, 1, 2, 20)
    assert unsaid["max_tokens"] == 1


def test_points_behind_a_space_that_is_a_token_of_its_own_are_read_there(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]
) -> None:
    """As with the tokenizers of Llama 3 and Qwen; where the space is part of the points' token, what follows is passed over."""
    fake.probs, fake.probs_after = {" ": 0.8, " 4": 0.1, "!": 0.1}, {"4": 0.5, "3": 0.25, "5": 0.25}
    asked_for = [("judge this", "Fine. Score: ")], ["3", "4", "5"]
    assert engine_of().score_tokens(*asked_for) == [pytest.approx((0.2, 0.5, 0.2))]
    fake.probs = {" 4": 0.9, " ": 0.1}
    assert engine_of().score_tokens(*asked_for) == [pytest.approx((0.0, 0.9, 0.0))]


@pytest.mark.parametrize("probs", [None, {}], ids=["none", "of the drawn token alone"])
def test_a_server_without_probabilities_is_one_clear_error(
    fake: FakeEndpoint, engine_of: Callable[..., ServerEngine], probs: dict[str, float] | None
) -> None:
    fake.probs = probs
    with pytest.raises(StageFailed, match="ignores top_logprobs; read votes"):
        engine_of().score_tokens([("judge this", "")], ["1"])


def test_likelihoods_are_refused_and_the_local_engine_is_named(engine_of: Callable[..., ServerEngine]) -> None:
    with pytest.raises(BadInput, match="use the engine local"):
        engine_of().loglik([("a", "b")])


# Before a run


def test_a_server_is_asked_for_before_a_run_begins(fake: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def options(**settings: Any) -> EngineOptions:
        return EngineOptions.model_validate({"name": "server", "server": {"url": fake.url, **settings}})

    check_engine(options())
    fake.key = "sk-secret"
    with pytest.raises(BadInput, match="answers 401; check the key"):
        check_engine(options())
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    check_engine(options(api_key_env="JUDGE_KEY"))
    with pytest.raises(BadInput, match=r"does not answer.*start the server"):
        check_engine(options(url="http://127.0.0.1:9/v1"))


def test_without_a_name_the_model_of_the_round_is_asked_for_by_its_folder(tmp_path: Any) -> None:
    options = EngineOptions.model_validate({"name": "server", "server": {"url": "http://127.0.0.1:9/v1"}})
    engine: Any = open_engine(options, tmp_path)
    assert engine.model == str(tmp_path.resolve())
    assert isinstance(engine, Metered)
    engine.close()


def test_it_works_inside_a_running_event_loop(engine_of: Callable[..., ServerEngine]) -> None:
    """As in a notebook."""
    import asyncio

    async def cell() -> list[list[Completion]]:
        return engine_of().generate(REQUESTS[:1], GREEDY)

    assert len(asyncio.run(cell())[0]) == 3


def test_an_interrupt_ends_what_is_under_way(fake: FakeEndpoint, engine_of: Callable[..., ServerEngine]) -> None:
    import signal
    import threading

    fake.delay_s = 3.0
    engine = engine_of(concurrency=1)
    main = threading.main_thread().ident or 0
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test worker ignores it
    threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.generate(REQUESTS, GREEDY)
    finally:
        signal.signal(signal.SIGINT, before)
    engine.close()
    assert time.monotonic() - began < 2
    assert len(fake.bodies) == 1
