"""Instructions about things that a response must contain."""

import re

from selfreward.evaluation.ifeval.base import Instruction, Pattern
from selfreward.recipe.fields import Whole

_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}


class NumberPlaceholders(Instruction):
    """At least so many placeholders in square brackets, as [address]."""

    num_placeholders: Whole

    def is_followed(self, response: str) -> bool:
        return len(re.findall(r"\[.*?\]", response)) >= self.num_placeholders


class Postscript(Instruction):
    """A postscript's marker occurs, in any case and anywhere, as published."""

    postscript_marker: Pattern

    def is_followed(self, response: str) -> bool:
        marker = self.postscript_marker.strip()
        return re.search(_POSTSCRIPTS.get(marker, marker.lower()), response.lower()) is not None
