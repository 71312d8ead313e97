"""Length-controlled win rates of AlpacaEval 2.0 (Dubois et al. 2024, arXiv 2404.04475).

A logistic model of the preference takes length, the instruction's difficulty and the model apart:
P(model preferred) = sigmoid(a tanh(d) + b gamma + c), d the difference of the lengths, reference - model, over its standard
deviation, gamma the difficulty. The rate is what it predicts at equal lengths: the mean of sigmoid(b gamma + c). Penalty,
folds and weights are those of the published implementation (alpaca_eval 0.6.6), which solves less exactly.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from selfreward.errors import BadInput, few

STRENGTHS = np.logspace(-4, 4, 10)  # weights of the loss against the penalty |a| + |b| + |c|, one chosen by folds
NUM_FOLDS = 5
NEWTON_STEPS = 8
GAMED_WEIGHT = 0.1  # of a row of the baselines that only write longer or shorter: 0.2, shared by the two of them

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difficulties:
    """What is known of the instructions before any model is measured."""

    of: dict[int, float]  # gamma by the instruction's index, 0 the first
    gamed: tuple[
        tuple[float, float, float], ...
    ]  # (d, gamma, preference in 0..1) of baselines that differ in length alone


def read_difficulties(path: Path) -> Difficulties:
    """The difficulties in a CSV file with the columns `index` (or one without a name) and `instruction_difficulty`.

    AlpacaEval publishes two such files. `df_gamed.csv` has the columns `std_delta_len`, `preference` and
    `not_gamed_baseline` besides: its rows hold the model to the verdicts on the gamed baselines. BadInput for anything else.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"cannot be read: {error}", path) from None
    columns = set(rows[0]) if rows else set()
    index = "index" if "index" in columns else ""
    if not {index, "instruction_difficulty"} <= columns:
        todo = "give df_gamed.csv or instruction_difficulty.csv of AlpacaEval"
        raise BadInput("has no columns `index` and `instruction_difficulty`", path, todo)
    is_gamed = {"std_delta_len", "preference", "not_gamed_baseline"} <= columns
    of: dict[int, float] = {}
    gamed = []
    for number, row in enumerate(rows, start=2):
        try:
            gamma = _finite(row["instruction_difficulty"])
            of.setdefault(int(row[index]), gamma)
            if is_gamed:
                gamed.append((_finite(row["std_delta_len"]), gamma, _finite(row["preference"])))
        except (TypeError, ValueError):
            raise BadInput("a column that is no number", f"{path}:{number}") from None
    return Difficulties(of, tuple(gamed))


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def length_controlled(
    preferences: Sequence[float | None],
    lengths: Sequence[tuple[int, int]],
    indices: Sequence[int],
    difficulties: Difficulties | None,
) -> dict[str, Any]:
    """The length-controlled win rate in percent, its standard error, and the model fitted: a, b, c and the strength.

    `preferences` (n) are in 0..1, 1 where the model is preferred, None where there is none: such a row is predicted, not
    learned from. `lengths` (n, 2) are characters of reference and model. `formula` is the published implementation's name
    for what was fitted: `length_controlled_v1`, the leaderboard's, with difficulties and gamed baselines; `_noreg` without
    the gamed; `_minimal` without difficulties, where b is None. BadInput where an index has no difficulty, or there is too
    little to learn from.
    """
    if difficulties and (unknown := [index for index in indices if index not in difficulties.of]):
        todo = "give the file of the same instructions, in their order"
        raise BadInput(f"{len(unknown)} instructions have no difficulty: {few(unknown)}", "--difficulty", todo)
    deltas = np.array([reference - model for reference, model in lengths], float)
    spread = float(np.std(deltas, ddof=1)) if len(deltas) > 1 else 0.0
    gammas = [difficulties.of[index] for index in indices] if difficulties else [0.0] * len(indices)
    ours = [
        (np.tanh(delta / spread) if spread else 0.0, gamma, 1.0, target, 1.0)
        for delta, gamma, target in zip(deltas, gammas, preferences, strict=True)
        if target is not None
    ]
    if len(ours) < NUM_FOLDS:
        raise BadInput(f"{len(ours)} preferences are too few, {NUM_FOLDS} are the least", "--length-controlled")
    gamed = [
        (math.tanh(delta), gamma, 0.0, target, GAMED_WEIGHT)
        for delta, gamma, target in (difficulties.gamed if difficulties else ())
    ]
    rows = np.array([*gamed, *ours])
    strength = _choose(rows)
    a, b, c = _fit(rows, strength)
    predicted = special.expit(b * np.array(gammas) + c)
    n = len(predicted)
    formula = "v1" if gamed else "noreg" if difficulties else "minimal"
    return {
        "length_controlled_winrate": 100 * math.fsum(predicted) / n,
        "lc_standard_error": 100 * float(np.std(predicted, ddof=1)) / math.sqrt(n),
        "length_control": {
            "formula": f"length_controlled_{formula}", "length": float(a), "difficulty": float(b) if difficulties else None,
            "model": float(c), "strength": strength, "gamed_rows": len(gamed),
        },
    }  # fmt: skip


def _choose(rows: Array) -> float:
    """The strength with the least loss on folds that were left out; of equal ones the first."""
    # as GroupKFold deals groups of one size: from the last to the first, in turn
    fold = (len(rows) - 1 - np.arange(len(rows))) % NUM_FOLDS
    losses = [
        np.mean(
            [_loss(rows[fold == left_out], _fit(rows[fold != left_out], strength)) for left_out in range(NUM_FOLDS)]
        )
        for strength in STRENGTHS
    ]
    return float(STRENGTHS[int(np.argmin(losses))])


def _loss(rows: Array, weights: Array) -> float:
    """The weighted log loss, a mean over rows (features, preference, weight)."""
    logits = rows[:, :3] @ weights
    return float(np.mean(rows[:, 4] * (np.logaddexp(0, logits) - rows[:, 3] * logits)))


def _fit(rows: Array, strength: float) -> Array:
    """(a, b, c) that minimise |a| + |b| + |c| + strength x the sum of weighted log losses, to rounding.

    Each is the difference of two numbers that are not negative, which makes the penalty smooth; Newton's steps then end what
    that search left open among those that are not 0.
    """
    features, targets, weights = rows[:, :3], rows[:, 3], rows[:, 4] / rows[:, 4].sum()
    penalty = 1 / (strength * rows[:, 4].sum())

    def slope(found: Array) -> Array:
        return np.asarray(features.T @ (weights * (special.expit(features @ found) - targets)))

    def objective(parts: Array) -> tuple[float, Array]:
        found = parts[:3] - parts[3:]
        logits = features @ found
        loss = weights @ (np.logaddexp(0, logits) - targets * logits)
        return float(loss + penalty * parts.sum()), np.concatenate([slope(found), -slope(found)]) + penalty

    exact = {"ftol": 0, "gtol": 1e-14, "maxiter": 10_000, "maxfun": 100_000}
    bounds = [(0, None)] * 6
    start = optimize.minimize(objective, np.zeros(6), jac=True, method="L-BFGS-B", bounds=bounds, options=exact).x
    found = start[:3] - start[3:]
    free = np.abs(found) > 1e-6
    for _ in range(NEWTON_STEPS):
        share = special.expit(features @ found)
        curvature = (features[:, free] * (weights * share * (1 - share))[:, None]).T @ features[:, free]
        found[free] -= np.linalg.lstsq(curvature, slope(found)[free] + penalty * np.sign(found[free]))[0]
    return np.asarray(found)
