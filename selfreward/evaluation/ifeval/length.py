"""Instructions about how long a response is: in words, sentences and paragraphs."""

import re
from typing import Self

from pydantic import model_validator

from selfreward.evaluation.ifeval.base import Instruction, Phrase, Relation, compares
from selfreward.recipe.fields import Count, Whole

_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_ENDS_A_FIRST_WORD = re.compile(r"[.,?!'\"]")


class NumberSentences(Instruction):
    """So many sentences, as Punkt divides English (Kiss and Strunk 2006)."""

    needs = ("punkt",)

    num_sentences: Whole
    relation: Relation

    def is_followed(self, response: str) -> bool:
        from punkt import sent_tokenize

        return compares(len(sent_tokenize(response)), self.relation, self.num_sentences)


class NumberWords(Instruction):
    """So many words: runs of letters, digits and underscores."""

    num_words: Whole
    relation: Relation

    def is_followed(self, response: str) -> bool:
        return compares(len(re.findall(r"\w+", response)), self.relation, self.num_words)


class NumberParagraphs(Instruction):
    """So many paragraphs between dividers ***; one may stand before the first and after the last, not two in a row."""

    num_paragraphs: Whole

    def is_followed(self, response: str) -> bool:
        first, *rest = _DIVIDER.split(response)
        between, last = rest[:-1], rest[-1:]
        if not all(paragraph.strip() for paragraph in between):
            return False
        return sum(bool(text.strip()) for text in (first, *between, *last)) == self.num_paragraphs


class NthParagraphFirstWord(Instruction):
    """So many paragraphs between blank lines, one of which begins with a word.

    The place counts all that lies between pairs of line feeds, the number only what is not blank, as published.
    """

    num_paragraphs: Whole
    nth_paragraph: Count
    first_word: Phrase

    @model_validator(mode="after")
    def _among_them(self) -> Self:
        if self.nth_paragraph > self.num_paragraphs:
            raise ValueError(f"paragraph {self.nth_paragraph} is not among {self.num_paragraphs}")
        return self

    def is_followed(self, response: str) -> bool:
        paragraphs = response.split("\n\n")
        if sum(bool(paragraph.strip()) for paragraph in paragraphs) != self.num_paragraphs:
            return False
        words = paragraphs[self.nth_paragraph - 1].split()
        if not words:
            return False
        word = words[0].lstrip("'").lstrip('"')
        return _ENDS_A_FIRST_WORD.split(word, maxsplit=1)[0].lower() == self.first_word.lower()
