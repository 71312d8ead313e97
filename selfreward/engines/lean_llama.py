"""One decoding step of a Llama-type model in few operations: at a million parameters the calls cost more than the sums.

Query, key and value are one product, and so are gate and up; keys and values of all layers stand in one tensor that
grows in blocks; a finished row is overwritten by the last one. Tested equal to transformers' forward.
"""

from typing import Any

import torch
import torch.nn.functional as F

from selfreward.engines.decoding import Prefilled

BLOCK = 256  # most slots by which the cache grows at once


class LeanLlama:
    """The weights of a transformers Llama in the layout that `LeanDecoding` reads; the memory stays shared with it."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self.num_heads = config.num_attention_heads
        self.num_kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        self.eps = config.rms_norm_eps
        self.embedding = model.model.embed_tokens.weight
        self.norm = model.model.norm.weight
        self.head = model.lm_head.weight
        self.layers = [_layer_weights(layer) for layer in model.model.layers]
        self.rotary = model.model.rotary_emb
        self.cos, self.sin = self._rotations(BLOCK)

    @staticmethod
    def supports(model: Any) -> bool:
        """Whether a model is a Llama without biases, whose rotations depend on positions alone."""
        config = model.config
        return (
            config.model_type == "llama"
            and config.hidden_act == "silu"
            and not (config.attention_bias or config.mlp_bias)
            and config.rope_parameters["rope_type"] in ("default", "linear", "llama3", "yarn")
        )

    def rotations(self, positions: torch.Tensor, num_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and signed sines (rows, 1, head_dim) at positions (rows,), all below `num_positions`."""
        if num_positions > len(self.cos):
            self.cos, self.sin = self._rotations(2 * num_positions)
        return self.cos[positions], self.sin[positions]

    def _rotations(self, num_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        positions = torch.arange(num_positions, device=self.embedding.device)
        cos, sin = self.rotary(self.embedding, positions[None])
        # transformers rotates (a, b) by cos * (a, b) + sin * (-b, a); the sign is kept here, so that a roll is enough.
        sin = torch.cat((-sin[..., : self.head_dim // 2], sin[..., self.head_dim // 2 :]), -1)
        return cos[0, :, None], sin[0, :, None]


class LeanDecoding:
    """`Decoding` of a Llama. Row i continues prefilled row `source[i]`; `room` is the number of steps to expect."""

    def __init__(self, llama: LeanLlama, prefilled: Prefilled, source: torch.Tensor, room: int = BLOCK) -> None:
        self.llama = llama
        self.used = prefilled.mask.shape[1]
        self.positions = prefilled.positions[source]
        self.num_positions = int(self.positions.max()) + 1
        capacity = self.used + min(room, BLOCK)
        shape = (len(llama.layers), 2, len(source), llama.num_kv_heads, capacity, llama.head_dim)
        self.cache = llama.embedding.new_empty(shape)
        for own, layer in zip(self.cache, prefilled.cache.layers, strict=True):
            own[0, :, :, : self.used] = layer.keys[source]
            own[1, :, :, : self.used] = layer.values[source]
        self.bias = llama.embedding.new_zeros(len(source), capacity)  # -inf at padding
        self.bias[:, : self.used].masked_fill_(prefilled.mask[source] == 0, float("-inf"))

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Decoding`."""
        if self.used == self.cache.shape[4]:
            self._grow()
        llama, rows, slots = self.llama, len(tokens), self.used + 1
        heads, kv_heads, head_dim = llama.num_heads, llama.num_kv_heads, llama.head_dim
        cos, sin = llama.rotations(self.positions, self.num_positions)
        new = self.cache[:, :, :rows, :, self.used]  # (layers, 2, rows, kv_heads, head_dim)
        past = self.cache[:, :, :rows, :, :slots].flatten(2, 3)  # (layers, 2, rows * kv_heads, slots, head_dim), a view
        bias = self.bias[:rows, None, :slots].expand(-1, kv_heads, -1).reshape(rows * kv_heads, 1, slots)
        x = F.embedding(tokens, llama.embedding)
        for weights, (new_keys, new_values), (keys, values) in zip(llama.layers, new, past, strict=True):
            norm_1, w_qkv, w_o, norm_2, w_gate_up, w_down = weights
            h = F.rms_norm(x, norm_1.shape, norm_1, llama.eps)
            qkv = F.linear(h, w_qkv).view(rows, -1, head_dim)
            qk = qkv[:, : heads + kv_heads]
            qk = (qk * cos).addcmul_(qk.roll(head_dim // 2, -1), sin)
            new_keys.copy_(qk[:, heads:])
            new_values.copy_(qkv[:, heads + kv_heads :])
            # The heads that share a key head stand as its queries: one product for all of them.
            q = qk[:, :heads].reshape(rows * kv_heads, heads // kv_heads, head_dim)
            scores = torch.baddbmm(bias, q, keys.transpose(1, 2), alpha=head_dim**-0.5)
            attended = torch.bmm(scores.softmax(-1), values).view(rows, heads * head_dim)
            x = torch.addmm(x, attended, w_o.t())
            h = F.rms_norm(x, norm_2.shape, norm_2, llama.eps)
            gate, up = F.linear(h, w_gate_up).chunk(2, -1)
            x = torch.addmm(x, F.silu(gate).mul_(up), w_down.t())
        self.used += 1
        self.num_positions += 1
        self.positions = self.positions + 1
        return F.linear(F.rms_norm(x, llama.norm.shape, llama.norm, llama.eps), llama.head)

    def keep(self, order: torch.Tensor) -> None:
        """See `Decoding`."""
        moved = (order != torch.arange(len(order), device=order.device)).nonzero()[:, 0]
        if len(moved):
            taken = order[moved]
            self.cache[:, :, moved, :, : self.used] = self.cache[:, :, taken, :, : self.used]
            self.bias[moved] = self.bias[taken]
        self.positions = self.positions[order]

    def _grow(self) -> None:
        rows = len(self.positions)
        self.cache = F.pad(self.cache[:, :, :rows], (0, 0, 0, BLOCK))
        self.bias = F.pad(self.bias[:rows], (0, BLOCK))


def _layer_weights(layer: Any) -> tuple[torch.Tensor, ...]:
    attention, mlp = layer.self_attn, layer.mlp
    return (
        layer.input_layernorm.weight,
        _stacked(attention.q_proj, attention.k_proj, attention.v_proj),
        attention.o_proj.weight,
        layer.post_attention_layernorm.weight,
        _stacked(mlp.gate_proj, mlp.up_proj),
        mlp.down_proj.weight,
    )


def _stacked(*linears: Any) -> torch.Tensor:
    """The weights of linear layers in one tensor, of which each layer's own becomes a part: no second copy in memory."""
    stacked = torch.cat([linear.weight.data for linear in linears])
    for linear, part in zip(linears, stacked.split([len(linear.weight) for linear in linears]), strict=True):
        linear.weight.data = part
    return stacked
