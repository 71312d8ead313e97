"""Pairs that people's data give without a judge."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from selfreward.pairing.people import human_pairs, person_vs_model
from selfreward.records import Example, RankedResponse, RankedSet, Response


def ranked(*ranks: int, id: str = "s", texts: list[str] | None = None) -> RankedSet:
    texts = texts or [f"text {i}" for i in range(len(ranks))]
    responses = tuple(RankedResponse(text=t, rank=r) for t, r in zip(texts, ranks, strict=True))
    return RankedSet(id=id, prompt=f"prompt of {id}", responses=responses)


def response(prompt: str, text: str) -> Response:
    return Response(
        id=f"r {prompt} {text}", prompt_id=prompt, prompt=f"prompt {prompt}", text=text, model="m1", sample=0, num_tokens=2,
        finished=True,
    )  # fmt: skip


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_every_two_responses_of_different_rank_are_a_pair_and_the_better_is_chosen(ranks: list[int]) -> None:
    pairing = human_pairs([ranked(*ranks)])
    different = [(a, b) for a, b in combinations(ranks, 2) if a != b]
    assert len(pairing.pairs) == len(different) == pairing.counts["pairs"]
    assert pairing.counts["tie"] == len(ranks) * (len(ranks) - 1) // 2 - len(different)
    for pair in pairing.pairs:
        assert ranks[int(pair.chosen.split()[1])] < ranks[int(pair.rejected.split()[1])]


def test_texts_that_are_the_same_never_pair() -> None:
    pairing = human_pairs([ranked(0, 1, texts=["Same.", "Same. "])])
    assert not pairing.pairs and pairing.counts["identical_text"] == 1


def test_a_persons_response_is_chosen_against_the_models_to_the_same_prompt() -> None:
    examples = [Example(id=i, prompt=f"prompt {i}", response=f"by a person {i}", source="ift") for i in "ab"]
    responses = [response("b", "by a model"), response("a", "by a person a ")]
    pairing = person_vs_model(examples, responses)
    (pair,) = pairing.pairs
    assert (pair.prompt, pair.chosen, pair.rejected, pair.margin) == ("prompt b", "by a person b", "by a model", 1.0)
    assert pairing.counts == {"prompts": 2, "pairs": 1, "identical_text": 1}
