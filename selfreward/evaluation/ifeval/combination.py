"""Instructions that combine several things in one response."""

from selfreward.evaluation.ifeval.base import Instruction, Phrase


class TwoResponses(Instruction):
    """Two different responses with six stars between them; stars may stand before the first and after the second."""

    def is_followed(self, response: str) -> bool:
        parts = [part.strip() for part in response.split("******")]
        if not all(parts[1:-1]):
            return False
        filled = [part for part in parts if part]
        return len(filled) == 2 and filled[0] != filled[1]


class RepeatPrompt(Instruction):
    """The response begins with the request, in any case."""

    prompt_to_repeat: Phrase

    def is_followed(self, response: str) -> bool:
        return response.strip().lower().startswith(self.prompt_to_repeat.lower())
