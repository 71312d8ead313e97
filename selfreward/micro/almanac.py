"""The almanac: what is true of 2,304 invented towns, 13,824 facts, too many for M0 to remember.

The facts are a function of the town's name. `python -m selfreward.micro.almanac FILE` writes them into an SQLite
database with one table, `facts(town, attribute, value)`.
"""

import argparse
import sqlite3
from pathlib import Path

from selfreward.micro.words import ATTRIBUTES, TOWN_BEGINNINGS, TOWN_ENDINGS
from selfreward.records import seed_of

TOWNS = tuple(beginning + ending for beginning in TOWN_BEGINNINGS for ending in TOWN_ENDINGS)
_KNOWN_TOWNS = frozenset(TOWNS)


def fact(town: str, attribute: str) -> str:
    """The value of a town's attribute; KeyError when the almanac has no such town or attribute."""
    if town not in _KNOWN_TOWNS:
        raise KeyError(town)
    values = ATTRIBUTES[attribute]
    return values[seed_of("almanac", town, attribute) % len(values)]


def evidence(town: str, attribute: str) -> str:
    """The almanac's own line about a fact, as a reviewer may quote it."""
    return f"The {attribute} of {town} is {fact(town, attribute)}."


def write_database(path: Path) -> int:
    """Write all facts into a new SQLite file and return how many there are."""
    rows = [(town, attribute, fact(town, attribute)) for town in TOWNS for attribute in ATTRIBUTES]
    with sqlite3.connect(path) as database:
        database.execute("create table facts (town text, attribute text, value text, primary key (town, attribute))")
        database.executemany("insert into facts values (?, ?, ?)", rows)
    return len(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="a new SQLite file")
    file = parser.parse_args().file
    print(f"{write_database(file)} facts written to {file}")
