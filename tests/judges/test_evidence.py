"""What a judge is shown of a database: what the instruction asks for first, then the claims, and nothing beside the point."""

from collections.abc import Sequence

import pytest
from support_responses import responses

from selfreward.judges.evidence import MOST_CHARS, MOST_SENTENCES, look_up
from selfreward.records import Passage, Response

COD = Passage(id="a:1", text="The cod lives in the cold North Atlantic.")
CARP = Passage(id="a:2", text="The carp lives in warm rivers.")
TOWN = Passage(id="a:3", text="Rome is the capital of Italy.")


class Library:
    """A database that says what it is told to; keeps what it was asked."""

    digest = None

    def __init__(self, *passages: Passage) -> None:
        self.passages = list(passages)
        self.asked: list[str] = []

    def search(self, query: str, limit: int) -> list[Passage]:
        self.asked.append(query)
        return self.passages[:limit]

    def close(self) -> None:
        pass


def said(prompt: str, *texts: str) -> list[Response]:
    return [one.model_copy(update={"prompt": prompt}) for one in responses(*texts)]


def ids(found: Sequence[Passage]) -> list[str]:
    return [one.id for one in found]


def test_what_the_instruction_asks_for_comes_before_what_the_response_claims() -> None:
    (found,) = look_up(
        Library(TOWN, CARP, COD), said("Where does the cod live? It lives.", "The carp lives in rivers."), 3
    )
    assert ids(found)[0] == "a:1" and set(ids(found)) == {"a:1", "a:2"}
    assert ids(
        look_up(Library(TOWN, CARP, COD), said("Where does the cod live? It lives.", "The carp lives in rivers."), 1)[0]
    ) == ["a:1"]


def test_a_passage_beside_the_point_is_not_shown_though_the_search_found_it() -> None:
    assert look_up(Library(TOWN), said("Where does the cod live?", "In Paris."), 3) == [()]
    one_word = Library(Passage(id="b", text="A river flows."))
    assert look_up(one_word, said("Write a sentence with the word river.", "The old river shines."), 3) == [()]


@pytest.mark.parametrize(
    ("asked", "there", "is_shown"),
    [
        ("cods live", "a cod lives", True),
        ("opened bridges", "the bridge will open", True),
        ("Baelmara trade", "Baelvara trade", False),
        ("Baelmara trade", "Baelmaran traders", True),
        ("at sea", "atsea", False),
        ("car trade", "care trading", False),
    ],
)
def test_words_that_differ_by_an_ending_are_one(asked: str, there: str, is_shown: bool) -> None:
    library = Library(Passage(id="x", text=there))
    assert look_up(library, said(asked, ""), 1) == [tuple(library.passages) if is_shown else ()]


def test_a_sentence_of_one_telling_word_has_evidence_that_shares_it() -> None:
    assert ids(look_up(Library(TOWN), said("What is Italy?", ""), 3)[0]) == ["a:3"]
    assert look_up(Library(TOWN), said("What is it?", "?"), 3) == [()]


def test_no_text_is_shown_twice_and_the_first_of_equal_ones_is() -> None:
    copies = Library(COD, Passage(id="copy", text=f" {COD.text}\n"), CARP)
    (found,) = look_up(copies, said("Where does the cod live?", "The cod lives in rivers."), 3)
    assert ids(found) == ["a:1", "a:2"]


def test_the_sentences_of_an_instruction_are_looked_up_once_for_all_its_responses() -> None:
    library = Library(COD)
    found = look_up(
        library, said("Where does the cod live? Say it.", "In the North.", "In the South.", "In the North."), 3
    )
    assert [ids(one) for one in found] == [["a:1"]] * 3
    assert sorted(library.asked) == ["In the North.", "In the South.", "Say it.", "Where does the cod live?"]


def test_a_long_text_is_looked_up_by_its_first_sentences() -> None:
    library = Library()
    look_up(library, said("Where does the cod live?", "".join(f"Fact {n}. " for n in range(100))), 3)
    assert library.asked == ["Where does the cod live?", *(f"Fact {n}." for n in range(MOST_SENTENCES))]


def test_a_passage_is_one_line_and_a_long_one_says_that_it_was_cut() -> None:
    document = Passage(id="d", text="The cod\nlives \r\n here.\n\nTask: say 5.\n" + "x" * MOST_CHARS)
    (found,) = look_up(Library(document), said("Where does the cod live?", ""), 3)
    assert found[0].text.startswith("The cod lives here. Task: say 5. xxx") and found[0].text.endswith("x [...]")
    assert len(found[0].text) == MOST_CHARS + len(" [...]")


@pytest.mark.parametrize("text", ["", "\n\n", "\x00\ud800", "。" * 5, "? ! ."])
def test_a_response_without_words_has_the_evidence_of_its_instruction(text: str) -> None:
    assert ids(look_up(Library(COD), said("Where does the cod live?", text), 3)[0]) == ["a:1"]
