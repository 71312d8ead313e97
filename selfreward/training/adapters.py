"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685; QLoRA: Dettmers et al. 2023, arXiv 2305.14314), on PEFT.

Every lesson gets an adapter of its own on top of the model it starts from, and M_k is written whole, the adapter merged
into float32 weights: the next round, its reference model and every engine load it as they load any model. With QLoRA the
weights that the adapter joins are those it was trained beside, rounded to 4 bits, so that M_k is what was trained.
"""

from importlib.util import find_spec
from typing import Any

from selfreward.errors import BadInput, StageFailed, nearest
from selfreward.recipe import Adapter

NUM_PROBED = 16  # tokens on which the model before and after merging is compared
TOLERANCE = 1e-4  # of the largest logit: what float32 may lose when weights are added up in another order


def check_adapter(adapter: Adapter) -> None:
    """BadInput where the recipe wants an adapter that cannot be trained here."""
    if adapter.kind == "none":
        return
    _require("peft", adapter.kind, "peft")
    if adapter.kind == "qlora":
        import torch

        if not torch.cuda.is_available():
            raise BadInput("qlora needs a CUDA GPU, and there is none", "adapter.kind", "choose lora")
        _require("bitsandbytes", adapter.kind, "qlora")


def _require(package: str, kind: str, extra: str) -> None:
    if find_spec(package) is None:
        todo = f"install it with: pip install 'selfreward[{extra}]'"
        raise BadInput(f"{kind} needs {package}, which is not installed", "adapter.kind", todo)


def lora_config(adapter: Adapter, model: Any, task: str = "CAUSAL_LM") -> Any | None:
    """PEFT's configuration for a model; None where all weights are trained. BadInput where a target is not in it."""
    if adapter.kind == "none":
        return None
    from peft import LoraConfig

    targets = adapter.targets
    if isinstance(targets, list):
        modules = dict.fromkeys(name.rpartition(".")[2] for name, _ in model.named_modules() if name)
        # PEFT is content when one of several names fits.
        if unknown := [target for target in targets if target.rpartition(".")[2] not in modules]:
            what = f"the model has no module {unknown[0]!r}"
            raise BadInput(what, "adapter.targets", nearest(unknown[0], [m for m in modules if not m.isdecimal()]))
    return LoraConfig(
        task_type=task,
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=targets,
    )


def quantization(adapter: Adapter, dtype: Any) -> Any | None:
    """How the weights that are not trained are held: QLoRA's 4-bit NormalFloat, arithmetic in `dtype`; else None."""
    if adapter.kind != "qlora":
        return None
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def merged(trained: Any, start: Any) -> Any:
    """`start`, the model that the lesson began with, in float32, with the adapter of `trained` added to its weights.

    `start` is quantised as it was for training, or not at all. StageFailed unless the adapter that is merged is the one
    that was trained, changes the logits, and the merged model gives the logits of start and adapter.
    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    if getattr(start, "is_quantized", False):
        start = start.dequantize().float()
    learnt = {name: values.detach().float().cpu() for name, values in get_peft_model_state_dict(trained).items()}
    before = _logits(start)
    adapted = get_peft_model(start, trained.peft_config["default"])
    set_peft_model_state_dict(adapted, learnt)
    loaded = get_peft_model_state_dict(adapted)
    if loaded.keys() != learnt.keys() or any(not bool((loaded[name] == learnt[name]).all()) for name in learnt):
        raise StageFailed("the adapter that was loaded is not the one that was trained", "merging")
    with_adapter = _logits(adapted)
    whole = adapted.merge_and_unload()
    after = _logits(whole)
    if bool((with_adapter == before).all()):
        raise StageFailed("the adapter changes nothing", "merging", "raise the learning rate")
    if float((after - with_adapter).abs().max()) > TOLERANCE * float(with_adapter.abs().max()):
        todo = "leave tied and special layers out of adapter.targets"
        raise StageFailed("the merged model does not say what the model with its adapter does", "merging", todo)
    return whole


def _logits(model: Any) -> Any:
    """(tokens, vocabulary) of a few tokens."""
    import torch

    ids = torch.arange(NUM_PROBED)[None] % model.config.get_text_config().vocab_size
    with torch.no_grad():
        return model.eval()(ids).logits[0]
