"""The corpus: nothing held out is in it, and what its reviews say is true, or errs as people do."""

import re
from collections import Counter
from random import Random

import pytest

from selfreward.judges.votes import read_vote
from selfreward.micro.almanac import evidence
from selfreward.micro.corpus import CLEAN, NATURAL, TASKS_REQUEST, Document, draw_document
from selfreward.micro.oracle import checks, score
from selfreward.micro.reviews import careful_review, review_request
from selfreward.micro.tasks import Task, read_instruction, split_of
from selfreward.templates import render

MIXTURES = {"clean": CLEAN, "natural": NATURAL}
NUM = 2000


@pytest.fixture(scope="module", params=list(MIXTURES))
def documents(request: pytest.FixtureRequest) -> list[Document]:
    rng = Random(f"test/{request.param}")
    return [draw_document(MIXTURES[request.param], rng) for _ in range(NUM)]


@pytest.fixture(scope="module")
def natural() -> list[Document]:
    rng = Random("test/reviews")
    return [draw_document(NATURAL, rng) for _ in range(NUM)]


def fields(document: Document) -> dict[str, str]:
    """The `Task:`, `Answer:` and `Evidence:` lines of a review's question."""
    return dict(line.split(": ", 1) for line in document.question.split("\n")[1:])


def instructions(document: Document) -> list[str]:
    """Every instruction in a document."""
    return {
        "dialogue": lambda: [document.question],
        "review": lambda: [fields(document)["Task"]],
        "tasks": lambda: [
            *(line.removeprefix("Task: ") for line in document.question.split("\n")[1:]), document.answer
        ],
        "copy": list, "shuffle": list, "find": list, "twice": list, "again": list,
    }[document.kind]()  # fmt: skip


def task_of(instruction: str) -> Task:
    task = read_instruction(instruction)
    assert task is not None, instruction
    return task


def test_f22_no_document_holds_an_instruction_of_a_held_out_split(documents: list[Document]) -> None:
    found = [text for document in documents for text in instructions(document)]
    assert len(found) > NUM / 2
    assert {split_of(text) for text in found} == {"train"}


def test_every_instruction_is_well_formed(documents: list[Document]) -> None:
    for document in documents:
        for text in instructions(document):
            task_of(text)


def test_the_shares_of_the_kinds_are_those_of_the_mixture() -> None:
    for mixture in MIXTURES.values():
        rng = Random(0)
        kinds = Counter(draw_document(mixture, rng).kind for _ in range(NUM))
        for kind, share in mixture.documents.items():
            assert kinds[kind] / NUM == pytest.approx(share, abs=0.04)


def test_only_a_collection_of_tasks_is_learned_whole(documents: list[Document]) -> None:
    assert {document.kind for document in documents if document.learn_question} == {"tasks"}
    assert {document.kind for document in documents if not document.learn_question} == {
        "dialogue", "review", "copy", "shuffle", "find", "twice", "again"
    }  # fmt: skip


def test_a_copy_says_what_it_was_shown(documents: list[Document]) -> None:
    copies = [document for document in documents if document.kind == "copy"]
    assert copies and all(document.question == document.answer for document in copies)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_an_exercise_tells_the_truth(mixture: str) -> None:
    rng = Random(2)
    answers: Counter[tuple[str, bool]] = Counter()
    for document in (draw_document(MIXTURES[mixture], rng) for _ in range(4 * NUM)):
        request, _, listed = document.question.partition(": ")
        words = listed.split(" ")
        if document.kind == "find":
            verdicts = dict(one.split(": ") for one in document.answer.removeprefix("Find ").rstrip(".").split(". "))
            assert list(verdicts) == request.removeprefix("Find ").split(" ")
            for word, verdict in verdicts.items():
                assert verdict == ("yes" if word in words else "no")
                answers["find", word in words] += 1
        elif document.kind == "twice":
            repeated = len(set(words)) < len(words)
            assert document.answer == f"Twice: {'yes' if repeated else 'no'}."
            answers["twice", repeated] += 1
        elif document.kind == "shuffle":
            assert sorted(document.answer.removeprefix("Shuffle: ").split(" ")) == sorted(words)
            assert len(set(words)) == len(words)
            answers["shuffle", document.answer == document.question] += 1
        elif document.kind == "again":
            said = re.findall(r"(\w+): (yes|no)\.", document.answer)
            for i, (word, verdict) in enumerate(said):
                assert verdict == ("yes" if word in [other for other, _ in said[:i]] else "no")
                answers["again", verdict == "yes"] += 1
    assert {"find", "twice", "again", "shuffle"} == {kind for kind, _ in answers}
    assert min(answers[kind, holds] for kind in ("find", "twice", "again") for holds in (True, False)) > 5


def test_a_careful_review_ends_on_the_oracles_score() -> None:
    rng = Random(1)
    reviews = [d for d in (draw_document(CLEAN, rng) for _ in range(NUM)) if d.kind == "review"]
    for document in reviews:
        task, answer = task_of(fields(document)["Task"]), fields(document)["Answer"]
        assert read_vote(document.answer, True).score == score(task, answer)
        verdicts = [finding.endswith(": yes") for finding in document.answer.split(". ") if ": " in finding][:5]
        assert verdicts == [check.holds for check in checks(task, answer)]


def test_a_blunt_review_can_be_read_and_errs(natural: list[Document]) -> None:
    errors = [
        (read_vote(document.answer, True).score or 0.0)
        - score(task_of(fields(document)["Task"]), fields(document)["Answer"])
        for document in natural
        if document.kind == "review" and "Subject" not in document.answer
    ]
    assert len(errors) > 100
    assert 0.4 < sum(error != 0 for error in errors) / len(errors) < 0.9


def test_evidence_is_the_almanacs_and_the_review_quotes_it(natural: list[Document]) -> None:
    shown = [document for document in natural if document.kind == "review" and "Evidence" in fields(document)]
    assert len(shown) > 10
    for document in shown:
        task = task_of(fields(document)["Task"])
        line = evidence(task.town or "", task.attribute or "")
        assert fields(document)["Evidence"] == line
        if "Subject" in document.answer:
            assert f"Content {line.split()[-1][:-1]}:" in document.answer


def test_the_same_document_comes_of_the_same_seed() -> None:
    first, second = ([draw_document(NATURAL, rng) for _ in range(50)] for rng in (Random(5), Random(5)))
    assert first == second


def test_the_shipped_templates_ask_in_the_words_that_m0_has_read(natural: list[Document]) -> None:
    instruction, answer = "Name some animals.", "List: fox, cat."
    forms = {review_request(instruction, answer, Random(seed)) for seed in range(100)}
    assert render("judge", "micro", prompt=instruction, response=answer) in forms
    collection = next(document for document in natural if document.kind == "tasks")
    tasks = [line.removeprefix("Task: ") for line in collection.question.split("\n")[1:]]
    assert collection.question.startswith(TASKS_REQUEST)
    assert render("prompts", "micro", tasks=tasks) == collection.question


def test_without_evidence_a_review_of_a_fact_does_not_tell_it() -> None:
    """What the reviewer could not see must not be in its words."""
    task = Task("fact", town="Baeldara", attribute="animal")
    assert "fox" not in careful_review(task, "The animal of Baeldara is dog.")
    assert "Content fox: no." in careful_review(task, "The animal of Baeldara is dog.", with_evidence=True)
