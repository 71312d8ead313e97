"""The scripted engine says what it is told, and remembers what it was asked."""

import pytest

from selfreward.engines.base import Completion, Request, Sampling
from selfreward.engines.scripted import ScriptedEngine

WARM, GREEDY = Sampling(0.7, 0.9, 8), Sampling(0.0, 1.0, 8)
SCRIPT = {"count": ["one", "two", "three", "four"], "say": ["a\nb"]}


def texts(engine: ScriptedEngine, request: Request, sampling: Sampling = WARM) -> list[str]:
    return [completion.text for completion in engine.generate([request], sampling)[0]]


def test_samples_are_the_scripts_texts_in_an_order_the_seed_decides() -> None:
    orders = {tuple(texts(ScriptedEngine(SCRIPT), Request("r", "count", 4, seed))) for seed in range(20)}
    assert len(orders) > 1
    assert all(sorted(order) == sorted(SCRIPT["count"]) for order in orders)


def test_the_same_seed_gives_the_same_samples_whatever_stands_beside_it() -> None:
    asked, other = Request("r", "count", 3, 5), Request("s", "say", 2, 1)
    alone = ScriptedEngine(SCRIPT).generate([asked], WARM)
    beside = ScriptedEngine(SCRIPT).generate([other, asked], WARM)
    assert alone[0] == beside[1]


def test_a_context_cuts_an_answer_and_leaves_none_to_a_prompt_that_fills_it() -> None:
    engine = ScriptedEngine({"a b": ["one two three"], "a b c d": ["one"]}, context=4)
    assert engine.room(["a b", "a b c d", "a b c d e"]) == [2, 0, -1]
    cut, nothing = engine.generate([Request("r", "a b", 1, 0), Request("s", "a b c d", 2, 0)], WARM)
    assert (cut, nothing) == ([Completion("one two", 2, False)], [Completion("", 0, False)] * 2)
    assert ScriptedEngine(SCRIPT).room(["say"]) == [None]


def test_greedy_takes_the_first_text() -> None:
    assert texts(ScriptedEngine(SCRIPT), Request("r", "count", 2, 3), GREEDY) == ["one", "one"]


def test_a_function_is_a_script() -> None:
    assert texts(ScriptedEngine(lambda prompt: [prompt.upper()]), Request("r", "say", 2, 0)) == ["SAY", "SAY"]


def test_a_text_of_several_lines_comes_back_whole_and_finished() -> None:
    assert ScriptedEngine(SCRIPT).generate([Request("r", "say", 1, 0)], WARM)[0] == [Completion("a\nb", 3, True)]


def test_a_text_longer_than_the_limit_is_cut_and_unfinished() -> None:
    engine = ScriptedEngine(lambda _: ["a b c d"])
    assert engine.generate([Request("r", "x", 1, 0)], Sampling(0.0, 1.0, 4))[0] == [Completion("a b c d", 4, False)]
    assert engine.generate([Request("r", "x", 1, 0)], Sampling(0.0, 1.0, 2))[0] == [Completion("a b", 2, False)]


def test_an_unknown_prompt_is_an_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="sing"):
        ScriptedEngine(SCRIPT).generate([Request("r", "sing", 1, 0)], WARM)


def test_requests_and_calls_are_remembered() -> None:
    engine = ScriptedEngine(SCRIPT)
    request = Request("r", "say", 1, 0)
    engine.generate([request], WARM)
    engine.score_tokens([("x", "")], ["1"])
    engine.close()
    assert (engine.requests, engine.calls, engine.closed) == ([request], ["generate", "score_tokens"], True)


def test_token_probabilities_are_equal_unless_told() -> None:
    assert ScriptedEngine({}).score_tokens([("x", "")], ["0", "1"]) == [(0.5, 0.5)]
    told = ScriptedEngine({}, token_probs=lambda text, _: [0.1, 0.3] if text == "x so" else [1, 0])
    assert told.score_tokens([("x", " so"), ("x", "")], ["0", "1"]) == [(0.1, 0.3), (1, 0)]


def test_likelihoods_fall_with_length_unless_told() -> None:
    assert ScriptedEngine({}).loglik([("p", "a b"), ("p", "")]) == [-3.0, -1.0]
    assert ScriptedEngine({}, loglik=lambda p, r: -float(len(p + r))).loglik([("p", "ab")]) == [-3.0]
