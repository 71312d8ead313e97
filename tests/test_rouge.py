"""ROUGE-L of many texts: the same number as the definition gives, pair by pair."""

from itertools import combinations
from random import Random

import pytest

from selfreward import rouge
from selfreward.rouge import Letters, all_pairs, highest


def by_definition(a: str, b: str) -> float:
    """2 LCS / (m + n) over words, by the textbook's table."""
    x, y = a.lower().split(), b.lower().split()
    table = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
    for i, word in enumerate(x):
        for j, other in enumerate(y):
            table[i + 1][j + 1] = table[i][j] + 1 if word == other else max(table[i][j + 1], table[i + 1][j])
    return 2 * table[-1][-1] / (len(x) + len(y))


def drawn(num: int) -> list[str]:
    rng = Random(0)
    return [" ".join(rng.choices(["a", "b", "c", "d", "e", "f", "G", "h"], k=rng.randint(1, 9))) for _ in range(num)]


@pytest.mark.parametrize("block", [1, 3, 512])
def test_all_pairs_are_those_of_the_definition_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(rouge, "_BLOCK", block)
    texts = drawn(10)
    pairs = {(i, j): by_definition(texts[i], texts[j]) for i, j in combinations(range(10), 2)}
    most, mean = all_pairs(texts)
    assert mean == pytest.approx(sum(pairs.values()) / len(pairs), abs=1e-6)
    for i in range(10):
        assert most[i] == pytest.approx(max(value for pair, value in pairs.items() if i in pair), abs=1e-6)


def test_copies_are_alike_and_a_text_is_not_compared_with_itself() -> None:
    assert all_pairs(["Name a fish.", "name a FISH"])[0].tolist() == [1, 1]
    assert all_pairs(["one two", "three four"])[0].tolist() == [0, 0]
    with pytest.raises(ValueError, match="no pairs"):
        all_pairs(["alone"])


def test_the_highest_is_exact_so_that_a_threshold_can_be_met() -> None:
    letters = Letters()
    others = [letters("a b c d"), letters("x y")]
    assert highest(letters("A b, c d e f"), others) == 0.8
    assert highest(letters("a"), []) == 0
