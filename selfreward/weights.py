"""A model folder as a model in memory: from safetensors alone, whole, and of numbers that are numbers."""

import os
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput
from selfreward.memory import is_out_of_memory
from selfreward.models import check_model_folder, weight_files

_AGAIN = "fetch or copy the model again"
_HEADS = ("score.", "classifier.")  # what transformers calls the head of a sequence classifier


def check_numbers(folder: str | Path) -> None:
    """BadInput where a weight of a model folder is nan or infinite. Reads its files once, a tensor in memory at a time."""
    from safetensors import safe_open

    strange: list[str] = []
    for file in weight_files(Path(folder)):
        with safe_open(file, framework="pt") as weights:
            strange += [name for name in weights.keys() if not _is_finite(weights.get_tensor(name))]  # noqa: SIM118 - no dict
    _refuse(strange, folder)


def load_weights(folder: str | Path, **options: Any) -> Any:
    """The model of a folder; `options` go to transformers' `from_pretrained`.

    BadInput, in one line, where the folder is no causal language model, where its weights are not those that its
    config.json says (transformers would draw what is missing at random), and where any of them is nan or infinite.
    """
    from transformers import AutoModelForCausalLM

    return _loaded(folder, AutoModelForCausalLM, "causal language model", (), options)


def load_reward_model(folder: str | Path, with_new_head: bool = False, **options: Any) -> Any:
    """The reward model of a folder: the body of a language model and a head that gives one number.

    `with_new_head` takes the body of a language model's folder and wants a `config` with one label; the head is then drawn by
    torch's global generator. BadInput as `load_weights`.
    """
    from transformers import AutoModelForSequenceClassification

    new = _HEADS if with_new_head else ()
    return _loaded(folder, AutoModelForSequenceClassification, "reward model", new, options)


def _loaded(folder: str | Path, kind: Any, named: str, may_be_missing: tuple[str, ...], options: dict[str, Any]) -> Any:
    """The model of a folder as a `kind` of transformers'; weights whose names begin as `may_be_missing` need not be there."""
    from transformers.utils import logging

    check_model_folder(Path(folder))
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # it prints a table of what does not fit, and goes on or raises
    try:
        loaded: Any = kind.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True, **options
        )
    except Exception as error:  # of what a damaged config.json brings about, each library has its own
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        raise BadInput(f"cannot be loaded as a {named}: {reason}", folder, _AGAIN) from error
    model, found = loaded
    if int(os.environ.get("LOCAL_RANK") or 0):
        return model  # where FSDP splits weights, the first process of a machine alone has read them
    if missing := sorted(name for name in found["missing_keys"] if not name.startswith(may_be_missing)):
        raise BadInput(f"{len(missing)} of its weights are missing, such as {missing[0]}", folder, _AGAIN)
    _refuse([name for name, weight in model.named_parameters() if not _is_finite(weight)], folder)
    return model


def _refuse(strange: list[str], folder: str | Path) -> None:
    if strange:
        what = f"{len(strange)} of its weights hold numbers that are nan or infinite, such as {min(strange)}"
        raise BadInput(what, folder, f"{_AGAIN}, or start from another")


def _is_finite(weight: Any) -> bool:
    """Whether all numbers of a weight are; those that are stored in 8 bits or fewer are taken at their word."""
    import torch

    if weight.dtype.itemsize < 2 or not weight.is_floating_point() or not weight.numel():
        return True
    least, most = torch.aminmax(weight)  # either is nan where any number is; isfinite takes 20 times as long
    return bool(torch.isfinite(least) and torch.isfinite(most))
