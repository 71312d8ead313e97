"""What one text has that another lacks."""

import pytest

from selfreward.report.html.difference import MOST_WORDS, only_here


def marked(text: str, other: str) -> list[str]:
    return [said for said, is_only_here in only_here(text, other) if is_only_here]


def test_words_that_the_other_lacks_are_marked_without_the_space_behind_them() -> None:
    assert only_here("The blue pie meets a bean!", "The pie watches a bean!") == [
        ("The ", False), ("blue", True), (" ", False), ("pie ", False), ("meets", True), (" ", False), ("a bean!", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "other"), [("", "a"), ("a b", ""), (" \n a\t b ", "b a"), ("same", "same"), ("a", "b"), ("  ", "a")]
)
def test_the_runs_are_the_text(text: str, other: str) -> None:
    assert "".join(said for said, _ in only_here(text, other)) == text


def test_equal_texts_have_no_marks_and_other_spaces_are_no_difference() -> None:
    assert marked("a b c", "a b c") == [] == marked("a b\nc", "a  b c")
    assert marked("a b", "c d") == ["a b"]


def test_texts_that_are_too_long_to_be_compared_are_shown_without_marks() -> None:
    text = "word " * (MOST_WORDS + 1)
    assert only_here(text, "other") == [(text, False)]
