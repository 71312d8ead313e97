"""How other trainers want pairs and examples: one row of theirs for each of ours, and the file in which they look for data.

Everything is a chat of one turn, so that the trainer puts the texts into the model's own template as we did.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from selfreward.records import Example, Pair
from selfreward.store import json_text

Row = dict[str, Any]
Files = Mapping[str, bool]  # names of data files without .jsonl, and whether they hold pairs


@dataclass(frozen=True)
class Format:
    """What a trainer reads."""

    pair: Callable[[Pair], Row]
    example: Callable[[Example], Row]
    index: Callable[[Files], dict[str, str]]  # name -> text of files beside the data


def _said(role: str, text: str) -> Row:
    return {"role": role, "content": text}


# TRL: "Dataset formats and types", conversational preference and prompt-completion; the loss is on the completion alone.


def _trl_pair(pair: Pair) -> Row:
    return {
        "prompt": [_said("user", pair.prompt)],
        "chosen": [_said("assistant", pair.chosen)],
        "rejected": [_said("assistant", pair.rejected)],
    }


def _trl_example(example: Example) -> Row:
    return {"prompt": [_said("user", example.prompt)], "completion": [_said("assistant", example.response)]}


# LLaMA-Factory: data/README, Alpaca's columns; dataset_info.json names the files of a `dataset_dir`.


def _llama_factory_pair(pair: Pair) -> Row:
    return {"instruction": pair.prompt, "input": "", "chosen": pair.chosen, "rejected": pair.rejected}


def _llama_factory_example(example: Example) -> Row:
    return {"instruction": example.prompt, "input": "", "output": example.response}


def _llama_factory_index(files: Files) -> dict[str, str]:
    columns = {
        True: {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"},
        False: {"prompt": "instruction", "query": "input", "response": "output"},
    }
    named = {
        name: {"file_name": f"{name}.jsonl", **({"ranking": True} if pairs else {}), "columns": columns[pairs]}
        for name, pairs in files.items()
    }
    return {"dataset_info.json": json_text(named)}


# axolotl: `chat_template` for examples ("Conversation"), `chat_template.default` for DPO ("RLHF").


def _axolotl_pair(pair: Pair) -> Row:
    return {
        "messages": [_said("user", pair.prompt)],
        "chosen": _said("assistant", pair.chosen),
        "rejected": _said("assistant", pair.rejected),
    }


def _axolotl_example(example: Example) -> Row:
    return {"messages": [_said("user", example.prompt), _said("assistant", example.response)]}


def _axolotl_index(files: Files) -> dict[str, str]:
    datasets = [
        {
            "path": f"{name}.jsonl", "ds_type": "json", "split": "train", "field_messages": "messages",
            **({"type": "chat_template.default", "field_chosen": "chosen", "field_rejected": "rejected"}
               if pairs else {"type": "chat_template", "roles_to_train": ["assistant"]}),
        }
        for name, pairs in files.items()
    ]  # fmt: skip
    head = "# A part of a configuration of axolotl; paths are from the folder in which it runs.\n"
    method = {"rl": "dpo"} if any(files.values()) else {}
    return {"axolotl.yaml": head + yaml.safe_dump({**method, "datasets": datasets}, sort_keys=False)}


FORMATS: dict[str, Format] = {
    "trl": Format(_trl_pair, _trl_example, lambda files: {}),
    "llama-factory": Format(_llama_factory_pair, _llama_factory_example, _llama_factory_index),
    "axolotl": Format(_axolotl_pair, _axolotl_example, _axolotl_index),
}
