"""Pairs over time, and sets that a model ranks by their making."""

from selfreward.judges.votes import make_judgement
from selfreward.pairing import Pairing
from selfreward.pairing.over_time import past_vs_future
from selfreward.pairing.perturbed import neighbours, ranked_by_making
from selfreward.recipe import Pairs
from selfreward.records import Judgement, Prompt, Response, Vote


def response(name: str, text: str = "", prompt: str = "p") -> Response:
    return Response(
        id=name, prompt_id=prompt, prompt=prompt, text=text or f"by {name}", model="m1", sample=0, num_tokens=1, finished=True
    )  # fmt: skip


def judged(scores: dict[str, float]) -> list[Judgement]:
    return [make_judgement(response(n), [Vote(score=s, fault=None, text="")], "m1") for n, s in scores.items()]


def paired(judgements: list[Judgement], **settings: float) -> Pairing:
    return past_vs_future(judgements, PAST, FUTURE, Pairs.model_validate(settings))


PAST, FUTURE = [response("past")], [response("future")]


def test_the_future_is_chosen_and_the_past_rejected_where_they_are_the_better_and_the_worse() -> None:
    (pair,) = paired(judged({"now": 3.0, "then": 2.0, "past": 1.0, "future": 4.0})).pairs
    assert (pair.chosen_id, pair.rejected_id) == ("future", "past")


def test_else_the_present_keeps_its_own_best_and_worst() -> None:
    (pair,) = paired(judged({"now": 3.0, "then": 2.0, "past": 2.5, "future": 2.9})).pairs
    assert (pair.chosen_id, pair.rejected_id) == ("now", "then")


def test_the_past_is_never_chosen_and_the_future_never_rejected() -> None:
    (pair,) = paired(judged({"now": 3.0, "then": 2.0, "past": 5.0, "future": 0.0})).pairs
    assert (pair.chosen_id, pair.rejected_id) == ("now", "then")
    assert paired(judged({"past": 5.0, "future": 0.0})).counts["tie"] == 1


def test_over_time_too_the_margin_and_the_control_of_length_are_the_recipes() -> None:
    scores = {"now": 3.0, "past": 2.0, "then, at length": 2.2}
    assert paired(judged(scores), min_margin=1.5).counts["small_margin"] == 1
    (pair,) = paired(judged(scores), rho=0.3).pairs
    assert pair.rejected_id == "then, at length"


def test_a_neighbour_is_the_most_alike_of_the_others() -> None:
    texts = [
        "Name some tools. Give 3 items.",
        "Write about the sea.",
        "Name some tools. Give 4 items.",
        "Write about the see.",
    ]
    assert neighbours(texts) == [2, 3, 0, 1]
    assert neighbours(["alone"]) == [None]


def test_an_answer_to_the_instruction_ranks_above_one_to_its_neighbour() -> None:
    prompts = [Prompt(id=i, text=f"instruction {i}", source="m1") for i in "abc"]
    responses = [response(f"{i}{n}", f"answer {i}{n}", i) for i in "ab" for n in range(2)] + [
        response("c0", "answer a0", "c")
    ]
    (one, two), counts = ranked_by_making(prompts, responses, [1, 0, 0])  # c's neighbour has the same answer: no set
    assert counts == {"prompts": 3, "sets": 2, "identical_text": 1, "without_neighbour": 0}
    assert (one.prompt, [r.text for r in one.responses]) == ("instruction a", ["answer a0", "answer b0"])
    assert [r.rank for r in two.responses] == [0, 1]
