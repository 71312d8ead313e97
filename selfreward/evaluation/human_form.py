"""Pairs of responses for people to compare, blind: a form that works offline, and the key that says whose response is whose.

In the paper three people each compared 50 pairs of M_k and the SFT baseline, blind, and the majority counted (section 3.2).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from selfreward import store
from selfreward.errors import BadInput
from selfreward.evaluation.answers import Answers, held_out, is_model, read_side
from selfreward.records import Record, digest, seed_of

Side = Literal["a", "b"]
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # a cell that begins so is computed by a spreadsheet


class FormKey(Record):
    """What is behind a form."""

    a: str  # the name of a model
    b: str
    left: dict[str, Side]  # by pair, whose response stands on the left
    identical: int  # prompts of the sample to which both responded alike: ties that nobody has to be asked about


@dataclass(frozen=True)
class BlindPair:
    """What a person sees of a pair; the id says nothing about the models."""

    id: str
    prompt: str
    left: str
    right: str


def read_answers(side: Path) -> Answers:
    """The answers of a model of a run to held-out prompts, or those of a file of outputs."""
    return held_out(side) if is_model(side) else read_side(side)


def blind_pairs(a: Answers, b: Answers, num: int, seed: int) -> tuple[list[BlindPair], FormKey]:
    """`num` prompts that both answered, chosen and put in order by hashes, as pairs and their key; fewer where there are no more.

    BadInput where no prompt was answered by both, and where all answers are alike.
    """
    if a.name == b.name:
        raise BadInput("both sides are the same model", a.name, "name two")
    prompts = sorted(a.texts.keys() & b.texts.keys(), key=lambda prompt: digest(seed, "form", prompt))[:num]
    if not prompts:
        raise BadInput("they answered no prompt in common", f"{a.name} and {b.name}", "compare models of one run")
    pairs: list[BlindPair] = []
    left: dict[str, Side] = {}
    for prompt in prompts:
        one, other = a.texts[prompt], b.texts[prompt]
        if one.strip() == other.strip():
            continue
        id = digest("pair", seed, prompt, *sorted((one, other)))
        left[id] = "a" if seed_of(seed, "left", prompt) % 2 else "b"
        pairs.append(BlindPair(id, prompt, *((one, other) if left[id] == "a" else (other, one))))
    if not pairs:
        raise BadInput(f"all {len(prompts)} answers are alike", f"{a.name} and {b.name}")
    return pairs, FormKey(a=a.name, b=b.name, left=left, identical=len(prompts) - len(pairs))


def write_form(pairs: Sequence[BlindPair], key: FormKey, form: Path, key_file: Path) -> None:
    """Writes the form, .html or .csv, and its key. BadInput for another suffix, and where one of the files is there."""
    makers = {".html": _html, ".csv": _csv}
    if form.suffix not in makers:
        raise BadInput("not a form that can be written", form, f"give a name that ends on {' or '.join(makers)}")
    for file in (form, key_file):
        if file.exists():
            raise BadInput("is there already, and people may have answered it", file, "give another name")
    made = makers[form.suffix](pairs)
    store.write_json(key_file, key.model_dump())
    store.write_text(form, made)


def _html(pairs: Sequence[BlindPair]) -> str:
    """The form as one page that needs nothing else; every text is escaped."""
    from jinja2 import Environment, StrictUndefined

    source = resources.files("selfreward.templates") / "forms" / "human.jinja"
    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True)
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        form=digest(*(pair.id for pair in pairs)), pairs=pairs
    )


def _csv(pairs: Sequence[BlindPair]) -> str:
    """The form as a table with an empty column `choice`; no text of a model becomes a formula."""
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_ALL)  # elsewhere semicolons separate: one in a text begins no cell
    table.writerow(("pair", "prompt", "left", "right", "choice"))
    for pair in pairs:
        texts = (pair.prompt, pair.left, pair.right)
        table.writerow((pair.id, *(f"'{one}" if one.startswith(_FORMULA) else one for one in texts), ""))
    return text.getvalue()
