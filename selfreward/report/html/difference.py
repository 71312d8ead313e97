"""What one text has that another lacks, word by word."""

import re
from difflib import SequenceMatcher

MOST_WORDS = 800  # of both: comparing takes the product of their numbers


def only_here(text: str, other: str) -> list[tuple[str, bool]]:
    """The text in runs of words, each with whether `other` lacks it there; one run, not marked, where they are too long."""
    words, others = re.findall(r"\S+\s*|\s+", text), re.findall(r"\S+\s*|\s+", other)
    if max(len(words), len(others)) > MOST_WORDS:
        return [(text, False)]
    bare, bare_others = [word.strip() for word in words], [word.strip() for word in others]
    runs = []
    for kind, begin, end, _, _ in SequenceMatcher(None, bare, bare_others, autojunk=False).get_opcodes():
        said = "".join(words[begin:end])
        marked = "" if kind == "equal" else said.rstrip()  # a space at the end is not worth a mark
        runs += [(marked, True), (said[len(marked) :], False)]
    return [run for run in runs if run[0]]
