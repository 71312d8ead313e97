"""Names and numbers as a reader meets them."""

from selfreward.report.html.words import counted, duration, estimate, interval, listed, number


def test_an_estimate_shows_its_interval_where_it_has_one() -> None:
    assert estimate({"mean": 4.484, "ci95": [4.438, 4.532], "n": 9}, 2) == "4.48 (4.44 to 4.53)"
    assert estimate({"value": 0.976, "ci95": None}, 1, 100) == "97.6"
    assert estimate({"value": None, "ci95": None, "n": 0}, 1) == estimate(None, 1) == "–"
    assert estimate(0.5, 1, 100) == "50.0"
    assert interval({"ci95": [-1.25, 2]}, 1) == "−1.2 to 2.0"


def test_numbers_have_thousands_and_a_minus_sign() -> None:
    assert number(12345.6) == "12,346" and number(-0.5, 1) == "−0.5" and number(None) == "–"
    assert counted(1, "response") == "1 response" and counted(0, "response") == "0 responses"


def test_durations_are_in_the_units_that_a_person_would_use() -> None:
    assert [duration(s) for s in (0.25, 45, 99.6, 750, 3599.7, 11100)] == [
        "0.2 s", "45 s", "1 min 40 s", "12 min 30 s", "1 h 0 min", "3 h 5 min",
    ]  # fmt: skip


def test_lists_read_as_a_sentence() -> None:
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
