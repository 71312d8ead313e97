"""Databases of passages: every form finds the same things, and says what is wrong with it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_databases import FISH, FakeOpenSearch

from selfreward.databases import open_database
from selfreward.databases.base import Database, words
from selfreward.databases.sqlite import MOST_RANKED, write_sqlite
from selfreward.databases.tantivy import write_tantivy
from selfreward.errors import BadInput, StageFailed
from selfreward.micro.almanac import TOWNS, evidence
from selfreward.micro.words import ATTRIBUTES
from selfreward.records import Passage


@pytest.fixture
def server() -> Iterator[FakeOpenSearch]:
    fake = FakeOpenSearch()
    yield fake
    fake.close()


@pytest.fixture(params=["sqlite", "tantivy", "opensearch"])
def fish(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Each form of database with the passages FISH."""
    where: str | Path = tmp_path / "fish.db"
    if request.param == "sqlite":
        write_sqlite(tmp_path / "fish.db", FISH)
    elif request.param == "tantivy":
        pytest.importorskip("tantivy", reason="the extra tantivy is not installed")
        write_tantivy(tmp_path / "fish.db", FISH)
    else:
        where = request.getfixturevalue("server").url
    with closing(open_database(where)) as database:
        yield database


def test_the_passage_that_shares_most_words_comes_first_with_its_place_and_text(fish: Database) -> None:
    assert fish.search("Where does the carp live, in slow rivers?", 3)[0] == FISH[1]
    assert [one.id for one in fish.search("salmon", 3)] == ["fish.md:5"]


def test_no_more_are_found_than_were_asked_for_and_none_where_no_word_is_shared(fish: Database) -> None:
    assert len(fish.search("the river of fish", 2)) == 2
    assert fish.search("quantum chromodynamics", 2) == []
    assert fish.search("", 2) == fish.search("?! \x00 \ud800 --", 2) == []


def test_the_same_question_has_the_same_answer(fish: Database) -> None:
    assert fish.search("lives in rivers", 5) == fish.search("lives in rivers", 5)


@pytest.mark.parametrize(
    "query", ['cod" OR "x', "text:cod AND (", "cod*", "-cod", "NEAR(cod carp)", "cod^9 +carp ~", "'; drop table passages; --"]
)  # fmt: skip
def test_a_query_is_words_and_no_language(fish: Database, query: str) -> None:
    assert any("cod" in one.text for one in fish.search(query, 5)) == ("cod" in query)
    assert fish.search("cod", 1) == [FISH[0]]


def test_letters_that_are_not_ascii_are_found(fish: Database) -> None:
    assert fish.search("ZANDER im Süßwasser", 1) == [FISH[3]]


@given(text=st.text(st.characters(exclude_categories=[])))
def test_the_words_of_any_text_are_letters_and_digits(text: str) -> None:
    assert all(word.isalnum() and word == word.lower() for word in words(text) if word.isascii())
    assert len(words(text)) == len(set(words(text)))


# One file


def numbered(num: int) -> Iterator[Passage]:
    """Passages that all hold `common`, half of them `half`, and each a word of its own."""
    return (Passage(id=f"f:{n}", text=f"common {'half' if n % 2 else 'other'} own{n}") for n in range(num))


def test_a_word_that_stands_in_too_many_passages_does_not_hide_a_rare_one(tmp_path: Path) -> None:
    write_sqlite(tmp_path / "d", numbered(2 * MOST_RANKED + 2))
    with closing(open_database(tmp_path / "d")) as database:
        assert [one.id for one in database.search("common half own7", 3)] == ["f:7"]
        both = database.search("common half", 3)  # each alone would be too many to rank
        assert len(both) == 3 and all("half" in one.text for one in both)


def test_an_accent_is_no_difference_however_frequent_the_word(tmp_path: Path) -> None:
    write_sqlite(tmp_path / "d", [Passage(id="1", text="Café"), Passage(id="2", text="tea")])
    with closing(open_database(tmp_path / "d")) as database:
        assert [one.id for one in database.search("cafe", 3)] == [one.id for one in database.search("CAFÉ", 3)] == ["1"]


def test_equal_passages_give_an_equal_digest_and_others_another(tmp_path: Path) -> None:
    digests = []
    for name, passages in (("a", FISH), ("b", FISH), ("c", FISH[1:])):
        write_sqlite(tmp_path / name, passages)
        with closing(open_database(tmp_path / name)) as database:
            digests.append(database.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_database_appears_when_it_is_whole(tmp_path: Path) -> None:
    def torn() -> Iterator[Passage]:
        yield FISH[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sqlite(tmp_path / "d", torn())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "d.tmp").write_text("of a process that was killed")
    write_sqlite(tmp_path / "d", FISH)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    with pytest.raises(StageFailed, match="is there already"):
        write_sqlite(tmp_path / "d", FISH)


def test_a_database_that_is_damaged_while_it_is_used_fails_its_stage(tmp_path: Path) -> None:
    write_sqlite(tmp_path / "d", FISH)
    with sqlite3.connect(tmp_path / "d") as file:
        file.execute("drop table words")
    with closing(open_database(tmp_path / "d")) as database, pytest.raises(StageFailed, match="cannot be searched"):
        database.search("cod", 1)


def _text(path: Path) -> None:
    path.write_text("The cod lives in cold water.\n" * 100)


def _other_tables(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("create table passages(id, text)")


def _cut_off(path: Path) -> None:
    write_sqlite(path, FISH)
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize("make", [Path.touch, _text, _other_tables, _cut_off, Path.mkdir])
def test_what_is_no_database_is_refused_with_what_to_do(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "d")
    with pytest.raises(BadInput, match=r"/d: (not a database of passages|cannot be opened.*); make"):
        open_database(tmp_path / "d")


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("none.db", r"none\.db: no such database; make one with: selfreward index FOLDER --to none\.db"),
        ("mysql://host/x", r"mysql://: no server of passages"),
        ("postgresql://me:secret@host/x", "host: the URL holds a password"),
        ("postgresql://host/x?password=secret", "host: the URL holds a password"),
        ("http://[/x", "not a URL"),
        ("http://127.0.0.1:9", "names no index"),
        ("http://127.0.0.1:9/fish", "cannot be opened: no answer"),
    ],
)
def test_a_place_where_nothing_is_is_named_and_a_password_never_shown(where: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as found:
        open_database(where)
    assert "secret" not in str(found.value)


# OpenSearch


def test_an_index_that_is_not_there_is_refused_and_one_that_goes_away_fails_its_stage(server: FakeOpenSearch) -> None:
    with pytest.raises(BadInput, match=r"404.*no such index"):
        open_database(server.url.replace("fish", "birds"))
    database = open_database(server.url)
    for server.fault in [(503, "busy"), (200, "<html>"), (200, "{}"), (200, '{"hits": {"hits": [{"_id": 1}]}}')]:
        with pytest.raises(StageFailed, match="cannot be searched"):
            database.search("cod", 1)
    database.close()


def test_a_name_and_a_password_come_from_netrc(
    server: FakeOpenSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    open_database(server.url).close()
    assert server.authorizations == ["Basic bWU6c2VjcmV0"]


# The micro-world's


def test_every_fact_of_the_almanac_is_the_first_that_is_found_for_its_question() -> None:
    with closing(open_database("micro")) as almanac:
        for town in TOWNS[::97]:
            for attribute in ATTRIBUTES:
                (found,) = almanac.search(f"What is the {attribute} of {town}?", 1)
                assert (found.id, found.text) == (f"almanac: {town}, {attribute}", evidence(town, attribute))
