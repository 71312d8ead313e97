"""What DPO's reference model thinks of a lesson, kept: log-probs of both responses of every row.

They are a function of the reference's weights, the rows and how these are computed, so they are made once: training that
is interrupted, or started again with the same rows, reads them. They lie beside the checkpoints and go with them.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from selfreward import store
from selfreward.records import digest
from selfreward.training.order import Rows

LogProbs = list[tuple[float, float]]  # of a row's chosen and rejected response, each the sum over its tokens


def reference_file(folder: Path, weights: str, rows: Rows, *how: object) -> Path:
    """Where the log-probs of `rows` lie; `weights` and `how` are all else that they depend on, to the last bit."""
    return folder / f"reference-{digest(weights, json.dumps(rows), *how)}.jsonl"


def read_log_probs(file: Path, num_rows: int) -> LogProbs | None:
    """The log-probs in a file, row by row; None where there is none."""
    if not file.is_file():
        return None
    held = {line["row"]: (line["chosen"], line["rejected"]) for line in store.read_rows(file)}
    return [held[row] for row in range(num_rows)]


def write_log_probs(file: Path, log_probs: Sequence[tuple[float, float]]) -> None:
    """Keeps log-probs; the file appears whole."""
    lines = [{"row": row, "chosen": chosen, "rejected": rejected} for row, (chosen, rejected) in enumerate(log_probs)]
    store.write_text(file, "".join(json.dumps(line) + "\n" for line in lines))
