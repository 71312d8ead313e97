"""What people answered: files of one annotator each against the key, the majority of each pair, and how far people agree."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfreward import store
from selfreward.errors import BadInput, nearest
from selfreward.evaluation.agreement import cohen_kappa, fleiss_kappa
from selfreward.evaluation.human_form import FormKey
from selfreward.statistics import head_to_head

CHOICES = ("left", "tie", "right")
_OUTCOMES = {1: "win", 0: "tie", -1: "lose"}  # of A


@dataclass(frozen=True)
class Annotator:
    """One person's answers."""

    name: str
    choices: dict[str, str]  # by pair, one of CHOICES; pairs without an answer are not in it


def read_key(path: Path) -> FormKey:
    """The key of a form; BadInput where the file is none."""
    try:
        return FormKey.model_validate(store.read_json(path))
    except ValidationError:
        raise BadInput("not the key of a form", path, "give the file that human-form wrote beside it") from None


def read_annotators(files: Sequence[Path], key: FormKey) -> list[Annotator]:
    """The annotator of each file, .csv or .json. BadInput, with the line, for a pair of another form, one that stands twice, a
    choice that is none, and for a name that two files have."""
    found: dict[str, Annotator] = {}
    for file in files:
        annotator = _read(file, key)
        if annotator.name in found:
            raise BadInput(f"a second file of {annotator.name!r}", file, "give each person's answers once")
        found[annotator.name] = annotator
    return list(found.values())


def majority(annotators: Sequence[Annotator], key: FormKey) -> dict[str, Any]:
    """Wins, ties and losses of A by the majority of each pair's answers, in percent, and kappas.

    Where no outcome has more than half of a pair's answers it is a tie, counted as `no_majority`. Pairs that nobody answered
    are left out and counted; identical responses are ties. `fleiss` is over the pairs that all answered, `cohen` of each two
    annotators over those that both did.
    """
    outcomes = [_outcomes(annotator, key) for annotator in annotators]
    verdicts, no_majority, answered_by_all = [], 0, []
    for pair in key.left:
        given = [outcome[pair] for outcome in outcomes if pair in outcome]
        if not given:
            continue
        outcome, votes = Counter(given).most_common(1)[0]
        no_majority += 2 * votes <= len(given)
        verdicts.append(outcome if 2 * votes > len(given) else 0)
        if len(given) == len(annotators):
            answered_by_all.append(given)
    verdicts += [0] * key.identical
    cohen = {}
    for (one, a), (other, b) in combinations(zip(annotators, outcomes, strict=True), 2):
        both = sorted(a.keys() & b.keys())
        cohen[f"{one.name} v {other.name}"] = cohen_kappa([a[pair] for pair in both], [b[pair] for pair in both])
    return {
        "a": key.a,
        "b": key.b,
        **asdict(head_to_head([float(verdict) for verdict in verdicts], [0.0] * len(verdicts))),
        "identical": key.identical,
        "no_majority": no_majority,
        "unanswered": len(key.left) + key.identical - len(verdicts),
        "annotators": {
            annotator.name: {"answers": len(outcome), **_shares(outcome)}
            for annotator, outcome in zip(annotators, outcomes, strict=True)
        },
        "fleiss_kappa": fleiss_kappa(answered_by_all) if len(annotators) > 1 else None,
        "answered_by_all": len(answered_by_all),
        "cohen_kappa": cohen,
    }


def _outcomes(annotator: Annotator, key: FormKey) -> dict[str, int]:
    """1, 0, -1 where A wins, ties, loses, by pair."""
    of_left = {"left": 1, "tie": 0, "right": -1}
    return {pair: of_left[choice] * (1 if key.left[pair] == "a" else -1) for pair, choice in annotator.choices.items()}


def _shares(outcomes: Mapping[str, int]) -> dict[str, float | None]:
    counts = Counter(outcomes.values())
    n = len(outcomes)
    return {name: 100 * counts[outcome] / n if n else None for outcome, name in _OUTCOMES.items()}


def _read(file: Path, key: FormKey) -> Annotator:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {getattr(error, 'strerror', None) or error}", file) from None
    name, answers = (_of_json if file.suffix == ".json" else _of_csv)(text, file)
    choices: dict[str, str] = {}
    for place, pair, said in answers:
        choice = said.strip().lower()
        if pair not in key.left:
            raise BadInput(f"the pair {pair!r} is not in this key", place, "give the key of the form that was answered")
        if pair in choices:
            raise BadInput(f"the pair {pair!r} stands twice", place)
        if choice and choice not in CHOICES:
            raise BadInput(f"no choice: {said!r}", place, nearest(choice, CHOICES))
        if choice:
            choices[pair] = choice
    return Annotator(name or file.stem, choices)


def _of_json(text: str, file: Path) -> tuple[str, list[tuple[str, str, str]]]:
    """(annotator, (place, pair, choice) of each answer)."""
    try:
        said = json.loads(text)
        return str(said.get("annotator") or ""), [(str(file), str(p), str(c)) for p, c in said["choices"].items()]
    except (ValueError, KeyError, AttributeError):
        raise BadInput("not answers of a form", file, "give the file that its button saved") from None


def _of_csv(text: str, file: Path) -> tuple[str, list[tuple[str, str, str]]]:
    """As `_of_json`; spreadsheets of some countries separate by semicolons."""
    first = text.partition("\n")[0]
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    if missing := {"pair", "choice"} - set(table.fieldnames or ()):
        raise BadInput(f"has no column {' and '.join(sorted(missing))}", f"{file}:1", "keep the columns of the form")
    name, answers = "", []
    for row in table:
        name = name or (row.get("annotator") or "").strip()
        answers.append((f"{file}:{table.line_num}", (row["pair"] or "").strip(), row["choice"] or ""))
    return name, answers
