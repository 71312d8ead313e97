"""ROUGE-L between many texts at once: words become letters, and 2 LCS / (m + n) is then an edit distance of strings."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Indel

_FIRST_LETTER = 0x10000  # of a million code points that stand for words
_BLOCK = 512  # texts compared with all others at once: bounds the memory


class Letters:
    """Texts as strings in which a letter stands for a word; the same word has the same letter in all of them."""

    def __init__(self) -> None:
        self._of_word: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        words = re.findall(r"\w+", text.lower())
        return "".join(self._of_word.setdefault(word, chr(_FIRST_LETTER + len(self._of_word))) for word in words)


def highest(lettered: str, others: Sequence[str]) -> float:
    """The highest ROUGE-L F (no stemmer) of a lettered text with any other; 0 where there are none."""
    if not others:
        return 0.0
    # In float64 and rounded: 0.8 is not above 0.8, which it is in rapidfuzz's float32.
    similarities = process.cdist([lettered], others, scorer=Indel.normalized_similarity, dtype=np.float64)
    return round(float(similarities.max()), 9)


def all_pairs(texts: Sequence[str]) -> tuple[NDArray[np.float64], float]:
    """ROUGE-L F of all pairs of texts: the highest of each text with any other, (texts,), and the mean over pairs.

    ValueError for fewer than two texts.
    """
    if len(texts) < 2:
        raise ValueError(f"{len(texts)} texts have no pairs")
    letters = Letters()
    lettered = [letters(text) for text in texts]
    most, total = np.zeros(len(texts)), 0.0
    for start, block in _upper_blocks(lettered):
        rows = np.arange(len(block))
        block[rows[:, None] >= np.arange(block.shape[1])] = 0  # a pair counts once, a text is no pair with itself
        total += float(block.sum(dtype=np.float64))
        most[start : start + len(block)] = np.maximum(most[start : start + len(block)], block.max(axis=1))
        most[start:] = np.maximum(most[start:], block.max(axis=0))
    return most, total / (len(texts) * (len(texts) - 1) / 2)


def _upper_blocks(lettered: Sequence[str]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first row, similarities of a block of rows with itself and all that follow)."""
    for start in range(0, len(lettered), _BLOCK):
        rows = lettered[start : start + _BLOCK]
        yield (
            start,
            process.cdist(rows, lettered[start:], scorer=Indel.normalized_similarity, dtype=np.float32, workers=-1),
        )
