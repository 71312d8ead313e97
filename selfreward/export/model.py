"""A model of a run as a folder of its own: weights, settings, tokenizer with its chat template, and a model card.

The folder is what transformers and every server over it load; adapters are merged already.
"""

import shutil
from pathlib import Path

from selfreward.errors import BadInput
from selfreward.export.cards import CARD_FILE, model_card
from selfreward.store import RunFolder, saving

_EXPORTED = (".safetensors", ".json", ".jinja", ".model", ".txt")  # no code, no checkpoint of another format


def export_model(model: Path, target: Path) -> None:
    """Writes `target`, a new folder, for RUN/mK (or RUN/sft, RUN/m0). BadInput names the models that the run has."""
    run = RunFolder(model.parent)
    folder = Path(run.model_path(model.name))
    if target.exists():
        raise BadInput("is there already", target, "give a new folder")
    with saving(target) as unfinished:
        for file in sorted(folder.iterdir()):
            if file.suffix in _EXPORTED:
                shutil.copyfile(file, unfinished / file.name)
        (unfinished / CARD_FILE).write_text(model_card(run, model.name), encoding="utf-8")
