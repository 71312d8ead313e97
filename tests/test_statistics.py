"""Statistics: goldens computed by hand, and what each tie policy makes of the same judge."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from selfreward.statistics import (
    AVERAGES,
    METRICS,
    TIE_POLICIES,
    UNDEFINED,
    Average,
    TiePolicy,
    Undefined,
    entropy,
    head_to_head,
    mean_ci,
    paired_bootstrap,
    prompt_means,
    reward_metrics,
    wilson,
)


def value_and_n(
    sets: list, policy: TiePolicy, metric: str, average: Average = "micro", undefined: Undefined | None = None
) -> tuple[float | None, int]:
    found = reward_metrics(sets, policy, average=average, undefined=undefined).metrics[metric]
    return found.value, found.n


def test_wilson_gives_the_textbook_interval() -> None:
    # p 0.8, n 10, z 1.959964: centre (0.8 + 0.192073) / 1.384146, half width sqrt(0.061463 + 0.036891) ... / 1.384146
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_holds_the_share_and_stays_in_0_to_1(k: int, n: int) -> None:
    k = min(k, n)
    interval = wilson(k, n)
    assert interval is not None
    assert 0 <= interval[0] <= k / n <= interval[1] <= 1
    assert interval[0] < interval[1]


def test_wilson_of_nothing_is_none_and_of_the_impossible_an_error() -> None:
    assert wilson(0, 0) is None
    with pytest.raises(ValueError, match="0 <= k <= n"):
        wilson(3, 2)


def test_the_mean_has_students_interval() -> None:
    # 1 2 3 4: s 1.290994, s.e. 0.645497, t(0.975, 3) 3.182446: half width 2.054260
    found = mean_ci([1, 2, 3, 4])
    assert (found.mean, found.n) == (2.5, 4)
    assert found.ci95 == pytest.approx((0.445740, 4.554260), abs=1e-5)


def test_one_value_has_no_interval_and_no_value_has_no_mean() -> None:
    assert (mean_ci([3.0]).mean, mean_ci([3.0]).ci95) == (3.0, None)
    assert (mean_ci([]).mean, mean_ci([]).n) == (None, 0)


def test_prompt_means_count_a_prompt_once() -> None:
    assert prompt_means([[1, 3], [], [5]]) == [2, 5]


def test_the_paired_bootstrap_is_seeded_and_close_to_the_t_interval() -> None:
    random = Random(0)
    b = [random.gauss(0, 3) for _ in range(400)]
    a = [value + random.gauss(0.5, 1) for value in b]
    found, again, other = (paired_bootstrap(a, b, seed) for seed in (1, 1, 2))
    assert found == again != other
    expected = mean_ci([x - y for x, y in zip(a, b, strict=True)])
    assert found.mean == pytest.approx(expected.mean)
    assert found.ci95 == pytest.approx(expected.ci95, abs=0.02)
    assert found.ci95[1] - found.ci95[0] < 0.25  # unpaired it would be 0.8 wide


def test_paired_values_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="equally many"):
        paired_bootstrap([1.0], [1.0, 2.0], seed=0)
    with pytest.raises(ValueError, match="same prompts"):
        head_to_head([1.0], [1.0, 2.0])


def test_head_to_head_counts_wins_ties_and_losses_in_percent() -> None:
    found = head_to_head([5, 4, 3, 2, 1], [4, 4, 4, 1, 0])
    assert (found.win, found.tie, found.lose, found.net) == pytest.approx((60, 20, 20, 40))
    # nets 1 0 -1 1 1 and two made-up prompts: centre 2 / 7, variance 5 / 7 - 4 / 49 = 31 / 49, s.e. sqrt(31 / 343)
    half = 1.959964 * math.sqrt(31 / 343)
    assert found.ci95 == pytest.approx((100 * (2 / 7 - half), 100 * (2 / 7 + half)), abs=1e-4)


def test_the_intervals_of_the_shares_are_agresti_and_coulls() -> None:
    found = head_to_head([5, 4, 3, 2, 1], [4, 4, 4, 1, 0])
    half = 1.959964 * math.sqrt(5 / 9 * 4 / 9 / 9)  # 3 wins of 5, and 2 of 4 made-up ones
    assert found.win_ci95 == pytest.approx((100 * (5 / 9 - half), 100 * (5 / 9 + half)), abs=1e-4)
    half = 1.959964 * math.sqrt(3 / 9 * 6 / 9 / 9)
    assert found.tie_ci95 == found.lose_ci95 == pytest.approx((100 * (3 / 9 - half), 100 * (3 / 9 + half)), abs=1e-4)


def test_several_samples_of_a_prompt_all_meet_and_count_as_one_prompt() -> None:
    found = head_to_head([[5, 3], [2, 2]], [[4, 3], [2, 2]])
    # first prompt: 5 > 4, 5 > 3, 3 < 4, 3 = 3; second: four ties
    assert (found.win, found.tie, found.lose, found.n) == pytest.approx((25, 62.5, 12.5, 2))


def test_copies_of_a_sample_do_not_narrow_the_interval() -> None:
    a, b = [5, 1, 4, 4], [3, 2, 4, 1]
    single, copied = head_to_head(a, b), head_to_head([[x] * 8 for x in a], [[x] * 8 for x in b])
    assert copied == single


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_changing_sides_turns_head_to_head_round(scores: list[tuple[int, int]]) -> None:
    a, b = [x for x, _ in scores], [y for _, y in scores]
    found, turned = head_to_head(a, b), head_to_head(b, a)
    assert (found.win, found.lose, found.net) == pytest.approx((turned.lose, turned.win, -turned.net))
    assert found.win + found.tie + found.lose == pytest.approx(100)
    assert found.ci95[0] - 1e-9 <= found.net <= found.ci95[1] + 1e-9
    assert found.win_ci95 == turned.lose_ci95
    for share, (low, high) in zip(
        (found.win, found.tie, found.lose), (found.win_ci95, found.tie_ci95, found.lose_ci95), strict=True
    ):
        assert 0 <= low <= share + 1e-9 and share - 1e-9 <= high <= 100 and low < high
    assert found.ci95[0] < found.ci95[1]  # not even a handful of equal outcomes is certain


def test_f01_a_prompt_without_a_score_is_left_out_and_counted() -> None:
    found = head_to_head([5, None, 3], [4, 1, None])
    assert (found.win, found.n, found.unscored) == (100, 1, 2)
    assert head_to_head([[None, 5]], [[4, None]]).win == 100
    assert head_to_head([None], [1.0]).net is None


def test_the_interval_of_net_covers_the_truth_about_95_percent_of_the_time() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        outcomes = rng.choice([1, 0, -1], size=60, p=[0.5, 0.3, 0.2])
        interval = head_to_head([float(x) for x in outcomes], [0.0] * 60).ci95
        covered += interval[0] <= 30 <= interval[1]
    assert 0.92 <= covered / 400 <= 0.98


def test_entropy_is_in_bits() -> None:
    assert entropy([1, 1, 1, 1]) == 2
    assert entropy([7, 0]) == entropy([]) == 0
    assert entropy([3, 1]) == pytest.approx(0.811278, abs=1e-6)


# Four sets: ranked as people did; one pair tied; all tied with a five; turned round with a five for the worst.
GOLDEN = [
    ([0, 1, 2], [5.0, 3.0, 1.0]),
    ([0, 1, 2], [4.0, 4.0, 2.0]),
    ([1, 0], [5.0, 5.0]),
    ([0, 1], [3.0, 5.0]),
]
# pairs: 3 right + (2 right, 1 tied) + 1 tied + 1 wrong = 5 right, 2 tied, 1 wrong
# fives: right; both of the third set, one of them the best; the worst of the fourth = 2 of 4
# exact: set 1; set 2 in one of two ways of breaking its tie, set 3 likewise
# spearman 1, sqrt(3)/2, undefined, -1; tau-b 1, 2/sqrt(6), undefined, -1
ROOTS = {"spearman": math.sqrt(3) / 2, "kendall_tau": 2 / math.sqrt(6)}


@pytest.mark.parametrize(
    ("policy", "metric", "value", "n"),
    [
        ("excluded", "pairwise_accuracy", 5 / 6, 6),
        ("agreement", "pairwise_accuracy", 7 / 8, 8),
        ("half", "pairwise_accuracy", 6 / 8, 8),
        ("wrong", "pairwise_accuracy", 5 / 8, 8),
        *((policy, "five_best", 2 / 4, 4) for policy in TIE_POLICIES),
        ("excluded", "exact_match", 1 / 4, 4),
        ("agreement", "exact_match", 1 / 4, 4),
        ("half", "exact_match", 2 / 4, 4),
        ("wrong", "exact_match", 1 / 4, 4),
        *(("excluded", metric, root / 4, 4) for metric, root in ROOTS.items()),
        *(("agreement", metric, root / 3, 3) for metric, root in ROOTS.items()),
        *(("half", metric, root / 4, 4) for metric, root in ROOTS.items()),
        *(("wrong", metric, root / 4, 4) for metric, root in ROOTS.items()),
    ],
)
def test_a_tie_is_worth_what_the_policy_says(policy: TiePolicy, metric: str, value: float, n: int) -> None:
    assert value_and_n(GOLDEN, policy, metric) == (pytest.approx(value), n)


@pytest.mark.parametrize("policy", TIE_POLICIES)
def test_a_perfect_judge_gets_full_marks_and_a_turned_one_none(policy: TiePolicy) -> None:
    perfect = reward_metrics([([2, 0, 1], [1.0, 5.0, 3.0])] * 3, policy).metrics
    turned = reward_metrics([([0, 2, 1], [1.0, 5.0, 3.0])] * 3, policy).metrics
    assert [perfect[metric].value for metric in METRICS] == pytest.approx([1, 1, 1, 1, 1])
    assert [turned[metric].value for metric in METRICS] == pytest.approx([0, 0, 0, -1, -1])


def test_a_judge_that_always_gives_four_looks_different_under_each_policy() -> None:
    always_four = [([0, 1, 2], [4.0, 4.0, 4.0])] * 5
    assert value_and_n(always_four, "excluded", "pairwise_accuracy") == (None, 0)
    assert value_and_n(always_four, "agreement", "pairwise_accuracy") == (1, 15)
    assert value_and_n(always_four, "half", "pairwise_accuracy") == (0.5, 15)
    assert value_and_n(always_four, "wrong", "pairwise_accuracy") == (0, 15)
    assert value_and_n(always_four, "excluded", "spearman") == (0, 5)
    assert value_and_n(always_four, "agreement", "spearman") == (None, 0)
    assert value_and_n(always_four, "half", "exact_match") == (pytest.approx(1 / 6), 5)
    assert value_and_n(always_four, "excluded", "five_best") == (None, 0)


@pytest.mark.parametrize("policy", TIE_POLICIES)
def test_what_people_ranked_equally_says_nothing_about_the_judge(policy: TiePolicy) -> None:
    sets = [([0, 0, 1], [5.0, 2.0, 1.0]), ([0, 0], [1.0, 5.0])]
    assert value_and_n(sets, policy, "pairwise_accuracy") == (1, 2)
    assert value_and_n(sets, policy, "exact_match") == (1, 1)
    assert value_and_n(sets, policy, "five_best") == (1, 2)
    assert reward_metrics(sets, policy).sets_used == 1


def test_breaking_a_tie_at_random_may_permute_what_people_ranked_equally() -> None:
    # scores 4 4 4 for ranks 0 0 1: two of the six orders agree
    assert value_and_n([([0, 0, 1], [4.0, 4.0, 4.0])], "half", "exact_match") == (pytest.approx(2 / 6), 1)


@pytest.mark.parametrize("policy", TIE_POLICIES)
def test_f01_an_unscored_response_is_left_out_and_counted(policy: TiePolicy) -> None:
    found = reward_metrics([([0, 1, 2], [None, 4.0, 1.0]), ([0, 1], [None, 5.0])], policy)
    assert (found.responses, found.unscored, found.sets, found.sets_used) == (5, 2, 2, 1)
    assert found.metrics["pairwise_accuracy"].n == 1
    # the five of the second set is not the best of the set, though it is the best of those that were scored
    assert (found.metrics["five_best"].value, found.metrics["five_best"].n) == (0, 1)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from(TIE_POLICIES),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_responses_in_a_set_does_not_matter(
    sets: list[list[tuple[int, int]]], policy: TiePolicy, random: Random
) -> None:
    shuffled = [random.sample(responses, len(responses)) for responses in sets]
    found, again = (
        reward_metrics([([rank for rank, _ in part], [float(s) for _, s in part]) for part in order], policy).metrics
        for order in (sets, shuffled)
    )
    for metric in METRICS:
        assert found[metric].value == pytest.approx(again[metric].value)
        assert found[metric].n == again[metric].n


def test_the_bootstrap_over_sets_holds_the_value_and_narrows_with_more_sets() -> None:
    few, many = (reward_metrics(GOLDEN * times, "half").metrics for times in (5, 80))
    for metric in METRICS:
        assert many[metric].ci95[0] < many[metric].value < many[metric].ci95[1]
        assert many[metric].ci95[1] - many[metric].ci95[0] < (few[metric].ci95[1] - few[metric].ci95[0]) / 2


RANKED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=2, max_size=7)


def as_set(responses: list[tuple[int, int]]) -> tuple[list[int], list[float]]:
    return [rank for rank, _ in responses], [float(score) for _, score in responses]


@given(RANKED)
def test_the_correlations_of_a_set_are_scipys(responses: list[tuple[int, int]]) -> None:
    ranks, scores = as_set(responses)
    worth = [-rank for rank in ranks]
    if len(set(ranks)) > 1 and len(set(scores)) > 1:
        for undefined in UNDEFINED:
            found = reward_metrics([(ranks, scores)], "half", undefined=undefined).metrics
            assert found["spearman"].value == pytest.approx(stats.spearmanr(worth, scores).statistic)
            assert found["kendall_tau"].value == pytest.approx(stats.kendalltau(worth, scores).statistic)


@settings(max_examples=30)
@given(st.lists(RANKED, min_size=1, max_size=5))
def test_pooled_correlations_are_pearsons_of_what_the_sets_hold_together(sets: list[list[tuple[int, int]]]) -> None:
    usable = [as_set(responses) for responses in sets if len({rank for rank, _ in responses}) > 1]
    ranks = [[stats.rankdata(values) for values in ([-rank for rank in r], s)] for r, s in usable]
    signs = [[np.sign(np.subtract.outer(values, values)).ravel() for values in (-np.array(r), s)] for r, s in usable]
    found = reward_metrics([as_set(responses) for responses in sets], "half", undefined="pooled").metrics
    for metric, parts in (("spearman", [[v - v.mean() for v in part] for part in ranks]), ("kendall_tau", signs)):
        a, b = (np.concatenate([part[side] for part in parts]) if parts else np.zeros(0) for side in (0, 1))
        if len(set(b)) > 1:
            assert found[metric].value == pytest.approx(stats.pearsonr(a, b).statistic)
        else:
            assert found[metric].value is None


@pytest.mark.parametrize(
    ("undefined", "spearman", "n"),
    # covariances and variances of ranks of GOLDEN: 2 2 2, sqrt(3) from 1.5 2 1.5, 0 0.5 0, -0.5 0.5 0.5
    [("zero", math.sqrt(3) / 8, 4), ("skipped", math.sqrt(3) / 6, 3), ("pooled", 3 / math.sqrt(5 * 4), 4)],
)
def test_an_undefined_correlation_counts_as_it_is_told_to(undefined: Undefined, spearman: float, n: int) -> None:
    assert value_and_n(GOLDEN, "half", "spearman", undefined=undefined) == (pytest.approx(spearman), n)


def test_the_mean_over_sets_lets_a_small_set_weigh_as_much_as_a_large_one() -> None:
    # pairs, ties worth half: 3/3, 2.5/3, 0.5/1, 0/1; fives: 1/1, 1/2, 0/1
    assert value_and_n(GOLDEN, "half", "pairwise_accuracy", "macro") == (pytest.approx((1 + 5 / 6 + 1 / 2) / 4), 4)
    assert value_and_n(GOLDEN, "half", "five_best", "macro") == (pytest.approx((1 + 1 / 2) / 3), 3)
    assert value_and_n(GOLDEN, "half", "exact_match", "macro") == value_and_n(GOLDEN, "half", "exact_match")
    # a set whose pairs are all tied has none to count where ties are excluded
    assert value_and_n(GOLDEN, "excluded", "pairwise_accuracy", "macro") == (pytest.approx(2 / 3), 3)


@settings(max_examples=20)
@given(
    st.lists(RANKED, min_size=2, max_size=5),
    st.sampled_from(TIE_POLICIES),
    st.sampled_from(AVERAGES),
    st.sampled_from(UNDEFINED),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_sets_does_not_matter(
    sets: list[list[tuple[int, int]]], policy: TiePolicy, average: Average, undefined: Undefined, random: Random
) -> None:
    shuffled = random.sample(sets, len(sets))
    for metric in METRICS:
        found, again = (
            value_and_n([as_set(one) for one in order], policy, metric, average, undefined)
            for order in (sets, shuffled)
        )
        assert found[0] == pytest.approx(again[0]) and found[1] == again[1]


def test_coverage_is_a_share_over_sets_and_falls_with_what_is_unscored() -> None:
    found = reward_metrics([([0, 1, 2], [None, 4.0, 1.0]), ([0, 1], [None, 5.0]), ([0, 1], [4.0, 5.0])], "half")
    share = (2 / 3 + 1 / 2 + 1) / 3
    assert (found.coverage.value, found.coverage.n) == (pytest.approx(share), 3)
    assert found.coverage.ci95 == pytest.approx(wilson(3 * share, 3))
    assert reward_metrics([], "half").coverage.value is None


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="excluded, agreement, half, wrong"):
        reward_metrics(GOLDEN, "thirds")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="micro, macro"):
        reward_metrics(GOLDEN, "half", average="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zero, skipped, pooled"):
        reward_metrics(GOLDEN, "half", undefined="one")  # type: ignore[arg-type]
