"""The lineage of a pair: who wrote its prompt after what, all that was answered and said, and why those two."""

from pathlib import Path

import pytest
from support_view import judged, prompts_of, sampled

from selfreward import store
from selfreward.records import Pair, Prompt
from selfreward.viewer.indexes import Indexes
from selfreward.viewer.lineage import Lineage, lineage


def of_prompt(run: Path, indexes: Indexes, prompt: Prompt) -> Lineage:
    return lineage(run, indexes, "m2", prompt.id, prompt.text)


def test_a_pair_leads_to_its_writers_examples_its_votes_and_its_lesson(run: Path, indexes: Indexes) -> None:
    prompt = prompts_of(60)[5]
    found = of_prompt(run, indexes, prompt)
    assert (found.source, found.is_taught) == ("m1", True)
    assert found.lesson == "DPO of 60 pairs to M1, with M1 as the reference."
    assert found.examples == [(f"Seed {n}?", "ift") for n in range(8)]
    assert [(one.role, one.judgement and one.judgement.score) for one in found.answers] == [
        ("chosen", 5.0), (None, 3.0), ("rejected", 1.0)
    ]  # fmt: skip
    assert found.pair and found.pair.prompt_id == prompt.id
    assert found.why == [
        "Chosen: its score, 5.00, is the highest of 3.", "Rejected: its score, 1.00, is the lowest of 3."
    ]  # fmt: skip
    assert found.unknown == {}


def test_examples_from_rounds_before_are_found_there(run: Path, indexes: Indexes) -> None:
    older = prompts_of(60)[0]
    (run / "m3").mkdir()
    for name in (store.PROMPTS_FILE, store.ATTEMPTS_FILE):
        text = (run / "m2" / name).read_text().splitlines(keepends=True)[7]
        (run / "m3" / name).write_text(text.replace('"examples":["', f'"examples":["{older.id}","'))
    found = lineage(run, indexes, "m3", prompts_of(60)[7].id, "")
    assert found.examples[0] == (older.text, "m1") and len(found.examples) == 9


def test_why_there_is_no_pair_is_said(run: Path, indexes: Indexes) -> None:
    one, two, three, four = prompts_of(60)[:4]
    (run / "m2" / store.PAIRS_FILE).write_text("")
    path = run / "m2" / store.JUDGEMENTS_FILE
    path.write_text("")
    votes = {
        one: [judged(sampled(one, "m1").samples[0])],
        two: [judged(response).model_copy(update={"score": 2.0}) for response in sampled(two, "m1").samples],
        three: [judged(response) for response in sampled(three, "m1").samples],
    }
    store.append(path, [judgement for said in votes.values() for judgement in said])
    assert of_prompt(run, indexes, one).why == ["No pair: 1 of 3 responses have a score, a pair needs two."]
    assert of_prompt(run, indexes, two).why == ["No pair: all 3 scores are 2.00, which tells nothing apart."]
    assert of_prompt(run, indexes, three).why[0].startswith("No pair: the scores go from 1.00 to 5.00")
    (run / "m2" / store.LESSON_FILE).unlink()
    assert of_prompt(run, indexes, three).why == []  # the round is not over: it may become one
    assert of_prompt(run, indexes, four).why == ["No pair: 0 of 3 responses have a score, a pair needs two."]


def test_ties_are_said_to_be_decided_by_a_hash_and_other_scores_to_be_the_strategys(
    run: Path, indexes: Indexes
) -> None:
    prompt = prompts_of(60)[2]
    path = run / "m2" / store.JUDGEMENTS_FILE
    tied = [judged(response) for response in sampled(prompt, "m1").samples]
    tied[1] = tied[1].model_copy(update={"score": 5.0})
    path.write_text("")
    store.append(path, tied)
    assert of_prompt(run, indexes, prompt).why[0] == (
        "Chosen: its score, 5.00, is the highest of 3; 2 share it, and a hash of their ids decided."
    )
    pairs = store.read(run / "m2" / store.PAIRS_FILE, Pair)
    given = [pair.model_copy(update={"chosen_score": 0.9, "chosen_id": tied[2].response_id}) for pair in pairs]
    store.write_text(run / "m2" / store.PAIRS_FILE, "".join(pair.model_dump_json() + "\n" for pair in given))
    assert (
        of_prompt(run, indexes, prompt).why[0]
        == "Chosen: its score, 1.00, is number 3 of 3. The strategy gave it 0.90."
    )


def test_the_pair_that_was_opened_is_shown_where_a_prompt_has_several(run: Path, indexes: Indexes) -> None:
    path = run / "m2" / store.PAIRS_FILE
    first = store.read(path, Pair)[0]
    (begin,) = store.append(path, [first.model_copy(update={"id": "another", "chosen": "other words"})])
    found = lineage(run, indexes, "m2", first.prompt_id, first.prompt, begin)
    assert found.pair and (found.pair.id, found.pair_begin, found.num_pairs) == ("another", begin, 2)
    assert of_prompt(run, indexes, prompts_of(60)[0]).pair == first


def test_responses_of_other_models_to_the_prompt_are_there_too(run: Path, indexes: Indexes) -> None:
    prompt = prompts_of(60)[1]
    store.append(run / "m2" / store.OTHERS_RESPONSES_FILE.format(model="sft"), [sampled(prompt, "sft")])
    assert [one.response.model for one in of_prompt(run, indexes, prompt).answers] == ["m1"] * 3 + ["sft"] * 3


@pytest.mark.parametrize("lesson, said", [
    ({"method": "rl", "num_prompts": 1200, "num_pairs": 0, "start": 1, "reference": 1},
     "RL of 1,200 prompts to M1, with M1 as the reference."),
    ({"method": "sft", "num_examples": 5, "start": -1, "reference": None}, "SFT of 5 examples to SFT."),
    ({}, "A lesson of nothing to a model."),
])  # fmt: skip
def test_lessons_of_all_methods_are_a_sentence(
    run: Path, indexes: Indexes, lesson: dict[str, object], said: str
) -> None:
    store.write_json(run / "m2" / store.LESSON_FILE, lesson)
    assert of_prompt(run, indexes, prompts_of(60)[1]).lesson == said


def test_what_is_not_indexed_yet_is_named(run: Path, indexes: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
    from selfreward.viewer import indexes as module

    monkeypatch.setattr(module, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(indexes, "_want", lambda index: None)
    found = of_prompt(run, indexes, prompts_of(60)[1])
    assert found.unknown == dict.fromkeys(
        ("m2/prompts", "m2/attempts", "m2/pairs", "m2/judgements", "m2/responses"), 0.0
    )


def test_a_part_of_a_run_that_has_nothing_has_an_empty_lineage(run: Path, indexes: Indexes) -> None:
    found = lineage(run, indexes, "m9", "no id", "text")
    assert (found.pair, found.answers, found.why, found.lesson, found.is_taught) == (None, [], [], "", False)
