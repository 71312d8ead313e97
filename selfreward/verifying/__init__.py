"""`verify`: whether a run on disk is what it was when it was made, and whether its files agree with one another.

`hashes` compares bytes with the manifest, `joins` follows the ids of the records from file to file. Nothing is changed,
and torch is not needed.
"""

from pathlib import Path
from typing import Any

from selfreward.errors import BadInput
from selfreward.store import EVAL_FILE, RunFolder, model_name, read_rows
from selfreward.verifying.hashes import check_base, check_databases, check_manifest, check_models, not_covered
from selfreward.verifying.joins import check_records


def verify(folder: Path) -> dict[str, Any]:
    """What was checked of a run, and what is wrong with it, in words.

    `problems` are faults; `notes` are what is worth knowing and no fault, as that the run is not finished; `not_covered`
    are files of which nothing is recorded. BadInput where the folder is no run or its recipe cannot be read.
    """
    run = RunFolder(folder)
    recipe = run.recipe()
    problems: list[str] = []
    notes: list[str] = []
    num_files, num_bytes, wrong = check_manifest(folder)
    problems += wrong
    problems += check_models(folder, recipe)
    for found in (check_base(folder, recipe), check_databases(folder), check_records(folder, recipe)):
        for is_fault, sentence in found:
            (problems if is_fault else notes).append(sentence)
    names = [model_name(k) for k in (-1, *range(1, recipe.rounds + 2))]
    unmeasured = [name for name in names if not (folder / name / EVAL_FILE).exists()]
    if unmeasured:
        notes.append(f"not finished: {', '.join(unmeasured)} not there or not measured; go on: selfreward run {folder}")
    return {
        "run": str(folder), "finished": not unmeasured, "files": num_files, "bytes": num_bytes,
        "torn_lines_cut": torn_lines(run), "not_covered": not_covered(folder), "notes": notes, "problems": problems,
    }  # fmt: skip


def torn_lines(run: RunFolder) -> int:
    """How many lines that a kill had torn were cut off when the run went on, as its metrics say."""
    try:
        return sum("torn" in row for row in read_rows(run.metrics))
    except BadInput:
        return 0  # that the metrics are damaged is a problem of its own
