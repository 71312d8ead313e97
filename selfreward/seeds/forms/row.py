"""What all forms of data share: rows that are checked, turns of a chat, and what is found in them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from selfreward.records import Example, RankedResponse, RankedSet, digest

Found = Example | RankedSet | str  # of a row; a text is the reason why something in it is left out
ANY_LANGUAGE = "any"


class Row(BaseModel):
    """A row of somebody's data: types are taken at their word, fields that nothing asks for are passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


def _writable(text: str) -> str:
    """Refuses half of a surrogate pair, which JSON can say and no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate, which is no character") from None
    return text


Text = Annotated[str, AfterValidator(_writable)]


@dataclass(frozen=True)
class Form:
    """A form of data: how it is told, how a row is checked, and what rows hold."""

    columns: tuple[frozenset[str], ...]  # a row that has all columns of one of these is of this form
    row: type[Row]
    read: Callable[[Iterable[Any], str], Iterator[Found]]  # checked rows, a language
    is_ranked: bool = False  # whether it has several responses to a prompt
    has_language: bool = False


def example(prompt: str, response: str) -> Example:
    """A pair of the IFT seed; white space around texts is no part of them."""
    prompt = prompt.strip()
    return Example(id=digest("ift", prompt), prompt=prompt, response=response.strip(), source="ift")


def ranked_set(prompt: str, responses: Iterable[tuple[str, int]], category: str | None = None) -> RankedSet:
    """A prompt with the (text, rank) that people gave, in that order, and its category where one is named."""
    prompt = prompt.strip()
    ranked = tuple(RankedResponse(text=text.strip(), rank=rank) for text, rank in responses)
    return RankedSet(id=digest("ranked", prompt), prompt=prompt, responses=ranked, category=category)


class Part(Row):
    """A piece of a message that is not one text; only pieces of text can be used."""

    text: Text


class Turn(Row):
    """One message of a chat."""

    role: str
    content: Text | list[Part]

    @property
    def text(self) -> str:
        """All that the message says."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


def first_turn(turns: Sequence[Turn]) -> Iterator[Found]:
    """The first thing a user says and the answer to it. A system message is left out: a model is shown prompts alone."""
    said = [turn for turn in turns if turn.role not in ("system", "developer")]
    if len(said) < len(turns):
        yield "system_messages"
    if [turn.role for turn in said[:2]] == ["user", "assistant"]:
        yield example(said[0].text, said[1].text)
    else:
        yield "no_first_turn"
