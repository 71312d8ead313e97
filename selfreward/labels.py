"""What a person thinks of a run's pairs: `labels.jsonl` beside the run's files, and its export as ranked data.

The file is a person's: no run reads or writes it, and the manifest does not hold it.
"""

import time
from pathlib import Path

from selfreward import store
from selfreward.errors import BadInput
from selfreward.records import Pair, Record, digest
from selfreward.seeds.forms.row import ranked_set


class Label(Record):
    """What a person said of one pair; the last word on a pair counts."""

    id: str
    round: str  # the model that the pair taught: m2, m3 ...
    pair_id: str
    prompt_id: str
    prompt: str
    chosen: str
    rejected: str
    is_right: bool | None  # whether `chosen` is the better response; None takes back what was said
    time: float  # when it was said, seconds since 1970


def label(run: Path, round: str, pair: Pair, is_right: bool | None) -> Label:
    """Adds a person's word on a pair to the run's labels; StageFailed where they cannot be written."""
    now = time.time()
    said = Label(
        id=digest("label", pair.id, now), round=round, pair_id=pair.id, prompt_id=pair.prompt_id, prompt=pair.prompt,
        chosen=pair.chosen, rejected=pair.rejected, is_right=is_right, time=now,
    )  # fmt: skip
    store.append(run / store.LABELS_FILE, [said])
    return said


def labels(run: Path) -> dict[str, Label]:
    """By the id of a pair, a person's last word on it, in the order of the first; pairs whose label was taken back are left out."""
    path = run / store.LABELS_FILE
    last = {said.pair_id: said for said in store.stream(path, Label)} if path.exists() else {}
    return {id: said for id, said in last.items() if said.is_right is not None}


def export_labels(run: Path, target: Path) -> int:
    """Writes a run's labels as ranked data, `{"prompt", "responses": [{"text", "rank"}]}`, and returns how many there are.

    A pair that is right ranks `chosen` before `rejected`, one that is wrong the other way round. It is a form that a recipe's
    `seeds.ranked` reads. BadInput where there are none, and where `target` is there already.
    """
    said = labels(run)
    if not said:
        raise BadInput("nobody has marked a pair of this run", run, f"mark some with: selfreward view {run}")
    if target.exists():
        raise BadInput("is there already", target, "give another name")
    sets = []
    for one in said.values():
        texts = (one.chosen, one.rejected) if one.is_right else (one.rejected, one.chosen)
        sets.append(ranked_set(one.prompt, [(text, rank) for rank, text in enumerate(texts)]))
    store.write_once(target, sets)
    return len(sets)
