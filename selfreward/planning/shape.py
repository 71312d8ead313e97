"""The shape of a model, and what follows from it about its adapters."""

import json
import math
from pathlib import Path

from selfreward.errors import BadInput
from selfreward.models import is_hub_name, resolve_model
from selfreward.recipe import Shape


def shape_of(model: str) -> Shape:
    """The shape of a model that is on this disk, read from its config and the headers of its weights.

    BadInput for a hub name, whose shape the recipe must give (`plan.shape`), and for a config without the usual names.
    """
    if is_hub_name(model):
        todo = "give plan.shape: parameters, layers, width, kv_width, vocabulary"
        raise BadInput("the shape of a hub model is not known before it is loaded", model, todo)
    from safetensors import safe_open

    folder = Path(resolve_model(model))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    parameters = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="np") as weights:
            names = weights.keys()
            parameters += sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    try:
        heads = config["num_attention_heads"]
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        return Shape(
            parameters=parameters,
            layers=config["num_hidden_layers"],
            width=config["hidden_size"],
            kv_width=head_dim * config.get("num_key_value_heads", heads),
            vocabulary=config["vocab_size"],
        )
    except KeyError as error:
        raise BadInput(f"its config has no {error}", folder / "config.json", "give plan.shape") from None
    except (TypeError, ValueError, ZeroDivisionError):
        raise BadInput("its config gives no shape of a model", folder / "config.json", "give plan.shape") from None


def adapter_parameters(shape: Shape, rank: int) -> float:
    """Parameters of low-rank adapters on all linear layers: rank x (in + out) of each.

    The shape does not say how wide the MLP is; that follows from the parameters, as in a Llama: four matrices of attention
    and three of the MLP to a layer, norms left aside, embeddings counted once. Where the head has weights of its own, this is
    somewhat too much.
    """
    d, kv = shape.width, shape.kv_width
    in_layer = max(0.0, shape.parameters - shape.vocabulary * d) / shape.layers
    mlp_width = max(0.0, in_layer - 2 * d * (d + kv)) / (3 * d)
    sides = 2 * (d + d) + 2 * (d + kv) + 3 * (d + mlp_width)
    return rank * shape.layers * sides
