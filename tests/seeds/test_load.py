"""The three parts of the seeds: where each comes from, which prompts are used, and that everything read is accounted for."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_seeds import messages, write_lines

from selfreward import store
from selfreward.errors import BadInput, StageFailed
from selfreward.micro.people import draw_held_out
from selfreward.micro.tasks import split_of
from selfreward.recipe import EarlyStopping, Recipe
from selfreward.records import Example, RankedResponse, RankedSet, digest
from selfreward.seeds import Seeds, load_seeds, write_seeds
from selfreward.seeds.choosing import normal, usable_examples, usable_sets
from selfreward.seeds.data import part_sources

MICRO = Recipe.of(
    {
        "name": "x",
        "seeds": {"num_ift": 20, "num_eft_prompts": 8},
        "evaluation": {"num_ranked_sets": 6, "num_prompts": 5},
    }
)
NAMES = (store.IFT_FILE, store.RANKED_FILE, store.EVAL_SEED_FILE)
# What may become of a prompt once it is read: each has one fate.
FATES = {
    "empty", "too_long", "no_rank_0", "too_few_responses", "all_tied", "duplicate", "held_out", "shared_with_evaluation",
    "shared_with_validation", "shared_with_ranked", "not_needed", "used",
}  # fmt: skip


def recipe(num_ift: int, num_eft_prompts: int, num_evaluation: int, seed: int = 0, **seeds: Any) -> Recipe:
    wanted = {"num_ift": num_ift, "num_eft_prompts": num_eft_prompts, **seeds}
    evaluation = {"num_ranked_sets": num_evaluation}
    return Recipe.of({"name": "x", "seed": seed, "seeds": wanted, "evaluation": evaluation})


def prompts_of(seeds: Seeds) -> list[set[str]]:
    return [{e.prompt for e in seeds.ift}, *({s.prompt for s in part} for part in (seeds.ranked, seeds.evaluation))]


def written(recipe: Recipe, folder: Path) -> Seeds:
    seeds = load_seeds(recipe, folder)
    write_seeds(seeds, folder)
    return seeds


def ranked_row(prompt: str, *ranks: int) -> dict[str, Any]:
    return {"prompt": prompt, "responses": [{"text": f"{i}: {prompt}", "rank": rank} for i, rank in enumerate(ranks)]}


def pair(prompt: str, response: str = "Yes.") -> dict[str, str]:
    return {"prompt": prompt, "completion": response}


def test_the_micro_worlds_seeds_are_as_many_as_asked_and_written_once(tmp_path: Path) -> None:
    seeds = written(MICRO, tmp_path)
    assert (len(seeds.ift), len(seeds.ranked), len(seeds.evaluation)) == (20, 8, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval.jsonl", "ift.jsonl", "ranked.jsonl"]
    assert [(p.text, p.source) for p in seeds.prompts] == [(e.prompt, "ift") for e in seeds.ift]
    again = load_seeds(MICRO.model_copy(update={"seed": 1}), tmp_path)
    assert (again.ift, again.ranked, again.evaluation) == (seeds.ift, seeds.ranked, seeds.evaluation)


@pytest.mark.parametrize("num_written", [0, 1, 2])
def test_seeds_that_were_half_written_are_made_again_the_same(tmp_path: Path, num_written: int) -> None:
    whole = written(MICRO, tmp_path / "whole")
    (tmp_path / "half").mkdir()
    for name in NAMES[:num_written]:
        (tmp_path / "half" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    assert written(MICRO, tmp_path / "half").ranked == whole.ranked
    for name in NAMES:
        assert (tmp_path / "half" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_f22_the_parts_share_no_prompt_and_evaluation_is_held_out(tmp_path: Path) -> None:
    seeds = load_seeds(MICRO, tmp_path)
    for one, other in combinations(prompts_of(seeds), 2):
        assert not one & other
    assert all(seeds.is_held_out(ranked.prompt.upper()) for ranked in seeds.evaluation)
    assert not any(seeds.is_held_out(text) for part in prompts_of(seeds)[:2] for text in part)


def write_folder(folder: Path, ift: list[str], ranked: list[str], evaluation: list[str]) -> str:
    """A folder of seed files with these prompts."""
    folder.mkdir()
    store.append(folder / store.IFT_FILE, [Example(id=p, prompt=p, response="Yes.", source="ift") for p in ift])
    responses = (RankedResponse(text="Yes.", rank=0), RankedResponse(text="No.", rank=1))
    for name, prompts in ((store.RANKED_FILE, ranked), (store.EVAL_SEED_FILE, evaluation)):
        store.append(folder / name, [RankedSet(id=p, prompt=p, responses=responses) for p in prompts])
    return str(folder)


def test_the_seed_folder_of_a_run_is_a_source(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "mine", ["a b", "c d"], ["e f"], ["g h"])
    seeds = written(recipe(2, 1, 1, source=source), tmp_path / "seed")
    assert prompts_of(seeds) == [{"a b", "c d"}, {"e f"}, {"g h"}]
    assert seeds.is_held_out(" G  h\n")
    assert not seeds.is_held_out("a b")
    again = load_seeds(recipe(2, 1, 1, source=str(tmp_path / "seed")), tmp_path / "none")
    assert (again.ift, again.ranked, again.evaluation) == (seeds.ift, seeds.ranked, seeds.evaluation)
    (tmp_path / "mine" / store.RANKED_FILE).unlink()
    with pytest.raises(BadInput, match=r"has no ranked\.jsonl"):
        load_seeds(recipe(2, 1, 1, source=source), tmp_path / "none")


def test_a_data_set_that_has_an_eval_split_is_no_folder_of_seeds(tmp_path: Path) -> None:
    for name in ("train.jsonl", "eval.jsonl"):
        (tmp_path / name).touch()
    assert {source.path for source in part_sources(recipe(1, 1, 1, source=str(tmp_path)).seeds).values()} == {
        str(tmp_path)
    }


def test_a_run_goes_on_with_its_own_seeds_when_the_source_is_gone(tmp_path: Path) -> None:
    mine = recipe(1, 1, 1, source=write_folder(tmp_path / "mine", ["a b"], ["e f"], ["g h"]))
    first = written(mine, tmp_path / "seed")
    (tmp_path / "mine" / store.IFT_FILE).unlink()
    assert load_seeds(mine, tmp_path / "seed").ift == first.ift


def test_a_run_whose_own_parts_share_a_prompt_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "seed", ["a b"], ["e f"], [" A B"])
    with pytest.raises(BadInput, match="IFT and evaluation seeds share 1 prompts, such as 'a b'"):
        load_seeds(recipe(1, 1, 1, source="gone"), tmp_path / "seed")


def test_other_seeds_than_the_runs_are_not_written_over_them(tmp_path: Path) -> None:
    written(MICRO, tmp_path)
    with pytest.raises(StageFailed, match="differs"):
        write_seeds(load_seeds(MICRO.model_copy(update={"seed": 1}), tmp_path / "other"), tmp_path)


def test_one_open_assistant_file_gives_all_three_parts_by_the_papers_rule(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "oasst.jsonl", messages())
    seeds = written(recipe(2, 2, 1, source=str(path)), tmp_path / "seed")
    assert [len(part) for part in prompts_of(seeds)] == [2, 2, 1]
    for one, other in combinations(prompts_of(seeds), 2):
        assert not one & other
    best = {row["message_id"]: row["text"].strip() for row in messages() if row["rank"] == 0}
    assert {example.response for example in seeds.ift} <= set(best.values())
    assert store.read_json(tmp_path / "seed" / "counts.json") == seeds.counts
    read = {"rows": 41, "other_language": 1, "deleted": 1, "failed_review": 1, "synthetic": 1}
    read |= {"responses_unranked": 1, "responses_deleted": 1}
    # Two ranks of "The Nile" leave one response; the lone answer has no rank, another prompt has lost its rank 0.
    assert seeds.counts["ranked"] == read | {
        "responses_contradictory": 2, "responses_too_long": 1, "too_few_responses": 2, "held_out": 1, "not_needed": 3,
        "used": 2,
    }  # fmt: skip
    ift = {name: n for name, n in seeds.counts["ift"].items() if name in FATES}
    assert seeds.counts["ift"] == read | ift
    assert sum(ift.values()) == 8 and ift["no_rank_0"] == 2 and ift["used"] == 2
    assert seeds.counts["evaluation"] == {"used": 1}


def test_parts_may_come_from_different_sources_and_forms(tmp_path: Path) -> None:
    chats = [{"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "a"}]} for i in "12"]
    ift = write_lines(tmp_path / "chats.jsonl", chats)
    ranked = write_lines(tmp_path / "ranked.jsonl", [ranked_row("q3", 0, 1), ranked_row("q4", 1, 0)])
    evaluation = write_lines(tmp_path / "eval.jsonl", [ranked_row("q4", 0, 1), ranked_row("q5", 0, 0)])
    sources = {"ift": str(ift), "ranked": str(ranked), "evaluation": {"path": str(evaluation), "form": "ranked"}}
    seeds = load_seeds(recipe(2, 1, 1, **sources), tmp_path / "seed")
    assert prompts_of(seeds) == [{"q1", "q2"}, {"q3"}, {"q4"}]
    assert seeds.counts == {
        "ift": {"rows": 2, "used": 2},
        "ranked": {"rows": 2, "shared_with_evaluation": 1, "used": 1},
        "evaluation": {"rows": 2, "all_tied": 1, "used": 1},
    }


def test_f22_a_prompt_belongs_to_evaluation_first_then_to_eft_then_to_ift(tmp_path: Path) -> None:
    prompts = [f"question {i}" for i in range(6)]
    ift = write_lines(tmp_path / "ift.jsonl", [pair(f" {prompt.upper()}\n") for prompt in prompts])
    ranked = write_lines(tmp_path / "ranked.jsonl", [ranked_row(prompt, 0, 1) for prompt in prompts])
    seeds = load_seeds(recipe(1, 2, 3, ift=str(ift), ranked=str(ranked)), tmp_path / "seed")
    assert [len(part) for part in prompts_of(seeds)] == [1, 2, 3]
    assert seeds.counts["ift"] == {"rows": 6, "shared_with_evaluation": 3, "shared_with_ranked": 2, "used": 1}
    assert seeds.counts["ranked"] == {"rows": 6, "held_out": 3, "not_needed": 1, "used": 2}


def test_which_are_used_depends_on_the_prompts_and_not_on_their_order(tmp_path: Path) -> None:
    rows = [ranked_row(f"question {i}", 0, 1) for i in range(30)]
    found = []
    for i in range(3):
        shuffled = Random(i).sample(rows, len(rows)) + rows[:i]
        path = write_lines(tmp_path / f"{i}.jsonl", shuffled)
        seeds = load_seeds(recipe(5, 6, 7, source=str(path)), tmp_path / "seed")
        found.append((seeds.ift, seeds.ranked, seeds.evaluation))
    assert found[0] == found[1] == found[2]
    assert {example.prompt for example in seeds.ift} != {f"question {i}" for i in range(5)}


def test_what_is_held_out_is_the_same_for_every_run_seed_and_what_is_trained_on_is_not(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [ranked_row(f"question {i}", 0, 1) for i in range(40)])
    one, other = (load_seeds(recipe(9, 9, 9, seed, source=str(path)), tmp_path / "seed") for seed in (0, 1))
    assert one.evaluation == other.evaluation
    assert one.ranked != other.ranked and one.ift != other.ift


def test_more_prompts_hold_fewer(tmp_path: Path) -> None:
    ift = write_lines(tmp_path / "ift.jsonl", [pair(f"question {i}") for i in range(20)])
    ranked = write_lines(tmp_path / "ranked.jsonl", [ranked_row(f"task {i}", 0, 1) for i in range(20)])
    few, many = (load_seeds(recipe(n, n, 3, ift=str(ift), ranked=str(ranked)), tmp_path / "seed") for n in (4, 12))
    assert few.ift == many.ift[:4] and few.ranked == many.ranked[:4]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((9, 2, 1), r"seeds\.num_ift is 9, there are 2 \(rows 2\); set seeds\.num_ift to 2 or add data"),
        ((2, 9, 1), r"num_eft_prompts is 9, there are 2 \(rows 3, held_out 1\); set seeds\.num_eft_prompts to 2"),
        ((9, 9, 1), r"set seeds\.num_ift to 2 and seeds\.num_eft_prompts to 2 or add data"),
        ((2, 2, 9), r"num_eft_prompts is 2, there are 0 .*evaluation\.num_ranked_sets is 9, there are 3"),
    ],
)
def test_too_few_are_said_all_at_once_with_what_to_set(
    tmp_path: Path, numbers: tuple[int, int, int], said: str
) -> None:
    ift = write_lines(tmp_path / "ift.jsonl", [pair("a"), pair("b")])
    ranked = write_lines(tmp_path / "ranked.jsonl", [ranked_row(f"task {i}", 0, 1) for i in range(3)])
    with pytest.raises(BadInput, match=said):
        load_seeds(recipe(*numbers, ift=str(ift), ranked=str(ranked)), tmp_path / "seed")
    assert not (tmp_path / "seed").exists()


def test_single_responses_cannot_be_the_ranked_source(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [pair("a"), pair("b")])
    with pytest.raises(BadInput, match=r"prompt_completion have one response to a prompt, seeds\.ranked wants several"):
        load_seeds(recipe(1, 1, 1, source=str(path)), tmp_path / "seed")


def test_bad_lines_are_skipped_and_counted_where_the_recipe_says_so(tmp_path: Path) -> None:
    ift = write_lines(tmp_path / "ift.jsonl", [pair("a"), "{", pair("b")])
    ranked = write_lines(tmp_path / "ranked.jsonl", [ranked_row(f"task {i}", 0, 1) for i in range(3)])
    sources = {"ift": str(ift), "ranked": str(ranked)}
    with pytest.raises(BadInput, match=r"ift\.jsonl:2: bad line: .*seeds\.bad_lines=skip"):
        load_seeds(recipe(2, 1, 1, **sources), tmp_path / "seed")
    seeds = load_seeds(recipe(2, 1, 1, bad_lines="skip", **sources), tmp_path / "seed")
    assert seeds.counts["ift"] == {"rows": 3, "bad_lines": 1, "used": 2}


def stopping_early(prompts: int, recipe: Recipe) -> Recipe:
    training = recipe.training.model_copy(update={"early_stopping": EarlyStopping(prompts=prompts)})
    return recipe.model_copy(update={"training": training})


@pytest.mark.parametrize("split", ["dev", "test"])
def test_f22_validation_prompts_of_the_micro_world_are_of_dev_and_nobodys_else(tmp_path: Path, split: str) -> None:
    measured = MICRO.evaluation.model_copy(update={"split": split})
    seeds = written(stopping_early(30, MICRO.model_copy(update={"evaluation": measured})), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "eval.jsonl", "ift.jsonl", "ranked.jsonl", "validation.jsonl"
    ]  # fmt: skip
    validation = {one.prompt for one in seeds.validation}
    assert len(validation) == 30 and {split_of(prompt) for prompt in validation} == {"dev"}
    answered = {text for _, text in draw_held_out(5, 0, split)}  # what models are measured on, beside judges
    assert not validation & answered
    assert not any(validation & part for part in prompts_of(seeds))
    assert all(seeds.is_held_out(prompt) for prompt in validation)
    assert load_seeds(stopping_early(30, MICRO), tmp_path).validation == seeds.validation  # from the run, once written


def test_the_other_seeds_of_the_micro_world_are_the_same_with_a_validation_seed(tmp_path: Path) -> None:
    one, other = load_seeds(MICRO, tmp_path), load_seeds(stopping_early(30, MICRO), tmp_path)
    assert (one.ift, one.ranked, one.evaluation) == (other.ift, other.ranked, other.evaluation)
    assert one.validation == []


def test_f22_validation_takes_after_evaluation_and_before_what_is_trained_on(tmp_path: Path) -> None:
    prompts = [f"question {i}" for i in range(8)]
    ift = write_lines(tmp_path / "ift.jsonl", [pair(f" {prompt.upper()}\n") for prompt in prompts])
    ranked = write_lines(tmp_path / "ranked.jsonl", [ranked_row(prompt, 0, 1) for prompt in prompts])
    without = recipe(1, 2, 3, ift=str(ift), ranked=str(ranked))
    seeds = written(stopping_early(2, without), tmp_path / "seed")
    assert seeds.evaluation == load_seeds(without, tmp_path / "none").evaluation
    validation = {one.prompt for one in seeds.validation}
    assert len(validation) == 2
    assert not any(validation & part for part in prompts_of(seeds))
    assert all(seeds.is_held_out(f"{prompt.upper()} ") for prompt in validation)
    assert seeds.counts["validation"] == {"used": 2}
    assert seeds.counts["ranked"] == {"rows": 8, "held_out": 5, "not_needed": 1, "used": 2}
    assert seeds.counts["ift"] == {
        "rows": 8, "shared_with_evaluation": 3, "shared_with_validation": 2, "shared_with_ranked": 2, "used": 1
    }  # fmt: skip
    another = load_seeds(stopping_early(2, without.model_copy(update={"seed": 1})), tmp_path / "none")
    assert another.validation == seeds.validation  # no run has trained on what another is stopped by


def test_the_validation_seed_of_a_run_is_a_part_of_its_seed_folder(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "mine", ["a b"], ["e f"], ["g h"])
    rows = [
        RankedSet(id="v", prompt="v w", responses=(RankedResponse(text="y", rank=0), RankedResponse(text="n", rank=1)))
    ]
    store.append(tmp_path / "mine" / store.VALIDATION_SEED_FILE, rows)
    stopping = stopping_early(1, recipe(1, 1, 1, source=source))
    assert [one.prompt for one in load_seeds(stopping, tmp_path / "none").validation] == ["v w"]
    assert load_seeds(recipe(1, 1, 1, source=source), tmp_path / "none").validation == []


def test_no_prompts_left_to_stop_by_are_said_with_what_to_set(tmp_path: Path) -> None:
    ranked = write_lines(tmp_path / "ranked.jsonl", [ranked_row(f"task {i}", 0, 1) for i in range(3)])
    ift = write_lines(tmp_path / "ift.jsonl", [pair("a")])
    wanted = recipe(1, 1, 1, ift=str(ift), ranked=str(ranked))
    said = (
        r"num_eft_prompts is 1, there are 0 .*; training\.early_stopping\.prompts is 3, there are 2 .*; "
        r"set training\.early_stopping\.prompts to 2"
    )
    with pytest.raises(BadInput, match=said):
        load_seeds(stopping_early(3, wanted), tmp_path / "seed")


def test_a_run_whose_validation_shares_a_prompt_with_what_it_learns_from_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "seed", ["a b"], ["e f"], ["g h"])
    (tmp_path / "seed" / store.VALIDATION_SEED_FILE).write_bytes((tmp_path / "seed" / store.RANKED_FILE).read_bytes())
    with pytest.raises(BadInput, match="EFT and validation seeds share 1 prompts, such as 'e f'"):
        load_seeds(stopping_early(1, recipe(1, 1, 1, source="gone")), tmp_path / "seed")


def a_set(prompt: str, *responses: tuple[str, int]) -> RankedSet:
    return RankedSet(
        id=prompt, prompt=prompt, responses=tuple(RankedResponse(text=text, rank=rank) for text, rank in responses)
    )


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (a_set("x", ("a", 0), ("b", 1)), {}),
        (a_set("x", ("a", 0), ("b", 0), ("c", 1)), {}),  # ties are allowed
        (a_set("", ("a", 0), ("b", 1)), {"empty": 1}),
        (a_set("x" * 10, ("a", 0), ("b", 1)), {"too_long": 1, "responses_too_long": 2}),
        (a_set("x", ("a" * 10, 0), ("b", 1)), {"too_few_responses": 1, "responses_too_long": 1}),
        (a_set("x", ("a" * 9, 0), ("b", 1)), {}),
        (a_set("x", ("", 0), ("b", 1)), {"too_few_responses": 1, "responses_empty": 1}),
        (a_set("x", ("a", 0)), {"too_few_responses": 1}),
        (a_set("x", ("a", 1), ("b", 1)), {"all_tied": 1}),
        (a_set("x", ("a", 0), (" A ", 0), ("b", 1)), {"responses_duplicate": 1}),
        (a_set("x", ("a", 0), ("A", 2), ("b", 1)), {"too_few_responses": 1, "responses_contradictory": 2}),
    ],
)
def test_a_ranked_set_that_says_no_order_is_left_out_under_its_reason(one: RankedSet, counts: dict[str, int]) -> None:
    sets, found = usable_sets([one], max_chars=10)
    assert {name: n for name, n in found.items() if n} == counts
    assert len(sets) == (0 if set(counts) & FATES else 1)


@pytest.mark.parametrize(
    ("prompt", "response", "fate"),
    [("x", "y", None), ("", "y", "empty"), ("x", "", "empty"), ("x" * 9, "yy", "too_long"), ("x" * 9, "y", None)],
)
def test_a_pair_that_cannot_be_imitated_is_left_out_under_its_reason(
    prompt: str, response: str, fate: str | None
) -> None:
    examples, counts = usable_examples([Example(id="x", prompt=prompt, response=response, source="ift")], max_chars=10)
    assert {name: n for name, n in counts.items() if n} == ({fate: 1} if fate else {})
    assert len(examples) == (fate is None)


texts = st.text("aB \n", max_size=4)
sets = st.builds(
    lambda prompt, responses: a_set(prompt.strip(), *((text.strip(), rank) for text, rank in responses)),
    texts,
    st.lists(st.tuples(texts, st.integers(0, 2)), max_size=4),
)


@given(st.lists(sets, max_size=8), st.randoms())
def test_every_set_has_one_fate_and_no_two_that_are_used_have_one_prompt(
    found: list[RankedSet], random: Random
) -> None:
    used, counts = usable_sets(found, max_chars=6)
    assert len(used) + sum(n for name, n in counts.items() if name in FATES) == len(found)
    assert len({normal(one.prompt) for one in used}) == len(used)
    responses = Counter({name: n for name, n in counts.items() if name.startswith("responses_")})
    assert sum(responses.values()) <= sum(len(one.responses) for one in found)
    for one in used:
        assert len({normal(response.text) for response in one.responses}) == len(one.responses) >= 2
        assert len({response.rank for response in one.responses}) >= 2
    again, recounted = usable_sets(random.sample(found, len(found)), max_chars=6)
    assert sorted(one.model_dump_json() for one in again) == sorted(one.model_dump_json() for one in used)
    assert counts == recounted


def test_of_a_ranked_set_the_best_is_imitated_and_of_several_best_one_whatever_their_order() -> None:
    one = a_set("x", ("b", 1), ("a", 0), ("c", 0))
    other = a_set("x", ("c", 0), ("b", 1), ("a", 0))
    (first,), _ = usable_examples([one], 99)
    assert usable_examples([other], 99)[0] == [first]
    assert first == Example(id=digest("ift", "x"), prompt="x", response=first.response, source="ift")
    assert first.response in ("a", "c")
    assert usable_examples([a_set("x", ("b", 1), ("c", 2))], 99) == ([], {"no_rank_0": 1, "duplicate": 0})
