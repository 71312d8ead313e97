"""Instructions about punctuation."""

from selfreward.evaluation.ifeval.base import Instruction


class NoComma(Instruction):
    """No comma occurs."""

    def is_followed(self, response: str) -> bool:
        return "," not in response
