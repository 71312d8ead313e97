"""A Llama's forward in few operations, for sampling: at a million parameters the calls cost more than the sums.

Query, key and value are one product, and so are gate and up. Keys and values of a prompt are kept once for all its
samples, which attend to them in one product, and each row has its own for what it has said. Tested equal to
transformers' forward.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from selfreward.engines.decoding import Prefilled, left_pad, survivors

BLOCK = 256  # most slots by which the cache of a row grows at once

Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class LeanLlama:
    """A `Reader` over the weights of a transformers Llama, in memory that stays shared with it.

    Caches are (layers, 2, rows, kv_heads, slots, head_dim): keys, then values.
    """

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

    def read_prefix(self, ids: Sequence[int]) -> torch.Tensor:
        """See `Reader`."""
        cache: torch.Tensor = self.read([ids]).cache
        return cache

    def read(self, rows: Sequence[Sequence[int]], prefix: torch.Tensor | None = None) -> Prefilled:
        """See `Reader`."""
        num_shared = 0 if prefix is None else prefix.shape[4]
        ids, mask, positions = left_pad(rows, self.embedding.device, num_shared)
        num_rows, width = ids.shape
        shape = (len(self.layers), 2, num_rows, self.num_kv_heads, num_shared + width, self.head_dim)
        cache = self.embedding.new_empty(shape)
        if prefix is not None:
            cache[..., :num_shared, :] = prefix
        # Padding sees itself, and nobody sees padding: a row of the softmax that is masked whole would not be a number.
        square = torch.ones(width, mask.shape[1], dtype=torch.bool, device=ids.device)
        past, itself = square.tril(num_shared), square.tril(num_shared).triu(num_shared)
        bias = self._bias(past & mask[:, None].bool() | itself)[:, None]  # (rows, 1, width, slots)

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            keys, values = cache[layer]
            keys[:, :, num_shared:] = k.view(num_rows, width, -1, self.head_dim).transpose(1, 2)
            values[:, :, num_shared:] = v.reshape(num_rows, width, -1, self.head_dim).transpose(1, 2)
            q = q.view(num_rows, width, -1, self.head_dim).transpose(1, 2)
            out = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias, enable_gqa=True)
            return out.transpose(1, 2).reshape(num_rows * width, -1)

        x = self.forward(ids.flatten(), positions.flatten(), num_shared + width, attend)
        logits = self.logits(x.view(num_rows, width, -1)[:, -1])
        return Prefilled(cache, mask, positions[:, -1] + 1, logits)

    def decode(self, prefilled: Prefilled, source: torch.Tensor, num_steps: int) -> "LeanDecoding":
        """See `Reader`."""
        return LeanDecoding(self, prefilled, source, num_steps)

    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, num_positions: int, attend: Attend
    ) -> torch.Tensor:
        """Final states (tokens, d) of tokens (tokens,) at positions below `num_positions`.

        `attend` gets a layer's index and its rotated queries, keys and values, each (tokens, heads, head_dim); it
        returns (tokens, num_heads * head_dim).
        """
        if num_positions > len(self.cos):
            self.cos, self.sin = self._rotations(2 * num_positions)
        cos, sin = self.cos[positions], self.sin[positions]
        x = F.embedding(tokens, self.embedding)
        for index, (norm_1, w_qkv, w_o, norm_2, w_gate_up, w_down) in enumerate(self.layers):
            h = F.rms_norm(x, norm_1.shape, norm_1, self.eps)
            qkv = F.linear(h, w_qkv).view(len(tokens), -1, self.head_dim)
            qk, v = qkv.split((self.num_heads + self.num_kv_heads, self.num_kv_heads), 1)
            qk = (qk * cos).addcmul_(qk.roll(self.head_dim // 2, -1), sin)
            x = torch.addmm(x, attend(index, qk[:, : self.num_heads], qk[:, self.num_heads :], v), w_o.t())
            h = F.rms_norm(x, norm_2.shape, norm_2, self.eps)
            gate, up = F.linear(h, w_gate_up).chunk(2, -1)
            x = torch.addmm(x, F.silu(gate).mul_(up), w_down.t())
        return x

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, vocabulary) of final states (rows, d)."""
        return F.linear(F.rms_norm(x, self.norm.shape, self.norm, self.eps), self.head)

    def _bias(self, visible: torch.Tensor) -> torch.Tensor:
        """0 where visible, -inf elsewhere, to be added to scores."""
        return self.embedding.new_zeros(visible.shape).masked_fill_(~visible, float("-inf"))

    def _rotations(self, num_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and signed sines, (positions, 1, head_dim)."""
        positions = torch.arange(num_positions, device=self.embedding.device)
        cos, sin = self.rotary(self.embedding, positions[None])
        # transformers rotates (a, b) by cos * (a, b) + sin * (-b, a); the sign is kept here, so that a roll is enough.
        sin = torch.cat((-sin[..., : self.head_dim // 2], sin[..., self.head_dim // 2 :]), -1)
        return cos[0, :, None], sin[0, :, None]


class LeanDecoding:
    """`Decoding` of a Llama.

    Products with the prompts' keys and values run over a grid of cells, (prompts, kv_heads, most rows of one prompt):
    `row_of_cell` and `cell_of_row` lead there and back, both counted in rows * kv_heads. Cells that no row owns repeat
    some row and are not read.
    """

    def __init__(self, llama: LeanLlama, prefilled: Prefilled, source: torch.Tensor, num_steps: int) -> None:
        self.llama = llama
        self.positions = prefilled.positions[source]
        self.num_positions = int(self.positions.max()) + 1
        self.prompts = prefilled.cache
        self.prompt_bias = llama._bias(prefilled.mask.bool())  # (prompts, slots)
        self.used = 0
        layers, _, _, kv_heads, _, head_dim = self.prompts.shape
        self.own = self.prompts.new_empty(layers, 2, len(source), kv_heads, min(num_steps, BLOCK), head_dim)
        self._arrange(source)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Decoding`."""
        if self.used == self.own.shape[4]:
            self.own = F.pad(self.own[:, :, : len(tokens)], (0, 0, 0, BLOCK))
        rows, kv_heads, head_dim = len(tokens), self.llama.num_kv_heads, self.llama.head_dim
        group = self.llama.num_heads // kv_heads  # query heads on one key head: they stand side by side as its queries
        scale = head_dim**-0.5
        num_prompts, num_slots = self.prompt_bias.shape
        prompts = self.prompts[:, :, :num_prompts].flatten(
            2, 3
        )  # (layers, 2, prompts * kv_heads, slots, head_dim), a view
        prompt_bias = self.prompt_bias[:, None].expand(-1, kv_heads, -1).reshape(-1, 1, num_slots)
        new = self.own[:, :, :rows, :, self.used]  # (layers, 2, rows, kv_heads, head_dim)
        own = self.own[:, :, :rows, :, : self.used + 1].flatten(2, 3)

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            new[layer, 0], new[layer, 1] = k, v
            (prompt_keys, prompt_values), (own_keys, own_values) = prompts[layer], own[layer]
            q = q.reshape(rows * kv_heads, group, head_dim)
            q_cells = q.index_select(0, self.row_of_cell).view(num_prompts * kv_heads, -1, head_dim)
            scores = torch.baddbmm(prompt_bias, q_cells, prompt_keys.transpose(1, 2), alpha=scale)
            scores = scores.view(-1, group, num_slots).index_select(0, self.cell_of_row)
            own_scores = torch.bmm(q, own_keys.transpose(1, 2)).mul_(scale)
            shares = torch.cat((scores, own_scores), -1).softmax(-1)
            prompt_shares = shares[..., :num_slots].index_select(0, self.row_of_cell)
            out = torch.bmm(prompt_shares.view(num_prompts * kv_heads, -1, num_slots), prompt_values)
            out = out.view(-1, group, head_dim).index_select(0, self.cell_of_row)
            return torch.baddbmm(out, shares[..., num_slots:], own_values).view(rows, -1)

        x = self.llama.forward(tokens, self.positions, self.num_positions, attend)
        self.used += 1
        self.num_positions += 1
        self.positions = self.positions + 1
        return self.llama.logits(x)

    def keep(self, order: torch.Tensor) -> None:
        """See `Decoding`."""
        _fill_holes(self.own, order, self.used)
        self.positions = self.positions[order]
        source = self.source[order]
        needed = torch.zeros(len(self.prompt_bias), dtype=torch.bool, device=order.device)
        needed[source] = True
        if not needed.all():
            kept = survivors(needed)
            _fill_holes(self.prompts, kept, self.prompts.shape[4])
            self.prompt_bias = self.prompt_bias[kept]
            place = torch.empty_like(needed, dtype=torch.long)
            place[kept] = torch.arange(len(kept), device=order.device)
            source = place[source]
        self._arrange(source)

    def _arrange(self, source: torch.Tensor) -> None:
        """Give each row, a continuation of prompt `source[i]`, a cell of its prompt."""
        self.source = source
        device, kv_heads = source.device, self.llama.num_kv_heads
        counts = source.bincount(minlength=len(self.prompt_bias))
        width = int(counts.max())
        by_prompt = source.argsort(stable=True)
        rank = torch.arange(len(source), device=device) - (counts.cumsum(0) - counts)[source[by_prompt]]
        heads = torch.arange(kv_heads, device=device)
        cells = torch.empty(len(source), kv_heads, dtype=torch.long, device=device)
        cells[by_prompt] = (source[by_prompt, None] * kv_heads + heads) * width + rank[:, None]
        self.cell_of_row = cells.flatten()
        self.row_of_cell = torch.zeros(len(counts) * kv_heads * width, dtype=torch.long, device=device)
        self.row_of_cell[self.cell_of_row] = torch.arange(len(self.cell_of_row), device=device)


def _fill_holes(cache: torch.Tensor, order: torch.Tensor, num_slots: int) -> None:
    """Bring the rows of a cache into an order that `survivors` gave, in place."""
    moved = (order != torch.arange(len(order), device=order.device)).nonzero()[:, 0]
    if len(moved):
        cache[:, :, moved, :, :num_slots] = cache[:, :, order[moved], :, :num_slots]


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
    """The weights of linear layers in one tensor; each layer's own becomes a part of it, so memory holds them once."""
    stacked = torch.cat([linear.weight.data for linear in linears])
    for linear, part in zip(linears, stacked.split([len(linear.weight) for linear in linears]), strict=True):
        linear.weight.data = part
    return stacked
