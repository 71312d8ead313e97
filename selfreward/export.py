"""A model of a run as a folder of its own: weights, settings, tokenizer with its chat template, and a model card.

Nothing is sent anywhere. The folder is what transformers and every server over it load; adapters are merged already.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from selfreward import __version__, store
from selfreward.errors import BadInput
from selfreward.models import is_hub_name
from selfreward.recipe import Recipe, to_yaml
from selfreward.store import RunFolder, read_json, saving

CARD_FILE = "README.md"
_EXPORTED = (".safetensors", ".json", ".jinja", ".model", ".txt")  # no code, no checkpoint of another format


def export(model: Path, target: Path) -> Path:
    """Writes `target`, a new folder, for RUN/mK (or RUN/sft, RUN/m0). BadInput names the models that the run has."""
    run = RunFolder(model.parent)
    recipe, folder = run.recipe(), Path(run.model_path(model.name))
    if target.exists():
        raise BadInput("is there already", target, "give a new folder")
    with saving(target) as unfinished:
        for file in sorted(folder.iterdir()):
            if file.suffix in _EXPORTED:
                shutil.copyfile(file, unfinished / file.name)
        (unfinished / CARD_FILE).write_text(_card(run, model.name, recipe), encoding="utf-8")
    return target


def _card(run: RunFolder, name: str, recipe: Recipe) -> str:
    """The model card: where the model comes from, what it was taught, and with what."""
    head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["selfreward"]}
    if is_hub_name(recipe.model):
        head["base_model"] = recipe.model
    stamp = read_json(run.path / store.STAMP_FILE)
    lesson = run.path / name / store.LESSON_FILE
    taught = f"## What it was taught last\n\n{_block(read_json(lesson))}\n" if lesson.is_file() else ""
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n"
        f"# {recipe.name} {name}\n\n"
        f"Model {name} of a run of Self-Rewarding Language Models (arXiv 2401.10020), which started from {recipe.model}.\n"
        f"Made with selfreward {__version__}. Its use is bound by the licence of the model it started from.\n\n"
        f"{taught}"
        f"## Stamp of the run\n\n{_block(stamp)}\n"
        f"## Recipe\n\n```yaml\n{to_yaml(recipe)}```\n"
    )


def _block(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"
