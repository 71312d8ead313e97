"""Responses: N to each prompt, each a function of what it is and not of its neighbours."""

from selfreward.engines.base import Sampling
from selfreward.engines.scripted import ScriptedEngine
from selfreward.records import Prompt, RankedResponse, RankedSet
from selfreward.responses import ranked_response_id, ranked_responses, sample

SAMPLING = Sampling(0.7, 0.9, 5)
PROMPTS = [Prompt(id=f"p{i}", text=f"Count to {i}.", source="m1") for i in range(3)]
SET = RankedSet(
    id="s", prompt="Name a fish.",
    responses=(RankedResponse(text="Cod.", rank=1), RankedResponse(text="Carp.", rank=0), RankedResponse(text="Cod.", rank=2)),
)  # fmt: skip


def counting(prompt: str) -> list[str]:
    """Six different answers, one of them too long."""
    return [f"{prompt} {i}" for i in range(5)] + ["one two three four five six"]


def test_a_prompt_has_as_many_samples_as_asked_for_and_keeps_their_words() -> None:
    (found, *_) = sample(ScriptedEngine(counting), PROMPTS, 4, SAMPLING, "m1", seed=0)
    assert found.id == "p0"
    assert [response.sample for response in found.samples] == [0, 1, 2, 3]
    assert len({response.id for response in found.samples}) == 4
    for response in found.samples:
        assert (response.prompt_id, response.prompt, response.model) == ("p0", "Count to 0.", "m1")


def test_a_response_that_was_cut_says_so() -> None:
    (found,) = sample(ScriptedEngine(counting), PROMPTS[:1], 6, SAMPLING, "m1", seed=0)
    assert {(r.text, r.num_tokens) for r in found.samples if not r.finished} == {("one two three four five", 5)}
    assert sum(response.finished for response in found.samples) == 5


def test_f20_responses_join_their_prompts_by_id_whatever_stands_beside_them() -> None:
    together = sample(ScriptedEngine(counting), PROMPTS, 4, SAMPLING, "m1", seed=0)
    apart = [sample(ScriptedEngine(counting), [prompt], 4, SAMPLING, "m1", seed=0)[0] for prompt in reversed(PROMPTS)]
    assert together == apart[::-1]


def test_prompt_model_and_seed_each_change_the_draw() -> None:
    engine = ScriptedEngine(lambda _: ["x"])
    for prompt, model, seed in (
        (PROMPTS[0], "m1", 0),
        (PROMPTS[1], "m1", 0),
        (PROMPTS[0], "m2", 0),
        (PROMPTS[0], "m1", 1),
    ):
        sample(engine, [prompt], 2, SAMPLING, model, seed)
    assert len({request.seed for request in engine.requests}) == 4
    ids = {sample(engine, PROMPTS[:1], 1, SAMPLING, model, 0)[0].samples[0].id for model in ("m1", "m2")}
    assert len(ids) == 2


def test_ranked_responses_are_records_whose_ids_do_not_tell_the_rank() -> None:
    found = ranked_responses([SET])
    assert [(r.prompt_id, r.prompt, r.text, r.sample) for r in found] == [
        ("s", "Name a fish.", "Cod.", 0),
        ("s", "Name a fish.", "Carp.", 1),
        ("s", "Name a fish.", "Cod.", 2),
    ]
    assert [r.id for r in found] == [ranked_response_id(SET, i) for i in range(3)]
    assert len({r.id for r in found}) == 3
    ranked_otherwise = tuple(response.model_copy(update={"rank": 0}) for response in SET.responses)
    assert ranked_responses([SET.model_copy(update={"responses": ranked_otherwise})]) == found
