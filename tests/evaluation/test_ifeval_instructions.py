"""The 25 checks of IFEval: each follows its published definition, on both sides of its limit."""

from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from selfreward.evaluation.ifeval import INSTRUCTIONS
from selfreward.evaluation.ifeval.language import LANGUAGES

AT_LEAST, LESS_THAN = "at least", "less than"
FRENCH = "Le chat est assis sur la chaise et il regarde les oiseaux dans le jardin."
ENGLISH = "The cat is sitting on the chair and it is looking at the birds in the garden."

# id -> (arguments, response, whether it is followed)
CASES: dict[str, list[tuple[dict[str, Any], str, bool]]] = {
    "keywords:existence": [
        ({"keywords": ["cat", "dog"]}, "A Cat met a DOG.", True),
        ({"keywords": ["cat", "dog"]}, "A cat met a bird.", False),
        ({"keywords": ["cat"]}, "Concatenate them.", True),  # inside a word
        ({"keywords": ["c.t"]}, "Cut it.", True),  # a regular expression
        ({"keywords": ["ice cream"]}, "ice-cream", False),
    ],
    "keywords:frequency": [
        ({"keyword": "war", "frequency": 2, "relation": AT_LEAST}, "War and warfare.", True),
        ({"keyword": "war", "frequency": 3, "relation": AT_LEAST}, "War and warfare.", False),
        ({"keyword": "war", "frequency": 2, "relation": LESS_THAN}, "War and peace.", True),
        ({"keyword": "war", "frequency": 2, "relation": LESS_THAN}, "War and warfare.", False),
        ({"keyword": " war ", "frequency": 1, "relation": AT_LEAST}, "war", True),  # trimmed
    ],
    "keywords:forbidden_words": [
        ({"forbidden_words": ["rock"]}, "A rocket flies.", True),  # not a word of its own
        ({"forbidden_words": ["rock"]}, "ROCK!", False),
        ({"forbidden_words": ["rock", "roll"]}, "Let it roll.", False),
        ({"forbidden_words": ["rock"]}, "Hard-rock", False),
        ({"forbidden_words": ["rock", "roll"]}, "Jazz.", True),
    ],
    "keywords:letter_frequency": [
        ({"letter": "T", "let_frequency": 3, "let_relation": AT_LEAST}, "That t", True),
        ({"letter": "t", "let_frequency": 4, "let_relation": AT_LEAST}, "That t", False),
        ({"letter": "#", "let_frequency": 2, "let_relation": AT_LEAST}, "#a #b", True),
        ({"letter": "!", "let_frequency": 1, "let_relation": LESS_THAN}, "No", True),
        ({"letter": "o", "let_frequency": 1, "let_relation": LESS_THAN}, "No", False),
    ],
    "language:response_language": [
        ({"language": "fr"}, FRENCH, True),
        ({"language": "en"}, FRENCH, False),
        ({"language": "en"}, ENGLISH, True),
        ({"language": "de"}, ENGLISH, False),
        ({"language": "de"}, "123 ...", True),  # it cannot be told
    ],
    "length_constraints:number_sentences": [
        ({"num_sentences": 2, "relation": AT_LEAST}, "Dr. Smith went home. He slept.", True),
        ({"num_sentences": 3, "relation": AT_LEAST}, "Dr. Smith went home. He slept.", False),
        ({"num_sentences": 3, "relation": LESS_THAN}, "Why? Because!", True),
        ({"num_sentences": 2, "relation": LESS_THAN}, "Why? Because!", False),
        ({"num_sentences": 2, "relation": LESS_THAN}, "It costs 3.50 in the U.S. today", True),
    ],
    "length_constraints:number_paragraphs": [
        ({"num_paragraphs": 2}, "One.\n***\nTwo.", True),
        ({"num_paragraphs": 2}, "One.\n\nTwo.", False),  # no divider
        ({"num_paragraphs": 2}, "***\nOne.\n***\nTwo.\n***", True),
        ({"num_paragraphs": 2}, "One.\n***\n***\nTwo.", False),  # nothing between two dividers
        ({"num_paragraphs": 1}, "One.", True),
        ({"num_paragraphs": 0}, "***", True),
    ],
    "length_constraints:number_words": [
        ({"num_words": 3, "relation": AT_LEAST}, "one two three", True),
        ({"num_words": 4, "relation": AT_LEAST}, "one two three", False),
        ({"num_words": 4, "relation": AT_LEAST}, "well-known isn't", True),  # well known isn t
        ({"num_words": 2, "relation": LESS_THAN}, "... -- one!", True),
        ({"num_words": 2, "relation": LESS_THAN}, "one two", False),
    ],
    "length_constraints:nth_paragraph_first_word": [
        ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Hello"}, "Hi.\n\nhello, you", True),
        ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "hello"}, "Hello.\n\nHi", False),
        ({"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "hello"}, "Hi.\n\nHello", False),  # too few
        ({"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "hello"}, '\'"Hello" he said', True),
        ({"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "hello"}, "Hello-world", False),
        ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "hello"}, "Hi.\n\n\n\nHello", False),  # place 3
        ({"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "hello"}, "Hello\n\n", True),
    ],
    "detectable_content:number_placeholders": [
        ({"num_placeholders": 2}, "[name], [home address]", True),
        ({"num_placeholders": 3}, "[name], [home address]", False),
        ({"num_placeholders": 1}, "[over\ntwo lines]", False),
        ({"num_placeholders": 2}, "[[a]] []", True),
    ],
    "detectable_content:postscript": [
        ({"postscript_marker": "P.S."}, "Bye.\nP. S. I forgot.", True),
        ({"postscript_marker": "P.S."}, "Bye.\nPS I forgot.", False),
        ({"postscript_marker": "P.P.S"}, "p.p.s. more", True),
        ({"postscript_marker": "P.P.S"}, "P.S. more", False),
        ({"postscript_marker": "Note:"}, "bye. NOTE: this", True),
    ],
    "detectable_format:number_bullet_lists": [
        ({"num_bullets": 2}, "* one\n* two", True),
        ({"num_bullets": 2}, "* one\n  - two\nthree", True),
        ({"num_bullets": 2}, "* one\n* two\n* three", False),
        ({"num_bullets": 1}, "**bold** text", False),
        ({"num_bullets": 0}, "a * b - c", True),
    ],
    "detectable_format:constrained_response": [
        ({}, "My answer is yes.", True),
        ({}, "Well. My answer is maybe. So there.", True),
        ({}, "my answer is no.", False),
        ({}, "My answer is no", False),
    ],
    "detectable_format:number_highlighted_sections": [
        ({"num_highlights": 2}, "*one* and *two*", True),
        ({"num_highlights": 2}, "**one** and **two**", True),
        ({"num_highlights": 2}, "*one* and * *", False),
        ({"num_highlights": 1}, "*over\ntwo lines*", False),
        ({"num_highlights": 2}, "***one***", True),
        ({"num_highlights": 2}, "**one**", False),
    ],
    "detectable_format:multiple_sections": [
        ({"section_spliter": "SECTION", "num_sections": 2}, "SECTION 1\na\nSECTION 2\nb", True),
        ({"section_spliter": "SECTION", "num_sections": 3}, "SECTION 1\na\nSECTION 2\nb", False),
        ({"section_spliter": "Section", "num_sections": 1}, "SECTION 1", False),
        ({"section_spliter": " Day ", "num_sections": 2}, "Day1 Day 2", True),
        ({"section_spliter": "Section", "num_sections": 1}, "Section A", False),
    ],
    "detectable_format:json_format": [
        ({}, '{"a": [1, 2]}', True),
        ({}, '```json\n{"a": 1}\n```', True),
        ({}, '```JSON\n"text"```', True),
        ({}, 'Here: {"a": 1}', False),
        ({}, "{'a': 1}", False),
        ({}, "[" * 100_000, False),
    ],
    "detectable_format:title": [
        ({}, "<<A poem>>\nline", True),
        ({}, "text <<a>> text", True),
        ({}, "<< >>", False),
        ({}, "<<over\ntwo lines>>", False),
        ({}, "<a>", False),
    ],
    "combination:two_responses": [
        ({}, "one\n******\ntwo", True),
        ({}, "******one******two******", True),
        ({}, "one\n******\n one ", False),
        ({}, "one******two******three", False),
        ({}, "one************two", False),
        ({}, "one", False),
    ],
    "combination:repeat_prompt": [
        ({"prompt_to_repeat": "Write a poem. "}, "\n write a POEM. Roses", True),
        ({"prompt_to_repeat": "Write a poem."}, "Sure: write a poem.", False),
        ({"prompt_to_repeat": "Write a poem."}, "Write a poem", False),
        ({"prompt_to_repeat": "Write a poem."}, "Write a poem.", True),
    ],
    "startend:end_checker": [
        ({"end_phrase": "The End. "}, "It was so. the end.\n", True),
        ({"end_phrase": "The End."}, '"It was so. The End."', True),
        ({"end_phrase": "The End."}, "The End. Really.", False),
        ({"end_phrase": "The End."}, "The End", False),
    ],
    "startend:quotation": [
        ({}, ' "Hello." \n', True),
        ({}, '""', True),
        ({}, '"', False),
        ({}, '"Hello." he said', False),
        ({}, "'Hello.'", False),
    ],
    "change_case:capital_word_frequency": [
        ({"capital_frequency": 2, "capital_relation": AT_LEAST}, "NASA's plan: GO.", True),
        ({"capital_frequency": 3, "capital_relation": AT_LEAST}, "NASA's plan: GO.", False),
        ({"capital_frequency": 2, "capital_relation": LESS_THAN}, "A plan", True),
        ({"capital_frequency": 2, "capital_relation": LESS_THAN}, "I'M here", False),
        ({"capital_frequency": 2, "capital_relation": LESS_THAN}, "WELL-KNOWN 12", True),
    ],
    "change_case:english_capital": [
        ({}, ENGLISH.upper(), True),
        ({}, ENGLISH, False),
        ({}, "ЭТО ОЧЕНЬ ХОРОШИЙ ДЕНЬ", False),
        ({}, "123", False),
    ],
    "change_case:english_lowercase": [
        ({}, ENGLISH.lower(), True),
        ({}, ENGLISH, False),
        ({}, FRENCH.lower(), False),
        ({}, ENGLISH.lower() + " I", False),
    ],
    "punctuation:no_comma": [
        ({}, "No comma; none.", True),
        ({}, "One, two", False),
        ({}, "1,000", False),
        ({}, "full-width，", True),
    ],
}

BAD_ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("keywords:existence", {"keywords": []}),
    ("keywords:existence", {"keywords": ["("]}),
    ("keywords:forbidden_words", {"forbidden_words": [" "]}),
    ("keywords:frequency", {"keyword": "a", "frequency": 1}),
    ("keywords:frequency", {"keyword": "a", "frequency": -1, "relation": AT_LEAST}),
    ("keywords:frequency", {"keyword": "a", "frequency": 1, "relation": "at most"}),
    ("keywords:letter_frequency", {"letter": "ab", "let_frequency": 1, "let_relation": AT_LEAST}),
    ("language:response_language", {"language": "xx"}),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 1, "nth_paragraph": 2, "first_word": "a"}),
    ("length_constraints:number_words", {"num_words": True, "relation": AT_LEAST}),
    ("combination:repeat_prompt", {"prompt_to_repeat": " "}),
    ("startend:end_checker", {}),
    ("punctuation:no_comma", {"num_words": 3}),
]


def needed(id: str) -> pytest.MarkDecorator:
    missing = [module for module in INSTRUCTIONS[id].needs if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"the extra `eval` is not installed: {missing}")


def is_followed(id: str, arguments: dict[str, Any], response: str) -> bool:
    return INSTRUCTIONS[id].model_validate(arguments).is_followed(response)


@pytest.mark.parametrize(
    ("id", "arguments", "response", "expected"),
    [pytest.param(id, *case, marks=needed(id)) for id, cases in CASES.items() for case in cases],
)
def test_a_check_says_what_its_definition_says(
    id: str, arguments: dict[str, Any], response: str, expected: bool
) -> None:
    assert is_followed(id, arguments, response) is expected


def test_every_kind_of_instruction_is_checked_on_both_sides() -> None:
    assert len(INSTRUCTIONS) == 25
    assert CASES.keys() == INSTRUCTIONS.keys()
    for cases in CASES.values():
        assert len(cases) >= 4
        assert {expected for _, _, expected in cases} == {True, False}


@pytest.mark.parametrize(("id", "arguments"), BAD_ARGUMENTS)
def test_arguments_that_do_not_fit_are_refused(id: str, arguments: dict[str, Any]) -> None:
    """The published checkers draw what is missing at random, so that a score would depend on luck."""
    with pytest.raises(ValidationError):
        INSTRUCTIONS[id].model_validate(arguments)


TEXTS = st.text(st.sampled_from("aB.,!*-#[]<>\"' \n1é"), max_size=60)


@given(TEXTS, st.integers(0, 12))
def test_at_least_is_the_opposite_of_less_than(text: str, limit: int) -> None:
    for id, arguments in (
        ("keywords:frequency", {"keyword": "a", "frequency": limit}),
        ("keywords:letter_frequency", {"letter": "b", "let_frequency": limit}),
        ("length_constraints:number_words", {"num_words": limit}),
    ):
        relation = "let_relation" if "letter" in id else "relation"
        assert is_followed(id, {**arguments, relation: AT_LEAST}, text) is not is_followed(
            id, {**arguments, relation: LESS_THAN}, text
        )


@given(TEXTS)
def test_a_number_that_is_wanted_exactly_is_met_by_one_number_at_most(text: str) -> None:
    for id, name in (
        ("length_constraints:number_paragraphs", "num_paragraphs"),
        ("detectable_format:number_bullet_lists", "num_bullets"),
    ):
        assert sum(is_followed(id, {name: number}, text) for number in range(61)) <= 1


@given(TEXTS)
def test_what_surrounds_a_response_does_not_matter_where_the_whole_of_it_is_meant(text: str) -> None:
    for id, arguments in (
        ("startend:quotation", {}),
        ("startend:end_checker", {"end_phrase": "a!"}),
        ("detectable_format:json_format", {}),
        ("combination:two_responses", {}),
        ("combination:repeat_prompt", {"prompt_to_repeat": "a"}),
    ):
        assert is_followed(id, arguments, text) is is_followed(id, arguments, f"\n {text} \n")


@given(TEXTS, TEXTS)
def test_more_text_never_undoes_what_must_merely_occur(text: str, more: str) -> None:
    for id, arguments in (
        ("keywords:existence", {"keywords": ["ab", "1"]}),
        ("detectable_content:number_placeholders", {"num_placeholders": 1}),
        ("detectable_format:title", {}),
        ("detectable_format:constrained_response", {}),
    ):
        if is_followed(id, arguments, text):
            assert is_followed(id, arguments, f"{text}\n{more}")


@pytest.mark.skipif(find_spec("langdetect") is None, reason="the extra `eval` is not installed: langdetect")
def test_the_languages_are_those_that_langdetect_can_tell() -> None:
    from langdetect import DetectorFactory, detector_factory

    detector_factory.init_factory()
    assert sorted(detector_factory._factory.get_lang_list()) == sorted(LANGUAGES)
    assert is_followed("language:response_language", {"language": "en"}, ENGLISH)
    assert DetectorFactory.seed == 0  # without it, the answer to a short text is drawn


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="the extra `eval` is not installed: lm_eval")
def test_the_checks_agree_with_those_that_lm_eval_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its copy of the published checkers, on the cases above. What it draws at random (`#` is no letter to it) is left out."""
    nltk, punkt = pytest.importorskip("nltk"), pytest.importorskip("punkt")
    pytest.importorskip("immutabledict")
    pytest.importorskip("langdetect")
    monkeypatch.setattr(nltk.data, "find", lambda *_, **__: True)  # it downloads Punkt's data otherwise
    from lm_eval.tasks.ifeval import instructions_registry, instructions_util

    monkeypatch.setattr(instructions_util, "count_sentences", lambda text: len(punkt.sent_tokenize(text)))
    monkeypatch.setattr(
        nltk, "word_tokenize", lambda text: nltk.tokenize.NLTKWordTokenizer().tokenize(text), raising=False
    )
    for id, cases in CASES.items():
        for arguments, response, expected in cases:
            if id == "keywords:letter_frequency" and not arguments["letter"].isalpha():
                continue
            if response.startswith("[" * 1000):  # a RecursionError there
                continue
            theirs = instructions_registry.INSTRUCTION_DICT[id](id)
            theirs.build_description(**arguments)
            assert bool(theirs.check_following(response)) is expected, (id, arguments, response)
