"""Seeds: three parts without a common prompt, and an EFT seed that agrees with people."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward import store
from selfreward.errors import BadInput
from selfreward.judges.votes import make_judgement, read_vote
from selfreward.recipe import Recipe
from selfreward.records import Example, Judgement, RankedResponse, RankedSet
from selfreward.responses import ranked_responses
from selfreward.seeds import Seeds, agrees, build_eft, load_seeds

MICRO = Recipe.of(
    {
        "name": "x",
        "seeds": {"num_ift": 20, "num_eft_prompts": 8},
        "evaluation": {"num_ranked_sets": 6, "num_prompts": 5},
    }
)


@pytest.mark.parametrize(
    ("ranks", "scores", "agree"),
    [
        ((0, 1, 2), (5, 3, 1), True),
        ((0, 1, 2), (5, 3, 3), False),  # a tie is no agreement
        ((0, 1, 2), (3, 5, 1), False),
        ((2, 0, 1), (1, 5, 3), True),
        ((0, 0, 1), (3, 5, 1), True),  # people tied the first two: any order will do
        ((0, 0, 1), (5, 1, 1), False),
        ((0, 0), (1, 2), True),
        ((0,), (0,), True),
        ((0, 1), (3.5, 3.4), True),
    ],
)
def test_scores_agree_where_the_better_is_strictly_higher(
    ranks: tuple[int, ...], scores: tuple[float, ...], agree: bool
) -> None:
    assert agrees(ranks, scores) == agree


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=5), st.randoms())
def test_f21_agreement_does_not_depend_on_the_order_of_the_responses(
    responses: list[tuple[int, int]], random: Random
) -> None:
    shuffled = random.sample(responses, len(responses))
    assert agrees(*zip(*responses, strict=True)) == agrees(*zip(*shuffled, strict=True))


def ranked_set(name: str, num: int = 2) -> RankedSet:
    responses = tuple(RankedResponse(text=f"Answer {rank} to {name}.", rank=rank) for rank in range(num))
    return RankedSet(id=name, prompt=f"Question {name}?", responses=responses)


def judged(sets: list[RankedSet], votes: dict[str, list[str]]) -> list[Judgement]:
    """Judgements of the sets' responses; `votes` holds what the judge says of the responses of each set, `4 3` is two votes."""
    return [
        make_judgement(
            response,
            [read_vote(f"Vote. Score: {vote}", True) for vote in votes[response.prompt_id][response.sample].split()],
            "sft",
        )
        for response in ranked_responses(sets)
    ]


def test_a_set_is_kept_where_the_order_of_its_scores_is_the_peoples() -> None:
    sets = [ranked_set(name) for name in ("right", "wrong", "tied", "unread")]
    votes = {"right": ["5", "2"], "wrong": ["2", "5"], "tied": ["3", "3"], "unread": ["5", "x"]}
    eft, counts = build_eft(sets, judged(sets, votes), "micro", max_share=1)
    assert counts == {
        "sets": 4, "sets_kept": 1, "sets_unusable": 1, "sets_disagreeing": 2, "judgements_kept": 2,
        "judgements_thinned_out": 0,
    }  # fmt: skip
    assert [example.response for example in eft] == ["Vote. Score: 5", "Vote. Score: 2"]
    assert {example.source for example in eft} == {"eft"}


def test_an_example_is_the_judge_prompt_with_the_judges_words() -> None:
    sets = [ranked_set("right")]
    (first, second), _ = build_eft(sets, judged(sets, {"right": ["4", "1"]}), "micro", max_share=1)
    assert "Task: Question right?\nAnswer: Answer 0 to right." in first.prompt
    assert "Answer: Answer 1 to right." in second.prompt
    assert first.id != second.id


def test_the_first_try_that_agrees_is_kept_whole() -> None:
    """The first usable votes of all responses are one try; the second try agrees, and is taken for both responses."""
    sets = [ranked_set("a")]
    eft, counts = build_eft(sets, judged(sets, {"a": ["1 5 5", "3 2 1"]}), "micro", max_share=1)
    assert [example.response[-1] for example in eft] == ["5", "2"]
    assert counts["sets_kept"] == 1


def test_f01_an_unreadable_vote_is_passed_over_and_a_score_of_0_is_a_score() -> None:
    sets = [ranked_set("a"), ranked_set("b")]
    eft, counts = build_eft(sets, judged(sets, {"a": ["x 5", "0 0"], "b": ["x x", "1 1"]}), "micro", max_share=1)
    assert [example.response[-1] for example in eft] == ["5", "0"]
    assert (counts["sets_kept"], counts["sets_unusable"]) == (1, 1)


def test_a_judgement_without_reasons_is_no_example() -> None:
    sets = [ranked_set("a")]
    for min_words, num_kept in ((1, 1), (2, 0)):  # "Vote." is one word
        _, counts = build_eft(sets, judged(sets, {"a": ["5", "2"]}), "micro", max_share=1, min_words=min_words)
        assert (counts["sets_kept"], counts["sets_unusable"]) == (num_kept, 1 - num_kept)


def test_f19_judgements_join_their_sets_by_id() -> None:
    sets = [ranked_set("a"), ranked_set("b", num=3)]
    judgements = judged(sets, {"a": ["4", "1"], "b": ["5", "3", "2"]})
    assert build_eft(sets, judgements[::-1], "micro", 1) == build_eft(sets, judgements, "micro", 1)


@pytest.mark.parametrize("max_share", [0.2, 0.4, 0.5, 0.7, 1.0])
def test_the_most_common_score_is_thinned_to_its_share(max_share: float) -> None:
    sets = [ranked_set(f"s{i}") for i in range(30)]
    votes = {f"s{i}": ["5", str(i % 5)] for i in range(30)}  # 30 of 60 are a 5
    eft, counts = build_eft(sets, judged(sets, votes), "micro", max_share)
    scores = Counter(example.response[-1] for example in eft)
    assert scores["5"] <= max(max_share, 0) * len(eft)
    assert scores["5"] + 1 > max_share * (len(eft) + 1) or scores["5"] == 30  # and no further than that
    assert [scores[str(i)] for i in range(5)] == [6] * 5
    assert counts["judgements_kept"] == 60
    assert counts["judgements_thinned_out"] == 60 - len(eft)


def test_which_examples_are_thinned_out_depends_on_them_alone() -> None:
    sets = [ranked_set(f"s{i}") for i in range(20)]
    votes = {f"s{i}": ["5", "1" if i % 2 else "2"] for i in range(20)}
    forward = build_eft(sets, judged(sets, votes), "micro", 0.3)[0]
    backward = build_eft(sets[::-1], judged(sets, votes), "micro", 0.3)[0]
    assert {example.id for example in forward} == {example.id for example in backward}
    assert len(forward) < 40


def test_a_judge_that_agrees_with_nobody_leaves_no_eft() -> None:
    sets = [ranked_set("a")]
    assert build_eft(sets, judged(sets, {"a": ["1", "1"]}), "micro", 0.4)[0] == []


def prompts_of(seeds: Seeds) -> list[set[str]]:
    return [{e.prompt for e in seeds.ift}, *({s.prompt for s in part} for part in (seeds.ranked, seeds.evaluation))]


def test_the_micro_worlds_seeds_are_as_many_as_asked_and_written_once(tmp_path: Path) -> None:
    seeds = load_seeds(MICRO, tmp_path)
    assert (len(seeds.ift), len(seeds.ranked), len(seeds.evaluation)) == (20, 8, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval.jsonl", "ift.jsonl", "ranked.jsonl"]
    assert [(p.text, p.source) for p in seeds.prompts] == [(e.prompt, "ift") for e in seeds.ift]
    again = load_seeds(MICRO.model_copy(update={"seed": 1}), tmp_path)
    assert (again.ift, again.ranked, again.evaluation) == (seeds.ift, seeds.ranked, seeds.evaluation)


@pytest.mark.parametrize("num_written", [0, 1, 2])
def test_seeds_that_were_half_written_are_made_again_the_same(tmp_path: Path, num_written: int) -> None:
    whole = load_seeds(MICRO, tmp_path / "whole")
    names = (store.IFT_FILE, store.RANKED_FILE, store.EVAL_SEED_FILE)
    (tmp_path / "half").mkdir()
    for name in names[:num_written]:
        (tmp_path / "half" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    assert load_seeds(MICRO, tmp_path / "half").ranked == whole.ranked
    for name in names:
        assert (tmp_path / "half" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_f22_the_parts_share_no_prompt_and_evaluation_is_held_out(tmp_path: Path) -> None:
    seeds = load_seeds(MICRO, tmp_path)
    for one, other in combinations(prompts_of(seeds), 2):
        assert not one & other
    assert all(seeds.is_held_out(ranked.prompt.upper()) for ranked in seeds.evaluation)
    assert not any(seeds.is_held_out(text) for part in prompts_of(seeds)[:2] for text in part)


def write_source(folder: Path, ift: list[str], ranked: list[str], evaluation: list[str]) -> Recipe:
    """A folder of seeds with these prompts, and a recipe that asks for all of them."""
    folder.mkdir()
    store.append(folder / store.IFT_FILE, [Example(id=p, prompt=p, response="Yes.", source="ift") for p in ift])
    for name, prompts in ((store.RANKED_FILE, ranked), (store.EVAL_SEED_FILE, evaluation)):
        store.append(folder / name, [ranked_set(p).model_copy(update={"prompt": p}) for p in prompts])
    wanted = {"source": str(folder), "num_ift": len(ift), "num_eft_prompts": len(ranked)}
    return Recipe.of({"name": "x", "seeds": wanted, "evaluation": {"num_ranked_sets": len(evaluation)}})


def test_a_folder_of_the_users_own_is_a_source(tmp_path: Path) -> None:
    recipe = write_source(tmp_path / "mine", ["a b", "c d"], ["e f"], ["g h"])
    seeds = load_seeds(recipe, tmp_path / "seed")
    assert prompts_of(seeds) == [{"a b", "c d"}, {"e f"}, {"g h"}]
    assert seeds.is_held_out(" G  h\n")
    assert not seeds.is_held_out("a b")


def test_a_run_goes_on_with_its_own_seeds_when_the_source_is_gone(tmp_path: Path) -> None:
    recipe = write_source(tmp_path / "mine", ["a b"], ["e f"], ["g h"])
    first = load_seeds(recipe, tmp_path / "seed")
    (tmp_path / "mine" / store.IFT_FILE).unlink()
    assert load_seeds(recipe, tmp_path / "seed").ift == first.ift


@pytest.mark.parametrize(
    ("ift", "ranked", "evaluation", "said"),
    [
        (["a b", "c d"], ["C  D"], ["g h"], "IFT and EFT seeds share 1 prompts, such as 'c d'"),
        (["a b"], ["e f"], [" A b"], "IFT and evaluation seeds share"),
        (["a b"], ["e f"], ["E F"], "EFT and evaluation seeds share"),
    ],
)
def test_f22_parts_that_share_a_prompt_are_refused_and_nothing_is_written(
    tmp_path: Path, ift: list[str], ranked: list[str], evaluation: list[str], said: str
) -> None:
    recipe = write_source(tmp_path / "mine", ift, ranked, evaluation)
    (tmp_path / "seed").mkdir()
    with pytest.raises(BadInput, match=said):
        load_seeds(recipe, tmp_path / "seed")
    assert list((tmp_path / "seed").iterdir()) == []


@pytest.mark.parametrize(
    ("key", "asked"), [("num_ift", "seeds.num_ift is 9"), ("num_eft_prompts", "seeds.num_eft_prompts is 9")]
)
def test_too_few_are_said_with_what_to_set(tmp_path: Path, key: str, asked: str) -> None:
    recipe = write_source(tmp_path / "mine", ["a b", "c d"], ["e f", "i j"], ["g h"])
    more = recipe.model_copy(update={"seeds": recipe.seeds.model_copy(update={key: 9})})
    with pytest.raises(BadInput, match=rf"{asked}, there are 2; set seeds.{key} to 2"):
        load_seeds(more, tmp_path / "seed")


def test_a_missing_file_and_a_damaged_line_are_named(tmp_path: Path) -> None:
    recipe = write_source(tmp_path / "mine", ["a b"], ["e f"], ["g h"])
    with (tmp_path / "mine" / store.RANKED_FILE).open("a") as file:
        file.write('{"id": "x"}\n')
    with pytest.raises(BadInput, match=r"ranked\.jsonl:2: not a RankedSet: prompt"):
        load_seeds(recipe, tmp_path / "seed")
    (tmp_path / "mine" / store.RANKED_FILE).unlink()
    with pytest.raises(BadInput, match=r"has no ranked\.jsonl"):
        load_seeds(recipe, tmp_path / "seed")


def test_two_sets_of_one_id_are_refused(tmp_path: Path) -> None:
    recipe = write_source(tmp_path / "mine", ["a b"], ["e f", "e f"], ["g h"])
    with pytest.raises(BadInput, match=r"'e f' stands twice"):
        load_seeds(recipe, tmp_path / "seed")
