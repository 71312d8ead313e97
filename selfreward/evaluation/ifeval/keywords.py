"""Instructions about words that must or must not occur. Words are regular expressions, whatever case they are in."""

import re
from typing import Annotated

from pydantic import Field, StringConstraints

from selfreward.evaluation.ifeval.base import Instruction, Pattern, Relation, compares
from selfreward.recipe.fields import Whole

Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1)]
Letter = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=1)]


class Existence(Instruction):
    """Every keyword occurs, be it inside another word."""

    keywords: Patterns

    def is_followed(self, response: str) -> bool:
        return all(re.search(keyword, response, re.IGNORECASE) for keyword in self.keywords)


class Frequency(Instruction):
    """A keyword occurs so many times, counted inside other words too."""

    keyword: Pattern
    frequency: Whole
    relation: Relation

    def is_followed(self, response: str) -> bool:
        found = re.findall(self.keyword.strip(), response, re.IGNORECASE)
        return compares(len(found), self.relation, self.frequency)


class ForbiddenWords(Instruction):
    """None of the words occurs as a word of its own."""

    forbidden_words: Patterns

    def is_followed(self, response: str) -> bool:
        return not any(re.search(rf"\b{word}\b", response, re.IGNORECASE) for word in self.forbidden_words)


class LetterFrequency(Instruction):
    """A letter, or any other character, occurs so many times in either case."""

    letter: Letter
    let_frequency: Whole
    let_relation: Relation

    def is_followed(self, response: str) -> bool:
        return compares(response.lower().count(self.letter), self.let_relation, self.let_frequency)
