"""Instructions about the form of a response: lists, highlights, sections, JSON, a title, one of three answers."""

import json
import re

from selfreward.evaluation.ifeval.base import Instruction, Pattern
from selfreward.recipe.fields import Whole

_STARRED = re.compile(r"^\s*\*[^*].*$", re.MULTILINE)
_DASHED = re.compile(r"^\s*-", re.MULTILINE)
_HIGHLIGHTS = (re.compile(r"\*([^\n*]*)\*"), re.compile(r"\*\*([^\n*]*)\*\*"))
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")


class NumberBulletLists(Instruction):
    """Exactly so many lines that begin with a star or a dash."""

    num_bullets: Whole

    def is_followed(self, response: str) -> bool:
        return len(_STARRED.findall(response)) + len(_DASHED.findall(response)) == self.num_bullets


class ConstrainedResponse(Instruction):
    """One of the three answers occurs."""

    def is_followed(self, response: str) -> bool:
        return any(answer in response for answer in _ANSWERS)


class NumberHighlightedSections(Instruction):
    """At least so many texts *between stars* or **double stars**; one in three counts twice, as published."""

    num_highlights: Whole

    def is_followed(self, response: str) -> bool:
        texts = [text for pattern in _HIGHLIGHTS for text in pattern.findall(response)]
        return sum(bool(text.strip()) for text in texts) >= self.num_highlights


class MultipleSections(Instruction):
    """At least so many sections, each marked by a word and a number."""

    section_spliter: Pattern
    num_sections: Whole

    def is_followed(self, response: str) -> bool:
        marks = re.finditer(rf"\s?{self.section_spliter.strip()}\s?\d+\s?", response)
        return sum(1 for _ in marks) >= self.num_sections


class JsonFormat(Instruction):
    """The whole response is JSON, be it fenced."""

    def is_followed(self, response: str) -> bool:
        text = response.strip()
        for fence in _FENCES:
            text = text.removeprefix(fence)
        try:
            json.loads(text.removesuffix("```").strip())
        except (ValueError, RecursionError):
            return False
        return True


class Title(Instruction):
    """A title <<in double angular brackets>> occurs."""

    def is_followed(self, response: str) -> bool:
        return any(title.lstrip("<").rstrip(">").strip() for title in re.findall(r"<<[^\n]+>>", response))
