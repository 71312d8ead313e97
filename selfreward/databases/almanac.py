"""The almanac of the micro-world as a database, a passage for each fact: what is known there in public.

It tells what is true of a town, and nothing of what the oracle thinks of an answer.
"""

import sqlite3
from functools import cache

from selfreward.databases.sqlite import SqliteDatabase, fill
from selfreward.micro.almanac import TOWNS, evidence
from selfreward.micro.words import ATTRIBUTES
from selfreward.records import Passage


def open_almanac() -> SqliteDatabase:
    """A copy of the almanac in memory."""
    file = sqlite3.connect(":memory:")
    file.deserialize(_content())
    return SqliteDatabase(file, "micro")


@cache
def _content() -> bytes:
    """The bytes of a database file with all facts."""
    file = sqlite3.connect(":memory:")
    fill(file, (Passage(id=f"almanac: {t}, {a}", text=evidence(t, a)) for t in TOWNS for a in ATTRIBUTES))
    return file.serialize()
