"""The truth of the micro-world about a model: counted by hand, by family, complexity and point."""

import pytest

from selfreward.evaluation.micro import capability, held_out_prompts, malformed, oracle_ranking, scores, task_of
from selfreward.micro.tasks import split_of
from selfreward.recipe import Recipe
from selfreward.records import Prompt, RankedResponse, RankedSet, Response
from selfreward.statistics import mean_ci

SENTENCE = "Write a sentence about animals. Use exactly 5 words. Include the word river. End with an exclamation mark."
LIST = "Name some animals."


def response(prompt: str, text: str, sample: int = 0) -> Response:
    return Response(
        id=f"{prompt}{sample}", prompt_id=prompt, prompt=prompt, text=text, model="m1", sample=sample, num_tokens=1,
        finished=True,
    )  # fmt: skip


ANSWERS = [
    response(SENTENCE, "The fox finds a river!"),  # 5
    response(SENTENCE, "The hammer finds a river.", 1),  # 3: subject, ending
    response(LIST, "List: fox, cat."),  # 5
    response(LIST, "List: fox, cat", 1),  # 4: ending
]


def test_the_scores_of_a_prompts_samples_stand_together() -> None:
    assert scores(ANSWERS) == {SENTENCE: [5, 3], LIST: [5, 4]}
    assert scores(ANSWERS[::-1]) == {SENTENCE: [3, 5], LIST: [4, 5]}


def test_capability_is_the_mean_over_prompts_whole_and_by_kind() -> None:
    found = capability(ANSWERS)
    assert found["score"]["mean"] == 4.25
    assert found["score"]["n"] == 2  # prompts, not samples
    assert found["perfect"]["mean"] == 0.5
    assert found["length_words"]["mean"] == 4.0
    assert {family: (part["score"]["mean"], part["n"]) for family, part in found["by_family"].items()} == {
        "sentence": (4.0, 1),
        "list": (4.5, 1),
    }
    assert {level: part["score"]["mean"] for level, part in found["by_complexity"].items()} == {"1": 4.5, "4": 4.0}
    assert {point: (share["mean"], share["n"]) for point, share in found["by_point"].items()} == {
        "subject": (0.75, 2), "form": (1, 2), "amount": (1, 2), "content": (1, 2), "ending": (0.5, 2),
    }  # fmt: skip
    subject = mean_ci([0.5, 1.0])  # one share for each prompt
    assert found["by_point"]["subject"]["ci95"] == subject.ci95


def test_the_oracles_ranking_ties_equal_scores_and_leaves_out_sets_without_an_order() -> None:
    texts = ("The hammer finds a river.", "The fox finds a river!", "The saw finds a river.")
    ranked = tuple(RankedResponse(text=text, rank=rank) for rank, text in enumerate(texts))
    flat = tuple(RankedResponse(text=text, rank=rank) for rank, text in enumerate(("Hm", "Ah")))
    sets = [RankedSet(id="a", prompt=SENTENCE, responses=ranked), RankedSet(id="b", prompt=LIST, responses=flat)]
    (found,) = oracle_ranking(sets)
    assert (found.id, found.prompt) == ("a", SENTENCE)
    assert [(one.text, one.rank) for one in found.responses] == list(zip(texts, (1, 0, 1), strict=True))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_f22_held_out_prompts_are_of_the_split_that_the_recipe_names(split: str) -> None:
    recipe = Recipe.of({"name": "x", "evaluation": {"num_prompts": 30, "split": split}})
    prompts = held_out_prompts(recipe)
    assert {split_of(prompt.text) for prompt in prompts} == {split} == {prompt.source for prompt in prompts}
    assert len({prompt.id for prompt in prompts}) == 30
    assert held_out_prompts(recipe) == prompts


def test_malformed_prompts_are_counted_and_have_no_task() -> None:
    texts = [LIST, SENTENCE, "Name some fish.", "Hm."]
    assert malformed([Prompt(id=text, text=text, source="m1") for text in texts]) == 2
    with pytest.raises(ValueError, match="not an instruction of the micro-world: 'Hm"):
        task_of("Hm.")
