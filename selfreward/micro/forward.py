"""A Llama's forward for pretraining M0, in few operations: at a million parameters the calls cost more than the sums.

It reads the parameters of the transformers model by name, so that what is trained is what is saved, and gives the same
states (tested equal). Documents stand one to a row from position 0 and padding is at the right, so the causal mask is
the only one. Under autocast the residual stream stays in float32.
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def final_states(model: Any, ids: Tensor) -> Tensor:
    """Final states (rows, width, d) of token ids (rows, width), as `model.model(ids).last_hidden_state`."""
    config, named = model.config, dict(model.named_parameters())
    rows, width = ids.shape
    heads, kv_heads, head_dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    group = heads // kv_heads
    cos, sin, future = _tables(width, head_dim, config.rope_parameters["rope_theta"])
    if torch.is_autocast_enabled("cpu"):
        cos, sin = cos.bfloat16(), sin.bfloat16()
    future = future.repeat(group, 1)  # query heads on one key head: they stand one after another as its queries

    def normed(x: Tensor, name: str) -> Tensor:
        weight = named[f"model.{name}.weight"]
        return F.rms_norm(x, weight.shape, weight, config.rms_norm_eps)

    x = F.embedding(ids, named["model.embed_tokens.weight"])
    for layer in range(config.num_hidden_layers):

        def project(h: Tensor, *names: str, layer: int = layer) -> Tensor:
            weights = [named[f"model.layers.{layer}.{name}_proj.weight"] for name in names]
            return F.linear(h, torch.cat(weights) if len(weights) > 1 else weights[0])

        h = normed(x, f"layers.{layer}.input_layernorm")
        qkv = project(h, "self_attn.q", "self_attn.k", "self_attn.v").view(rows, width, -1, head_dim)
        qk, v = qkv.split((heads + kv_heads, kv_heads), 2)
        qk = torch.addcmul(qk * cos, qk.roll(head_dim // 2, -1), sin)
        q, k = qk.split((heads, kv_heads), 2)
        q = q.transpose(1, 2).reshape(rows * kv_heads, group * width, head_dim)
        k, v = (part.transpose(1, 2).reshape(rows * kv_heads, width, head_dim) for part in (k, v))
        scores = torch.baddbmm(future, q, k.transpose(1, 2), alpha=head_dim**-0.5)
        mixed = torch.bmm(scores.softmax(-1), v)
        mixed = mixed.view(rows, heads, width, head_dim).transpose(1, 2).reshape(rows, width, -1)
        x = x + project(mixed, "self_attn.o")
        gate, up = project(normed(x, f"layers.{layer}.post_attention_layernorm"), "mlp.gate", "mlp.up").chunk(2, -1)
        x = x + project(F.silu(gate) * up, "mlp.down")
    return normed(x, "norm")


@lru_cache(maxsize=256)
def _tables(width: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines and signed sines (width, 1, head_dim), and the mask (width, width): -inf where the future is."""
    frequencies = theta ** -(torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.outer(torch.arange(width).float(), frequencies)[:, None]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1), torch.full((width, width), float("-inf")).triu(1)
