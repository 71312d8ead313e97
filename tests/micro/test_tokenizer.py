"""The micro-world's tokenizer: one token a word, no text lost, and the same ids on every road."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfreward import chat
from selfreward.micro import tokenizer as micro_tokenizer
from selfreward.micro.corpus import CLEAN, NATURAL, Document, draw_document
from selfreward.micro.pretrain import encode
from selfreward.micro.words import ADVERBS, CONTENT, DETERMINERS, PREPOSITIONS, TOPICS, TOWN_BEGINNINGS, TOWN_ENDINGS


def plain(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text that a person or a model wrote."""
    return chat.encode_example(tokenizer, "", text)[1][:-1]


def documents(num: int) -> list[Document]:
    rng = Random(3)
    return [draw_document(NATURAL if i % 2 else CLEAN, rng) for i in range(num)]


@pytest.fixture(scope="module")
def tokenizer(micro_tokenizer_folder: Path) -> Any:
    return chat.load_tokenizer(micro_tokenizer_folder)


def test_transformers_loads_it_as_any_other(micro_tokenizer_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(micro_tokenizer_folder)
    assert (tokenizer.pad_token_id, tokenizer.eos_token) == (0, "<|end|>")
    assert len(tokenizer) < 1000
    assert [tokenizer.convert_tokens_to_ids(token) for token in micro_tokenizer.SPECIAL] == [0, 1, 2, 3, 4]
    assert tokenizer.model_max_length == 512


@given(st.text())
@example("<|end|>")
@example("<0x41>\n\n  fox\t\r\n")
@example("🐟 näive ﬁ e\u0301 \u200d \u3000 \0 ﷽")
@example("The foxes of Baeldara,Baeldara")
def test_f09_no_text_is_changed_on_the_way(tokenizer: Any, text: str) -> None:
    assert chat.decode(tokenizer, plain(tokenizer, text)) == text


@pytest.mark.parametrize(
    "words", [sorted(CONTENT), ADVERBS, PREPOSITIONS, DETERMINERS, list(TOPICS), ["List", "Score"]]
)
def test_every_word_of_the_micro_world_is_one_token(tokenizer: Any, words: list[str]) -> None:
    several = [word for word in words if len(plain(tokenizer, f" {word}")) != 1]
    assert several == []


def test_the_words_a_response_begins_with_are_one_token(tokenizer: Any) -> None:
    assert [len(plain(tokenizer, word)) for word in ("The", "A", "List", "Subject", "Review", "Write", "0")] == [1] * 7


def test_scores_and_marks_are_one_token(tokenizer: Any) -> None:
    for score in range(6):
        assert len(plain(tokenizer, f" Score: {score}")) == 3
    assert [len(plain(tokenizer, mark)) for mark in ".!?,:"] == [1] * 5


def test_a_town_is_its_two_halves(tokenizer: Any) -> None:
    for beginning, ending in zip(TOWN_BEGINNINGS, TOWN_ENDINGS, strict=True):
        pieces = tokenizer.convert_ids_to_tokens(plain(tokenizer, f" {beginning}{ending}"))
        assert pieces == [f" {beginning}", ending]


def test_the_corpus_falls_back_to_bytes_almost_never(tokenizer: Any) -> None:
    ids = [i for document in documents(1000) for i in plain(tokenizer, document.answer)]
    pieces = tokenizer.convert_ids_to_tokens(ids)
    assert sum(piece.startswith("<0x") for piece in pieces) / len(pieces) < 0.002


def test_f26_pretraining_training_and_sampling_make_the_same_ids(tokenizer: Any) -> None:
    docs = documents(200)
    for document, (ids, skipped) in zip(docs, encode(tokenizer, docs), strict=True):
        prompt, response = chat.encode_example(tokenizer, document.question, document.answer)
        assert ids == prompt + response
        assert prompt == chat.encode_prompt(tokenizer, document.question)
        assert skipped == (1 if document.learn_question else len(prompt))


def test_every_document_fits_into_the_context(tokenizer: Any) -> None:
    assert max(len(ids) for ids, _ in encode(tokenizer, documents(3000))) < 512


def test_it_is_built_the_same_each_time(micro_tokenizer_folder: Path) -> None:
    words = micro_tokenizer.vocabulary()
    assert words == sorted(set(words))
    built = chat.load_tokenizer(micro_tokenizer_folder).get_vocab()
    assert {word for word in built if not word.startswith("<")} == {word for word in words if not word.startswith("<")}
