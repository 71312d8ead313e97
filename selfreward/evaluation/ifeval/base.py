"""What an instruction is: its arguments, checked, and whether a response follows it.

Names of arguments are those of the published prompts, spelling and all. Where the published checkers draw an argument that
is missing at random, here it is an error: what the prompt said is known, and it was not that.
"""

import re
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

Relation = Literal["at least", "less than"]
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _compiles(pattern: str) -> str:
    if not pattern.strip():
        raise ValueError("is blank")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


# The published checkers put words into regular expressions as they stand, so that "cat." is found in "cats".
Pattern = Annotated[str, AfterValidator(_compiles)]


class Instruction(BaseModel):
    """One instruction with its arguments; unknown or missing ones are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs: ClassVar[tuple[str, ...]] = ()  # modules of the extra `eval` that the check imports

    @abstractmethod
    def is_followed(self, response: str) -> bool:
        """Whether a response that is not blank follows the instruction."""


def compares(count: int, relation: Relation, limit: int) -> bool:
    """`count` is at least, or less than, `limit`."""
    return count >= limit if relation == "at least" else count < limit
