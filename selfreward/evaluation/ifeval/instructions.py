"""The 25 kinds of instructions by their published ids."""

from selfreward.evaluation.ifeval import case, combination, content, format, keywords, language, length, startend
from selfreward.evaluation.ifeval.base import Instruction
from selfreward.evaluation.ifeval.punctuation import NoComma

INSTRUCTIONS: dict[str, type[Instruction]] = {
    "keywords:existence": keywords.Existence,
    "keywords:frequency": keywords.Frequency,
    "keywords:forbidden_words": keywords.ForbiddenWords,
    "keywords:letter_frequency": keywords.LetterFrequency,
    "language:response_language": language.ResponseLanguage,
    "length_constraints:number_sentences": length.NumberSentences,
    "length_constraints:number_paragraphs": length.NumberParagraphs,
    "length_constraints:number_words": length.NumberWords,
    "length_constraints:nth_paragraph_first_word": length.NthParagraphFirstWord,
    "detectable_content:number_placeholders": content.NumberPlaceholders,
    "detectable_content:postscript": content.Postscript,
    "detectable_format:number_bullet_lists": format.NumberBulletLists,
    "detectable_format:constrained_response": format.ConstrainedResponse,
    "detectable_format:number_highlighted_sections": format.NumberHighlightedSections,
    "detectable_format:multiple_sections": format.MultipleSections,
    "detectable_format:json_format": format.JsonFormat,
    "detectable_format:title": format.Title,
    "combination:two_responses": combination.TwoResponses,
    "combination:repeat_prompt": combination.RepeatPrompt,
    "startend:end_checker": startend.EndChecker,
    "startend:quotation": startend.Quotation,
    "change_case:capital_word_frequency": case.CapitalWordFrequency,
    "change_case:english_capital": case.EnglishCapital,
    "change_case:english_lowercase": case.EnglishLowercase,
    "punctuation:no_comma": NoComma,
}
