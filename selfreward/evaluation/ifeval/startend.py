"""Instructions about how a response begins and ends."""

from selfreward.evaluation.ifeval.base import Instruction, Phrase


class EndChecker(Instruction):
    """The response ends with a phrase, in any case; quotation marks may follow it."""

    end_phrase: Phrase

    def is_followed(self, response: str) -> bool:
        return response.strip().strip('"').lower().endswith(self.end_phrase.lower())


class Quotation(Instruction):
    """The response stands in double quotation marks."""

    def is_followed(self, response: str) -> bool:
        text = response.strip()
        return len(text) > 1 and text[0] == text[-1] == '"'
