"""The instruction about the language of the response, and how a language is told."""

from typing import Literal, get_args

from selfreward.evaluation.ifeval.base import Instruction

# All that langdetect can tell apart, among them the 30 that the published prompts may ask for.
Language = Literal[
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "gu", "he", "hi",
    "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "lv", "mk", "ml", "mr", "ne", "nl", "no", "pa", "pl", "pt", "ro",
    "ru", "sk", "sl", "so", "sq", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "zh-cn", "zh-tw",
]  # fmt: skip
LANGUAGES: tuple[str, ...] = get_args(Language)


class ResponseLanguage(Instruction):
    """The whole response is in one language."""

    needs = ("langdetect",)

    language: Language

    def is_followed(self, response: str) -> bool:
        return is_in(self.language, response)


def is_in(language: str, text: str) -> bool:
    """Whether a text is in a language; also where it cannot be told, as in the published checkers.

    langdetect draws at random unless it has a seed; here it has one, so that the same text is always told alike.
    """
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0
    try:
        return bool(detect(text) == language)
    except LangDetectException:  # nothing in it is a letter
        return True
