"""A model folder as a causal language model in memory: from safetensors alone, whole, and of numbers that are numbers."""

import os
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput
from selfreward.memory import is_out_of_memory
from selfreward.models import check_model_folder, weight_files

_AGAIN = "fetch or copy the model again"


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
    from transformers.utils import logging

    check_model_folder(Path(folder))
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # it prints a table of what does not fit, and goes on or raises
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True, **options
        )
    except Exception as error:  # of what a damaged config.json brings about, each library has its own
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        raise BadInput(f"cannot be loaded as a causal language model: {reason}", folder, _AGAIN) from error
    model, found = loaded
    if int(os.environ.get("LOCAL_RANK") or 0):
        return model  # where FSDP splits weights, the first process of a machine alone has read them
    if missing := sorted(found["missing_keys"]):
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
