"""What every engine promises, over all of them: local, scripted, a server, vllm over a fake executable, ray if it is there."""

import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support_endpoint import WORDS, FakeEndpoint, varied
from support_vllm import put_vllm_on_path

from selfreward.engines import open_engine
from selfreward.engines.base import Completion, Engine, Request, Sampling
from selfreward.engines.scripted import ScriptedEngine
from selfreward.recipe import EngineOptions

GREEDY, WARM = Sampling(0.0, 1.0, 24), Sampling(0.9, 0.95, 24)
CONTEXT = 512  # tokens of the local model, words of the fake servers
HAVE_A_CONTEXT = {"local", "server", "server one by one", "vllm", "ray"}
ENGINES = ["local", "scripted", "server", "server one by one", "vllm"]
WITH_RAY = [*ENGINES, pytest.param("ray", marks=pytest.mark.integration)]


def options(name: str, **settings: Any) -> EngineOptions:
    return EngineOptions.model_validate({"name": name, **settings})


def local(tiny_model: Path) -> Engine:
    return open_engine(options("local", device="cpu", batch_size=4), tiny_model)


def scripted() -> Engine:
    return ScriptedEngine(
        lambda prompt: varied(prompt, 1.0), token_probs=lambda text, candidates: [0.1] * len(candidates)
    )


def served(takes_n: bool) -> tuple[Engine, FakeEndpoint]:
    fake = FakeEndpoint()
    fake.takes_n, fake.context, fake.probs = takes_n, CONTEXT, {" 3": 0.3, " 4": 0.2}
    return open_engine(options("server", server={"url": fake.url, "model": fake.model}), "m"), fake


@pytest.fixture(scope="module")
def engines(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    together, fake = served(takes_n=True)
    singly, other_fake = served(takes_n=False)
    with pytest.MonkeyPatch.context() as patch:
        put_vllm_on_path(tmp_path_factory.mktemp("path"), patch)
        vllm = open_engine(options("vllm", vllm={"args": ["--max-model-len", str(CONTEXT)]}), "m")
    found = {
        "local": local(tiny_model), "scripted": scripted(), "server": together, "server one by one": singly, "vllm": vllm,
    }  # fmt: skip
    yield found
    for engine in found.values():
        engine.close()
        engine.close()  # a second time does nothing
    fake.close()
    other_fake.close()


@pytest.fixture(scope="module")
def on_ray(tiny_model: Path) -> Iterator[Engine]:
    """Two replicas with blocks smaller than what they are asked."""
    pytest.importorskip("ray", reason="Ray needs the extra [ray]", exc_type=ImportError)
    engine = open_engine(options("ray", device="cpu", threads=1, ray={"replicas": 2, "block": 2}), tiny_model)
    yield engine
    engine.close()
    engine.close()


@pytest.fixture(params=WITH_RAY)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(engines: dict[str, Engine], name: str, request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue("on_ray") if name == "ray" else engines[name]


def requests(num_samples: int = 3) -> list[Request]:
    """Nine different prompts."""
    rng = random.Random(0)
    return [Request(f"r{i}", " ".join(rng.choices(WORDS, k=3 + i)), num_samples, 10**12 + 97 * i) for i in range(9)]


def test_answers_come_in_the_order_of_the_requests_however_they_are_shuffled(engine: Engine) -> None:
    asked = requests()
    answers = dict(zip([r.id for r in asked], engine.generate(asked, WARM), strict=True))
    shuffled = random.Random(1).sample(asked, len(asked))
    assert engine.generate(shuffled, WARM) == [answers[request.id] for request in shuffled]
    assert len({tuple(c.text for c in samples) for samples in answers.values()}) == len(asked)


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "sampled"])
def test_a_sample_does_not_depend_on_its_neighbours(engine: Engine, sampling: Sampling) -> None:
    together = engine.generate(requests(), sampling)
    assert together == [engine.generate([request], sampling)[0] for request in requests()]


def test_every_request_gets_as_many_samples_as_it_asks_for(engine: Engine) -> None:
    asked = [Request(f"r{n}", f"write {n} words", n, n) for n in (0, 1, 2, 5)]
    assert [len(samples) for samples in engine.generate(asked, WARM)] == [0, 1, 2, 5]


def test_samples_differ_and_a_seed_repeats_them(engine: Engine) -> None:
    asked = Request("r", "write a sentence", 8, 11)
    (first,), (again,) = engine.generate([asked], WARM), engine.generate([asked], WARM)
    assert first == again
    assert len({completion.text for completion in first}) > 4
    (other,) = engine.generate([Request("r", asked.prompt, 8, 12345)], WARM)
    assert [c.text for c in other] != [c.text for c in first]


def test_greedy_samples_are_equal_whatever_the_seed(engine: Engine) -> None:
    first, second = engine.generate([Request("a", "the cat", 2, 1), Request("b", "the cat", 2, 99)], GREEDY)
    assert len({completion.text for completion in (*first, *second)}) == 1


def test_a_completion_that_was_cut_says_so(engine: Engine) -> None:
    found = [c for samples in engine.generate(requests(8), Sampling(0.9, 0.95, 6)) for c in samples]
    assert {completion.finished for completion in found} == {True, False}
    assert not any(completion.refused for completion in found)
    assert all(completion.num_tokens in (None, 6) for completion in found if not completion.finished)


def test_no_request_is_no_work(engine: Engine) -> None:
    assert engine.generate([], WARM) == []
    assert engine.score_tokens([], ["1"]) == []


def test_f17_a_prompt_that_does_not_fit_is_visible_and_its_neighbours_are_unharmed(
    engine: Engine, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if name not in HAVE_A_CONTEXT:
        pytest.skip("takes prompts of any length")
    caplog.set_level(logging.WARNING)
    good, long = Request("good", "the dog", 2, 1), Request("long", "dog " * 2 * CONTEXT, 2, 2)
    answers = engine.generate([long, good], WARM)
    assert answers == [[Completion("", 0, False)] * 2, engine.generate([good], WARM)[0]]
    assert "request long" in caplog.text
    scores = engine.score_tokens([(long.prompt, ""), (good.prompt, "")], ["3", "4"])
    assert scores[0] is None and scores[1] is not None


def test_the_room_for_an_answer_is_what_the_prompt_leaves_of_the_context_or_not_known(
    engine: Engine, name: str
) -> None:
    assert engine.room([]) == []
    shorter, longer = engine.room(["the dog", "the dog runs to the big red tree"])
    if name in ("local", "ray"):
        assert shorter is not None and longer is not None
        assert longer < shorter < CONTEXT
        (none,) = engine.room(["dog " * 2 * CONTEXT])
        assert none is not None and none < 1
        (samples,) = engine.generate([Request("r", "dog " * (CONTEXT - 30), 1, 1)], Sampling(0.9, 0.95, CONTEXT))
        (room,) = engine.room(["dog " * (CONTEXT - 30)])
        assert samples[0].num_tokens is not None and room is not None and samples[0].num_tokens <= room
    else:
        assert (shorter, longer) == (None, None)  # a server tells nobody; this scripted engine has no limit


def test_probabilities_are_of_all_tokens_there_are_and_in_order(engine: Engine) -> None:
    items = [(request.prompt, "score ") for request in requests()]
    found = engine.score_tokens(items, ["3", "4"])
    for probs, (other,) in zip(found, [engine.score_tokens([item], ["3", "4"]) for item in items], strict=True):
        assert probs == pytest.approx(other, rel=1e-5)  # alone and in a batch a product adds up in another order
        assert probs is not None and all(p >= 0 for p in probs) and 0 < sum(probs) < 1
    assert engine.score_tokens(items, ["4", "3"])[0] == pytest.approx((found[0] or ())[::-1])


@pytest.mark.parametrize("make", [scripted, lambda: served(takes_n=True)[0]], ids=["scripted", "server"])
def test_an_engine_that_was_never_asked_can_be_closed(make: Callable[[], Engine]) -> None:
    engine = make()
    engine.close()
    engine.close()
