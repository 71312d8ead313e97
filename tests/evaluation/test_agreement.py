"""Kappas: the examples of the textbooks, and what chance alone gives."""

from random import Random

import pytest

from selfreward.evaluation.agreement import cohen_kappa, fleiss_kappa


def test_cohens_kappa_of_two_raters_of_fifty_grants() -> None:
    # both yes 20, only the first 5, only the second 10, both no 15: agreed .7, by chance .5 x .6 + .5 x .4
    a = [1] * 25 + [0] * 25
    b = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(a, b) == pytest.approx(0.4)


def test_fleiss_kappa_of_fourteen_raters_and_ten_subjects() -> None:
    counts = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    items = [[label for label, count in enumerate(row) for _ in range(count)] for row in counts]
    assert fleiss_kappa(items) == pytest.approx(0.20993, abs=1e-5)


def test_full_agreement_is_one_and_chance_is_about_zero() -> None:
    rng = Random(0)
    a, b = ([rng.choice("lrt") for _ in range(4000)] for _ in range(2))
    assert cohen_kappa(a, a) == fleiss_kappa([[x, x] for x in a]) == 1
    assert abs(cohen_kappa(a, b) or 1) < 0.05
    assert abs(fleiss_kappa(list(zip(a, b, strict=True))) or 1) < 0.05


def test_what_chance_alone_would_agree_on_has_no_kappa() -> None:
    assert cohen_kappa("aaa", "aaa") is None and fleiss_kappa(["aa", "aa"]) is None
    assert cohen_kappa("", "") is None and fleiss_kappa([]) is None
    with pytest.raises(ValueError, match="same items"):
        cohen_kappa("a", "ab")
    with pytest.raises(ValueError, match="as many labels"):
        fleiss_kappa(["ab", "a"])


def test_cohens_kappa_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = Random(1)
    a = [rng.choice("lrt") for _ in range(60)]
    b = [x if rng.random() < 0.6 else rng.choice("lrt") for x in a]
    assert cohen_kappa(a, b) == pytest.approx(metrics.cohen_kappa_score(a, b))
