"""Intervals, comparisons and the five reward-model metrics (arXiv 2401.10020, sections 2.4 and 3.1).

Everything is a pure function of numbers. What cannot be computed is None, never a number; intervals are at 95 %. The
unit that is resampled is the prompt (or the ranked set), never the single sample, since samples of one prompt are not
independent. The paper does not say how it treats ties, averages over sets and counts correlations that are not defined,
so each of these is an argument with a name.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

TiePolicy = Literal["excluded", "agreement", "half", "wrong"]
TIE_POLICIES: tuple[TiePolicy, ...] = get_args(TiePolicy)
Average = Literal["micro", "macro"]
AVERAGES: tuple[Average, ...] = get_args(Average)
Undefined = Literal["zero", "skipped", "pooled"]
UNDEFINED: tuple[Undefined, ...] = get_args(Undefined)
METRICS = ("pairwise_accuracy", "five_best", "exact_match", "spearman", "kendall_tau")
PERFECT = 5.0  # points
NUM_DRAWS = 2000  # bootstrap resamples
_MAX_DRAWN = 1 << 22  # indices held at once while resampling

Interval = tuple[float, float]


@dataclass(frozen=True)
class Mean:
    """A mean of n independent values."""

    mean: float | None  # None: no values
    ci95: Interval | None  # None: fewer than two values
    n: int


@dataclass(frozen=True)
class WinTieLose:
    """How often A's score is above, equal to or below B's, in percent."""

    win: float | None  # None: no prompts
    tie: float | None
    lose: float | None
    net: float | None  # win - lose
    win_ci95: Interval | None
    tie_ci95: Interval | None
    lose_ci95: Interval | None
    ci95: Interval | None  # of net
    n: int  # prompts compared
    unscored: int  # prompts left out, since a side has no score there


@dataclass(frozen=True)
class Metric:
    """One reward-model metric: accuracies in 0..1, correlations in -1..1."""

    value: float | None  # None: nothing it could be computed on
    ci95: Interval | None  # bootstrap over sets; None for fewer than two usable sets
    n: int  # what it counts: pairs, responses scored 5, or sets; sets alone under "macro"


@dataclass(frozen=True)
class RewardMetrics:
    """The five metrics under one tie policy, and what they were computed on."""

    policy: TiePolicy
    average: Average
    undefined: Undefined
    metrics: dict[str, Metric]  # keys are METRICS
    sets: int
    sets_used: int  # sets with two scored responses that people told apart
    responses: int
    unscored: int  # responses without a score: left out, counted here
    coverage: Metric  # share of a set's responses that have a score, mean over sets; Wilson's interval, a set one trial


def wilson(k: float, n: int) -> Interval | None:
    """Wilson's interval of the proportion k / n, in 0..1; None when n is 0. ValueError unless 0 <= k <= n."""
    if not 0 <= k <= n:
        raise ValueError(f"A proportion needs 0 <= k <= n, not k = {k} of n = {n}.")
    if n == 0:
        return None
    z2 = float(stats.norm.ppf(0.975)) ** 2
    share = k / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # the bounds at k = 0 and k = n are 0 and 1 exactly, which rounding would miss
    return (0.0 if k == 0 else centre - half, 1.0 if k == n else centre + half)


def mean_ci(values: Sequence[float]) -> Mean:
    """The mean of independent values with Student's t interval; a constant sample has an interval of width 0.

    Several samples of one prompt are not independent: pass one mean per prompt (`prompt_means`).
    """
    n = len(values)
    if n == 0:
        return Mean(None, None, 0)
    mean = math.fsum(values) / n
    if n == 1:
        return Mean(mean, None, 1)
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Mean(mean, (mean - half, mean + half), n)


def prompt_means(values: Iterable[Sequence[float]]) -> list[float]:
    """The mean of each prompt's samples; prompts without any sample are left out."""
    return [math.fsum(samples) / len(samples) for samples in values if samples]


def paired_bootstrap(a: Sequence[float], b: Sequence[float], seed: int) -> Mean:
    """The mean of a - b over paired items with a percentile bootstrap interval; ValueError when the lengths differ."""
    if len(a) != len(b):
        raise ValueError(f"Paired values must be equally many, not {len(a)} and {len(b)}.")
    difference = np.subtract(np.asarray(a, float), np.asarray(b, float))
    n = len(difference)
    if n == 0:
        return Mean(None, None, 0)
    mean = math.fsum(difference) / n
    if n == 1:
        return Mean(mean, None, 1)
    draws = np.concatenate([difference[rows].mean(axis=1) for rows in _resamples(n, seed)])
    return Mean(mean, _percentiles(draws), n)


Scores = Sequence[float | None] | Sequence[Sequence[float | None]]


def head_to_head(scores_a: Scores, scores_b: Scores) -> WinTieLose:
    """Wins, ties and losses of A against B over the same prompts, in percent.

    One score per prompt, or several (prompts, samples): then every sample of A meets every sample of B, and a prompt
    counts as one whatever the number of its samples. A prompt where a side has no score is left out and counted. The
    interval of net is Agresti and Min's for matched pairs (2005), those of the shares are Agresti and Coull's (1998), all
    taken over prompts: made-up prompts keep them honest where every prompt agrees. ValueError when the numbers of prompts
    differ.
    """
    if len(scores_a) != len(scores_b):
        raise ValueError(f"Both sides must answer the same prompts, not {len(scores_a)} and {len(scores_b)}.")
    wins, losses = [], []
    for a, b in zip(map(_scored, scores_a), map(_scored, scores_b), strict=True):
        if a and b:
            meetings = [(x > y) - (x < y) for x in a for y in b]
            wins.append(meetings.count(1) / len(meetings))
            losses.append(meetings.count(-1) / len(meetings))
    n, unscored = len(wins), len(scores_a) - len(wins)
    if n == 0:
        return WinTieLose(None, None, None, None, None, None, None, None, n, unscored)
    ties = [1 - x - y for x, y in zip(wins, losses, strict=True)]
    nets = [x - y for x, y in zip(wins, losses, strict=True)]
    shares = (wins, ties, losses)
    win, tie, lose = (100 * math.fsum(share) / n for share in shares)
    of_win, of_tie, of_lose = map(_share_interval, shares)
    return WinTieLose(win, tie, lose, win - lose, of_win, of_tie, of_lose, _matched_pairs_interval(nets), n, unscored)


def _scored(scores: float | Sequence[float | None] | None) -> list[float]:
    """A prompt's scores as a list, without those that are missing."""
    if scores is None or isinstance(scores, int | float):
        return [] if scores is None else [scores]
    return [score for score in scores if score is not None]


def _share_interval(shares: Sequence[float]) -> Interval:
    """Agresti and Coull's interval, in percent, of a mean of shares in 0..1: two made-up shares of 0 and two of 1 are added."""
    n = len(shares) + 4
    centre = (math.fsum(shares) + 2) / n
    variance = (math.fsum(share * share for share in shares) + 2) / n - centre * centre
    half = float(stats.norm.ppf(0.975)) * math.sqrt(variance / n)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def _matched_pairs_interval(nets: Sequence[float]) -> Interval:
    """Agresti and Min's interval, in percent, of the mean of nets in -1..1: half a win, half a loss and one tie are added."""
    n = len(nets) + 2
    centre = math.fsum(nets) / n
    variance = (math.fsum(net * net for net in nets) + 1) / n - centre * centre
    half = float(stats.norm.ppf(0.975)) * math.sqrt(variance / n)
    return 100 * max(-1.0, centre - half), 100 * min(1.0, centre + half)


def entropy(counts: Iterable[float]) -> float:
    """The entropy of a histogram in bits; 0 for an empty one and for one with a single filled bin."""
    filled = [count for count in counts if count > 0]
    total = math.fsum(filled)
    return math.fsum(count / total * math.log2(total / count) for count in filled)


RankedScores = tuple[Sequence[int], Sequence[float | None]]  # people's ranks (0 is best), the judge's scores


def reward_metrics(
    sets: Sequence[RankedScores],
    policy: TiePolicy,
    seed: int = 0,
    average: Average = "micro",
    undefined: Undefined | None = None,
) -> RewardMetrics:
    """How well a judge's scores agree with people's ranks, by the five metrics of section 2.4.

    Responses without a score are left out and counted; what people ranked equally says nothing about the judge and is
    left out as well. `policy` says what a tie of the judge is worth:

    | metric            | counts          | excluded        | agreement     | half                  | wrong         |
    |-------------------|-----------------|-----------------|---------------|-----------------------|---------------|
    | pairwise_accuracy | pairs           | tied pairs out  | tie = right   | tie = 1/2             | tie = wrong   |
    | five_best         | responses at 5  | the same under all: a response is scored alone                          |
    | exact_match       | sets            | a tie = unequal | tie = unequal | ties broken at random | tie = unequal |
    | spearman, kendall | sets            | undefined zero  | skipped       | zero                  | zero          |

    Exact match stays strict under "agreement", since the paper's rows (79 % of pairs, 13 % of rankings) rule out that
    ties count there.

    `average`: "micro" counts over all pairs (or responses), so that large sets weigh more; "macro" is the mean over sets
    of what each gives. Correlations (Spearman's on average ranks, Kendall's tau-b) are means over sets either way.

    `undefined` says what becomes of a set whose scores are all equal, as its correlation is not defined: "zero", or it
    is "skipped", or covariances and variances are "pooled", summed over sets before they are divided, where such a set
    weighs by what people said of it. None is the policy's own, as in the table.

    ValueError when a set's ranks and scores differ in number, and for a name that is none.
    """
    undefined = undefined or ("skipped" if policy == "agreement" else "zero")
    _check_name("A tie policy", policy, TIE_POLICIES)
    _check_name("An average", average, AVERAGES)
    _check_name("A treatment of undefined correlations", undefined, UNDEFINED)
    counts = np.zeros((len(sets), 3, 2))  # per set and accuracy: what was right, and out of how many
    moments = np.zeros((len(sets), 2, 3))  # per set and correlation: covariance, people's variance, the judge's
    for row, (ranks, scores) in enumerate(sets):
        counts[row] = _counts_of_set(ranks, scores, policy)
        moments[row] = _moments_of_set(ranks, scores)
    found = [_accuracy(counts[:, column], average, seed) for column in range(3)]
    found += [_correlation(moments[:, column], undefined, seed) for column in range(2)]
    covered = prompt_means([score is not None for score in scores] for _, scores in sets)
    return RewardMetrics(
        policy=policy,
        average=average,
        undefined=undefined,
        metrics=dict(zip(METRICS, found, strict=True)),
        sets=len(sets),
        sets_used=int(np.count_nonzero([_is_usable(ranks, scores) for ranks, scores in sets])),
        responses=sum(len(ranks) for ranks, _ in sets),
        unscored=sum(score is None for _, scores in sets for score in scores),
        coverage=Metric(mean_ci(covered).mean, wilson(math.fsum(covered), len(covered)), len(covered)),
    )


def _check_name(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise ValueError(f"{what} is one of {', '.join(names)}, not {name!r}.")


def _is_usable(ranks: Sequence[int], scores: Sequence[float | None]) -> bool:
    """Whether two scored responses of the set were told apart by people."""
    return len({rank for rank, score in zip(ranks, scores, strict=True) if score is not None}) > 1


def _counts_of_set(ranks: Sequence[int], scores: Sequence[float | None], policy: TiePolicy) -> NDArray[np.float64]:
    """Numerator and denominator of each accuracy for one set: (3, 2)."""
    kept = [(rank, score) for rank, score in zip(ranks, scores, strict=True) if score is not None]
    counts = np.zeros((3, 2))
    # the best of the whole set, scored or not: a judge that skips the best response must not gain by it
    fives = [rank for rank, score in kept if score == PERFECT]
    counts[1] = sum(rank == min(ranks) for rank in fives), len(fives)
    if not _is_usable(ranks, scores):
        return counts
    right, tied, wrong = _count_pairs(kept)
    if policy == "excluded":
        counts[0] = right, right + wrong
    else:
        worth = {"agreement": 1.0, "half": 0.5, "wrong": 0.0}[policy]
        counts[0] = right + worth * tied, right + tied + wrong
    counts[2] = _exact_match(kept, wrong, tied, policy), 1
    return counts


def _moments_of_set(ranks: Sequence[int], scores: Sequence[float | None]) -> NDArray[np.float64]:
    """Covariance and both variances, not divided by their number, of one set: (2, 3), zeros where it cannot be used.

    Spearman's correlation is Pearson's of average ranks, Kendall's tau-b Pearson's of the signs of all differences.
    """
    if not _is_usable(ranks, scores):
        return np.zeros((2, 3))
    kept = [(-rank, score) for rank, score in zip(ranks, scores, strict=True) if score is not None]
    worth, judged = np.array(kept, float).T
    pairs = (
        tuple(stats.rankdata(values) - (len(kept) + 1) / 2 for values in (worth, judged)),
        tuple(np.sign(values[:, None] - values) for values in (worth, judged)),
    )
    return np.array([[(a * b).sum(), (a * a).sum(), (b * b).sum()] for a, b in pairs])


def _count_pairs(kept: Sequence[tuple[int, float]]) -> tuple[int, int, int]:
    """Pairs that people ranked apart: ordered alike by the judge, tied by it, ordered the other way."""
    signs = [
        ((a < b) - (a > b)) * ((x > y) - (x < y))
        for index, (a, x) in enumerate(kept)
        for b, y in kept[index + 1 :]
        if a != b
    ]
    return signs.count(1), signs.count(0), signs.count(-1)


def _exact_match(kept: Sequence[tuple[int, float]], wrong: int, tied: int, policy: TiePolicy) -> float:
    """1 where the judge orders the set as people did; under "half" the chance of that with ties broken at random."""
    if wrong or (tied and policy != "half"):
        return 0.0
    chance = 1.0
    for score in {score for _, score in kept}:
        ranks = [rank for rank, other in kept if other == score]
        # of the orders of a tied group, those that agree permute only what people ranked equally
        alike = math.prod(math.factorial(ranks.count(rank)) for rank in set(ranks))
        chance *= alike / math.factorial(len(ranks))
    return chance


def _accuracy(counts: NDArray[np.float64], average: Average, seed: int) -> Metric:
    """Right over all, (sets, 2), of the sums over sets or as the mean of each set's."""
    used = counts[counts[:, 1] > 0]
    if average == "macro":
        used = used / used[:, 1:]
    return _of_sums(used, lambda sums: sums[:, 0] / sums[:, 1], int(used[:, 1].sum()), seed)


def _correlation(moments: NDArray[np.float64], undefined: Undefined, seed: int) -> Metric:
    """A correlation of moments (sets, 3), over the sets that people told apart."""
    used = moments[moments[:, 1] > 0]
    if undefined == "pooled":
        return _of_sums(used, _correlations, len(used), seed)
    each = _correlations(used)
    each = each[np.isfinite(each)] if undefined == "skipped" else np.nan_to_num(each)
    return _of_sums(np.stack([each, np.ones(len(each))], axis=1), lambda sums: sums[:, 0] / sums[:, 1], len(each), seed)


def _correlations(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance over the root of both variances, row by row of (rows, 3); nan where a variance is 0."""
    variances = moments[:, 1] * moments[:, 2]
    return moments[:, 0] / np.sqrt(np.where(variances > 0, variances, np.nan))


def _of_sums(
    rows: NDArray[np.float64], value_of: Callable[[NDArray[np.float64]], NDArray[np.float64]], n: int, seed: int
) -> Metric:
    """What `value_of` makes of the sums over rows (sets, columns), with a bootstrap interval over sets."""
    if len(rows) == 0:
        return Metric(None, None, 0)
    value = float(value_of(np.array([[math.fsum(column) for column in rows.T]]))[0])
    if math.isnan(value):
        return Metric(None, None, n)
    if len(rows) == 1:
        return Metric(value, None, n)
    draws = value_of(np.concatenate([rows[chosen].sum(axis=1) for chosen in _resamples(len(rows), seed)]))
    return Metric(value, _percentiles(draws[np.isfinite(draws)]), n)


def _resamples(n: int, seed: int) -> Iterable[NDArray[np.int64]]:
    """NUM_DRAWS rows of n indices drawn with replacement, in blocks (draws, n) that bound the memory."""
    rng = np.random.default_rng(seed)
    block = max(1, min(NUM_DRAWS, _MAX_DRAWN // n))
    for start in range(0, NUM_DRAWS, block):
        yield rng.integers(n, size=(min(block, NUM_DRAWS - start), n))


def _percentiles(draws: NDArray[np.float64]) -> Interval:
    """The middle 95 % of the draws."""
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
