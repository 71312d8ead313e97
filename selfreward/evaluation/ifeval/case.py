"""Instructions about capital letters."""

from selfreward.evaluation.ifeval.base import Instruction, Relation, compares
from selfreward.evaluation.ifeval.language import is_in
from selfreward.recipe.fields import Whole


class CapitalWordFrequency(Instruction):
    """So many words in capital letters alone; words are those of NLTK: `NASA's` has one, `I'M` has two."""

    needs = ("nltk", "punkt")

    capital_frequency: Whole
    capital_relation: Relation

    def is_followed(self, response: str) -> bool:
        from nltk.tokenize.destructive import NLTKWordTokenizer
        from punkt import sent_tokenize

        words = [word for sentence in sent_tokenize(response) for word in NLTKWordTokenizer().tokenize(sentence)]
        return compares(sum(word.isupper() for word in words), self.capital_relation, self.capital_frequency)


class EnglishCapital(Instruction):
    """English, in capital letters alone."""

    needs = ("langdetect",)

    def is_followed(self, response: str) -> bool:
        return response.isupper() and is_in("en", response)


class EnglishLowercase(Instruction):
    """English, without a capital letter."""

    needs = ("langdetect",)

    def is_followed(self, response: str) -> bool:
        return response.islower() and is_in("en", response)
