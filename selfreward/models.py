"""Where a model's files are: the embedded one, a folder, or a snapshot of a hub repository, fetched once.

Whatever a recipe names becomes a folder here, so that everything else loads from a disk and this is the only module that
reaches a network for a model. Only safetensors are fetched and accepted.
"""

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput

CHAT_TEMPLATE_FILE = "chat_template.jinja"
_EMBEDDED = {"micro-m0": Path(__file__).parent / "micro" / "m0"}
_FETCHED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]  # weights, settings, tokenizers
_NOT_FETCHED = ["*/*", "consolidated*"]  # the same weights in another layout


def resolve_model(model: str, revision: str | None = None, trust_remote_code: bool = False) -> str:
    """The folder of `recipe.model`; of a hub model, the snapshot of its revision, fetched where it is not here yet.

    `org/name` is taken for a hub name where neither it nor a folder `org` exists here. Python files are fetched only
    where remote code is trusted. BadInput says what was found.
    """
    if is_hub_name(model):
        folder = Path(_snapshot(model, revision, trust_remote_code))
    else:
        folder = _EMBEDDED.get(model, Path(os.path.expanduser(model)))
        if revision is not None:
            raise BadInput(f"is {revision!r}, but {model} is no hub model", "revision", "leave it out")
    check_model_folder(folder)
    return str(folder)


def is_hub_name(model: str) -> bool:
    """Whether a recipe's model stands for a repository on the hub."""
    path = _EMBEDDED.get(model, Path(os.path.expanduser(model)))
    return (
        re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model) is not None and not path.exists() and not path.parent.exists()
    )


def has_chat_template(folder: str | Path) -> bool:
    """Whether the tokenizer in a folder brings a chat template, in any of the places where transformers looks."""
    if (Path(folder) / CHAT_TEMPLATE_FILE).is_file():
        return True
    settings = Path(folder) / "tokenizer_config.json"
    try:
        return settings.is_file() and bool(json.loads(settings.read_bytes()).get("chat_template"))
    except (ValueError, AttributeError):
        raise BadInput("not a tokenizer's settings", settings, "fetch the model again") from None


def vocabulary_size(folder: str | Path) -> int | None:
    """Tokens that a model has embeddings for, by its config.json; None where that does not say."""
    config = _settings(Path(folder) / "config.json")
    text = config.get("text_config")
    size = (text if isinstance(text, dict) else config).get("vocab_size")
    return size if isinstance(size, int) else None


def link_with_template(model_folder: str, template: str, target: Path) -> None:
    """Makes `target`, an empty folder, the same model with this chat template: links to its files and one file more."""
    for file in Path(model_folder).iterdir():
        os.symlink(file.absolute(), target / file.name)
    (target / CHAT_TEMPLATE_FILE).write_text(template, encoding="utf-8")


@lru_cache
def _snapshot(model: str, revision: str | None, with_code: bool) -> str:
    """The folder of a hub model's revision, named after its commit. BadInput, in one line, where it cannot be had."""
    from huggingface_hub import errors, snapshot_download

    where = f"{model} at {revision}" if revision else model
    patterns = [*_FETCHED, *(["*.py"] if with_code else [])]
    try:
        return str(snapshot_download(model, revision=revision, allow_patterns=patterns, ignore_patterns=_NOT_FETCHED))
    except errors.GatedRepoError:
        todo = "ask for access on its page, then log in with `hf auth login` or set HF_TOKEN"
        raise BadInput("is gated and you have no access", where, todo) from None
    except errors.RepositoryNotFoundError:
        raise BadInput(
            "no such model here or on the hub, or a private one", model, "check the name, or log in"
        ) from None
    except errors.RevisionNotFoundError:
        raise BadInput("has no such revision", where, "name a commit, tag or branch of it") from None
    except errors.LocalEntryNotFoundError as error:
        reason = "is not here whole" if isinstance(error, errors.IncompleteSnapshotError) else "is not here"
        raise BadInput(f"{reason}, and the hub cannot be reached", where, "go online, or give a folder") from None
    except (OSError, ValueError) as error:  # the hub's other answers, a full disk, a name that cannot be
        line = str(error).strip().partition("\n")[0]
        raise BadInput(f"cannot be fetched: {line}", where, "try again, or give a folder") from None


def weight_files(folder: Path) -> list[Path]:
    """The files from which a model's weights are loaded: one, or the shards that its index names."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not index.is_file():
        return [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
    return sorted(folder / str(shard) for shard in set(_settings(index).get("weight_map", {}).values()))


def check_model_folder(path: Path) -> None:
    """BadInput where a folder lacks what a loader needs, or holds a part of it only."""
    if not path.is_dir():
        what = "is a file, a model is a folder" if path.exists() else "no such model folder"
        raise BadInput(what, path, "give micro-m0, a folder, or org/name on the hub")
    if not (path / "config.json").is_file():
        raise BadInput("not a model: it has no config.json", path, f"it holds {_contents(path)}")
    for name in (
        "config.json",
        "generation_config.json",
    ):  # without the second, transformers goes on with other ends of text
        if (path / name).is_file():
            _settings(path / name)
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        old = any(path.glob("*.bin")) or any(path.glob("*.pt"))
        todo = "save it again with save_pretrained(safe_serialization=True)" if old else "give a folder with weights"
        raise BadInput(f"no *.safetensors in it: it holds {_contents(path)}", path, todo)
    index = path / "model.safetensors.index.json"
    if index.is_file():
        weight_map = _settings(index).get("weight_map", {})
        if not isinstance(weight_map, dict):
            raise BadInput("its weight_map is no JSON object", index, "fetch or copy the model again")
        shards = {str(shard) for shard in weight_map.values()}
        if missing := sorted(shard for shard in shards if not (path / shard).is_file()):
            raise BadInput(
                f"{len(missing)} of its {len(shards)} weight files are missing: {missing[0]}",
                path,
                "fetch or copy the model again",
            )
    for file in weights:
        _check_whole(file)


def _settings(file: Path) -> dict[str, Any]:
    """The JSON object in a file; BadInput where it is none."""
    try:
        values = json.loads(file.read_bytes())
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise BadInput("not a JSON object", file, "fetch or copy the model again")
    return values


def _check_whole(weights: Path) -> None:
    """BadInput where a weight file is damaged or was cut off, as far as its header tells."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np"):
            pass
    except SafetensorError as error:
        raise BadInput(f"damaged, or not here whole: {error}", weights, "fetch or copy the model again") from None


def _contents(folder: Path) -> str:
    """The first names in a folder, for a message."""
    names = sorted(entry.name for entry in folder.iterdir())
    return (", ".join(names[:6]) + (" ..." if len(names) > 6 else "")) or "nothing"
