"""Lengths and diversity, counted by hand."""

import pytest

from selfreward.analysis.texts import diversity, lengths


def test_lengths_are_in_words_and_characters_with_quantiles() -> None:
    found = lengths(["a b", "a b c d", "abc"])
    assert found["n"] == 3
    assert found["words"] == pytest.approx({"mean": 7 / 3, "p5": 1.1, "p25": 1.5, "median": 2, "p75": 3, "p95": 3.8})
    assert found["characters"]["mean"] == pytest.approx(13 / 3)
    assert lengths([]) == {"n": 0, "words": None, "characters": None}


def test_diversity_counts_different_n_grams_over_all() -> None:
    found = diversity(["Name a fish.", "name a BIRD"])
    assert (found["distinct_1"], found["distinct_2"], found["distinct_3"]) == (4 / 6, 3 / 4, 2 / 2)
    assert found["self_rouge"] == pytest.approx({"highest": 2 / 3, "mean": 2 / 3}, abs=1e-6)


def test_n_grams_do_not_cross_from_one_text_into_the_next() -> None:
    assert diversity(["a b", "b a", "a b"])["distinct_2"] == 2 / 3


def test_what_is_too_short_has_no_number() -> None:
    assert diversity(["a"]) == {"n": 1, "distinct_1": 1, "distinct_2": None, "distinct_3": None, "self_rouge": None}
    assert diversity([])["distinct_1"] is None
