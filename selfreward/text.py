"""Text that comes from outside (models, data, servers, a command line), made fit for files and for terminals.

It is data everywhere: nothing here reads it.
"""

import json
import unicodedata


def whole(text: str) -> str:
    """`text` with U+FFFD for every lone half of a surrogate pair, which no file, tokenizer or server can take."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def visible(text: str) -> str:
    """`text` for a terminal: whatever would move its cursor, colour, reorder or hide something is written out.

    It is written as JSON writes it, `\\u001b`, so that JSON stays what it was. Line feeds, tabs and spaces stay.
    """
    return "".join(char if _is_harmless(char) else json.dumps(char)[1:-1] for char in text)


def _is_harmless(char: str) -> bool:
    """Unprintable, to Python, are control and format characters, lone surrogates, what is unassigned, and some spaces."""
    return char.isprintable() or char in "\n\t" or unicodedata.category(char) == "Zs"
