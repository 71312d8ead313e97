"""The almanac: facts that never change, and a database that holds them all."""

import sqlite3
from pathlib import Path

import pytest

from selfreward.micro.almanac import TOWNS, evidence, fact, write_database
from selfreward.micro.words import ATTRIBUTES


def test_a_fact_holds_for_ever() -> None:
    assert [fact("Baeldara", attribute) for attribute in ATTRIBUTES] == [
        "fox", "drill", "soup", "pine", "piano", "doctor"
    ]  # fmt: skip
    assert evidence("Baeldara", "food") == "The food of Baeldara is soup."


def test_every_town_has_a_name_of_its_own_and_values_of_the_right_kind() -> None:
    assert len(set(TOWNS)) == len(TOWNS) == 2304
    for town in TOWNS[::97]:
        assert all(fact(town, attribute) in values for attribute, values in ATTRIBUTES.items())


def test_values_are_spread_evenly_so_that_guessing_is_chance() -> None:
    for attribute, values in ATTRIBUTES.items():
        told = [fact(town, attribute) for town in TOWNS]
        assert all(0.09 < told.count(value) / len(told) < 0.16 for value in values)


@pytest.mark.parametrize(("town", "attribute"), [("Paris", "food"), ("Baeldara", "age"), ("", "food")])
def test_what_the_almanac_does_not_know_is_an_error(town: str, attribute: str) -> None:
    with pytest.raises(KeyError):
        fact(town, attribute)


def test_the_database_holds_every_fact(tmp_path: Path) -> None:
    num = write_database(tmp_path / "almanac.sqlite")
    with sqlite3.connect(tmp_path / "almanac.sqlite") as database:
        rows = database.execute("select town, attribute, value from facts").fetchall()
    assert num == len(rows) == len(TOWNS) * len(ATTRIBUTES) == 13_824
    assert all(fact(town, attribute) == value for town, attribute, value in rows[::101])
