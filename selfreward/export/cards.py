"""What is written beside what is taken along: where it comes from, with what it was made, and what binds its use."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from selfreward import __version__, report, store
from selfreward.models import is_hub_name
from selfreward.recipe import Recipe, to_yaml
from selfreward.store import RunFolder, read_json

CARD_FILE = "README.md"
METHOD = "Self-Rewarding Language Models (arXiv 2401.10020)"


def model_card(run: RunFolder, name: str) -> str:
    """The card of a model: where it comes from, what it was taught last, and how it was measured."""
    recipe = run.recipe()
    head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["selfreward"]}
    if is_hub_name(recipe.model):
        head["base_model"] = recipe.model
    lesson = run.path / name / store.LESSON_FILE
    summary = [row for row in report.tables(run.path)["summary"] if row["model"] == name]
    measured = f"## What was measured\n\n{_block(summary[0])}\n" if summary else ""
    taught = f"## What it was taught last\n\n{_block(read_json(lesson))}\n" if lesson.is_file() else ""
    said = (
        f"Model {name} of a run of {METHOD}, which started from {recipe.model}.\n"
        f"Made with selfreward {__version__}. Its use is bound by the licence of the model it started from.\n\n"
    )
    return _card(head, f"{recipe.name} {name}", said + taught + measured, run, recipe)


def data_card(run: RunFolder, rows: Mapping[str, int], notes: Sequence[str]) -> str:
    """The card of a folder of data files, `rows` in each; with it `datasets.load_dataset(folder, NAME)` finds them."""
    recipe = run.recipe()
    configs = [{"config_name": Path(file).stem, "data_files": file} for file in rows]
    head = {"pretty_name": recipe.name, "tags": ["selfreward", "synthetic"], "configs": configs}
    table = "".join(f"| `{file}` | {number} |\n" for file, number in rows.items())
    noted = "".join(f"- {note}\n" for note in notes)
    said = (
        f"Data of a run of {METHOD}, which started from {recipe.model}. `ift` and `eft` are its seeds; what stands in the files of "
        "a round was written, and judged, by models.\n"
        f"Made with selfreward {__version__}. Its use is bound by the licences of the seeds and of the models.\n\n"
        f"| file | rows |\n|---|---|\n{table}\n{noted}\n"
    )
    return _card(head, f"{recipe.name}, data", said, run, recipe)


def _card(head: Mapping[str, Any], title: str, said: str, run: RunFolder, recipe: Recipe) -> str:
    stamp = read_json(run.path / store.STAMP_FILE)
    return (
        f"---\n{yaml.safe_dump(dict(head), sort_keys=False)}---\n\n# {title}\n\n{said}"
        f"## Stamp of the run\n\n{_block(stamp)}\n## Recipe\n\n```yaml\n{to_yaml(recipe)}```\n"
    )


def _block(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"
