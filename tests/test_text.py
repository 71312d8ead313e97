"""Text from outside: any of it can be written to a file and shown on a terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.text import visible, whole

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates too


@given(ANY_TEXT)
def test_any_text_can_be_encoded_once_it_is_whole_and_what_was_whole_stays_as_it_is(text: str) -> None:
    whole(text).encode()
    assert whole(whole(text)) == whole(text)
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert whole(text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("end\ud83d", "end\ufffd"),
        ("\ud83d\ude00", "😀"),  # the halves of one character, as JSON writes it
        ("\ufeffbom", "\ufeffbom"),
        ("\x00", "\x00"),
    ],
)
def test_a_lone_surrogate_becomes_the_replacement_character(text: str, made: str) -> None:
    assert whole(text) == made


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_is_left_in_what_is_visible(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown if char not in "\n\t")
    assert shown == text or not text.isprintable()


@given(ANY_TEXT)
def test_json_that_is_made_visible_says_the_same(text: str) -> None:
    assert json.loads(visible(json.dumps({"text": text}, ensure_ascii=False))) == {"text": text}


@pytest.mark.parametrize("text", ["naïve 🐕", "سلام", "שלום", "全角\u3000空白", "a\u00a0b", "line\n\tindented", ""])
def test_people_read_their_own_language_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\u001b[31mred"),
        ("\x1b]0;title\x07", r"\u001b]0;title\u0007"),
        ("over\rwritten\b\b", r"over\u000dwritten\u0008\u0008".replace(r"\u000d", r"\r").replace(r"\u0008", r"\b")),
        ("\x9b31m", r"\u009b31m"),
        ("abc\u202edef", r"abc\u202edef"),
        ("ze\u200bro", r"ze\u200bro"),
        ("\U000e0041", r"\udb40\udc41"),  # a tag, which no one sees
        ("\ud800", r"\ud800"),
        ("\x7f", r"\u007f"),
    ],
)
def test_what_would_act_on_the_terminal_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
