"""AlpacaEval 2.0: win rates from raw annotations, as its leaderboard computes them (alpaca_eval 0.6.6; arXiv 2404.04475).

An annotation compares a reference's output (1) with a model's (2): its preference is 1 where the reference is better, 2 where
the model is, anything between for a judge that is unsure; 0 is an old way of writing 1.5, a draw.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import field_validator

from selfreward.errors import BadInput, few
from selfreward.evaluation.given import Row, read_given
from selfreward.evaluation.length_control import Difficulties, length_controlled, read_difficulties
from selfreward.evaluation.verdicts import refuse_mixed

DRAW = 1.5


class Annotation(Row):
    """One row of annotations.json."""

    instruction: str
    output_1: str  # the reference's
    output_2: str  # the model's
    preference: float | None  # 1..2; None: there is none (null, or NaN)
    annotator: str | None = None
    generator_1: str | None = None
    generator_2: str | None = None
    index: int | None = None

    @field_validator("preference", mode="before")
    @classmethod
    def _between_1_and_2(cls, value: object) -> object:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("a number from 1 to 2 is wanted, 0 for a draw, or null")
        if math.isnan(value):
            return None
        if value == 0:
            return DRAW
        if not 1 <= value <= 2:
            raise ValueError("must lie from 1 (the reference is better) to 2 (the model is), or be 0 for a draw")
        return float(value)


class Output(Row):
    """One row of model_outputs.json."""

    instruction: str
    output: str
    generator: str | None = None
    dataset: str | None = None


def read_annotations(path: Path, force: bool = False) -> list[Annotation]:
    """The annotations in a file. BadInput for a row that is none, and, unless forced, for several annotators or models."""
    annotations = [annotation for _, annotation in read_given(path, Annotation)]
    for name in ("annotator", "generator_1", "generator_2"):
        refuse_mixed(f"{name}s", (getattr(annotation, name) for annotation in annotations), path, force)
    return annotations


def read_outputs(path: Path) -> list[Output]:
    """The outputs in a file, one for each instruction; BadInput where one stands twice, or they are of several models."""
    places: dict[str, str] = {}
    outputs = []
    for place, output in read_given(path, Output):
        before = places.setdefault(output.instruction, place)
        if before != place:
            raise BadInput(f"this instruction has an output already, at {before}: {output.instruction!r:.60}", place)
        outputs.append(output)
    refuse_mixed("generators", (output.generator for output in outputs), path, force=False)
    return outputs


def check_same_instructions(ours: Iterable[str], theirs: Iterable[str], where: object, others: object) -> None:
    """BadInput that says how many instructions `where` lacks of those of `others`, or has besides, and names some."""
    mine, wanted = dict.fromkeys(ours), dict.fromkeys(theirs)
    lacks = [instruction for instruction in wanted if instruction not in mine]
    strange = [instruction for instruction in mine if instruction not in wanted]
    if lacks or strange:
        what = f"lacks {len(lacks)} of the {len(wanted)} instructions of {others}{_named(lacks)}"
        todo = "give outputs to the same instructions"
        raise BadInput(f"{what} and has {len(strange)} others{_named(strange)}", where, todo)


def _named(instructions: Sequence[str]) -> str:
    return f" ({few(instructions)})" if instructions else ""


def win_rate(preferences: Sequence[float | None]) -> dict[str, Any]:
    """Rates in percent of preferences in 1..2; those that are None are dropped, which n_total shows.

    `win_rate` is the mean of preference - 1; `standard_error` its sample standard deviation over the root of n_total, None
    for fewer than two; `discrete_win_rate` counts each preference as won, lost or, exactly in the middle, half won.
    """
    won = np.array([preference - 1 for preference in preferences if preference is not None])
    n, wins, draws = len(won), int((won > 0.5).sum()), int((won == 0.5).sum())
    return {
        "win_rate": 100 * math.fsum(won) / n if n else None,
        "standard_error": 100 * float(np.std(won, ddof=1)) / math.sqrt(n) if n > 1 else None,
        "n_wins": wins,
        "n_wins_base": n - wins - draws,
        "n_draws": draws,
        "n_total": n,
        "discrete_win_rate": 100 * (wins + draws / 2) / n if n else None,
    }


def figures(
    annotations: Sequence[Annotation],
    outputs: Sequence[str] | None = None,
    length_control: bool = False,
    difficulties: Difficulties | None = None,
) -> dict[str, Any]:
    """The leaderboard's row of a model, who was compared by whom, and what of the annotations is not as it should be.

    `avg_length` is the mean number of characters of `outputs`, of the annotated ones where none are given, without its
    fraction. Counted and shown: `no_preference` (dropped), `repeated` rows whose instruction stood before (each counts),
    `empty_outputs` (they count like any other). A model against itself has a length-controlled rate of 50.
    """
    texts = [annotation.output_2 for annotation in annotations] if outputs is None else outputs
    preferences = [annotation.preference for annotation in annotations]
    first = annotations[0]
    found: dict[str, Any] = {
        **win_rate(preferences),
        "avg_length": int(math.fsum(map(len, texts)) / len(texts)),
        "model": first.generator_2,
        "reference": first.generator_1,
        "annotator": first.annotator,
        "no_preference": preferences.count(None),
        "repeated": len(annotations) - len(Counter(annotation.instruction for annotation in annotations)),
        "empty_outputs": sum(not text.strip() for text in texts),
    }
    if not length_control:
        return found
    if first.generator_1 is not None and first.generator_1 == first.generator_2:
        return {**found, "length_controlled_winrate": 50.0, "lc_standard_error": 0.0}
    places = [place if one.index is None else one.index for place, one in enumerate(annotations)]
    lengths = [(len(annotation.output_1), len(annotation.output_2)) for annotation in annotations]
    won = [None if preference is None else preference - 1 for preference in preferences]
    return {**found, **length_controlled(won, lengths, places, difficulties)}


def leaderboard(
    paths: Sequence[Path],
    outputs: Path | None = None,
    reference: Path | None = None,
    length_control: bool = False,
    difficulty: Path | None = None,
    force: bool = False,
) -> list[dict[str, Any]]:
    """The `figures` of each annotations file. `outputs` and `reference` files are checked against those annotated.

    BadInput where a file is not as it should be, and, unless forced, where annotators or references of the files differ.
    """
    if outputs is not None and len(paths) > 1:
        raise BadInput("belongs to one model", "--outputs", "give one --annotations")
    if difficulty is not None and not length_control:
        raise BadInput("is of no use without --length-controlled", "--difficulty")
    difficulties = None if difficulty is None else read_difficulties(difficulty)
    found = []
    for path in paths:
        annotations = read_annotations(path, force)
        texts = None if outputs is None else list(_checked_outputs(annotations, outputs, path, "output_2").values())
        if reference is not None:
            _checked_outputs(annotations, reference, path, "output_1")
        found.append(figures(annotations, texts, length_control, difficulties))
    for name in ("annotator", "reference"):
        refuse_mixed(f"{name}s", (row[name] for row in found), "--annotations", force)
    return found


def _checked_outputs(annotations: Sequence[Annotation], path: Path, where: Path, side: str) -> dict[str, str]:
    """Instruction -> output of a file; BadInput unless they are those that were annotated."""
    outputs = {output.instruction: output.output for output in read_outputs(path)}
    check_same_instructions(outputs, (annotation.instruction for annotation in annotations), path, where)
    for annotation in annotations:
        if outputs[annotation.instruction] != getattr(annotation, side):
            what = f"another output than the one annotated, to {annotation.instruction!r:.60}"
            raise BadInput(what, path, f"give the outputs that {where} was made of")
    return outputs
