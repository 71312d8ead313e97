"""What a recipe will cost, before anything runs: tokens, time, memory, disk and money, stage by stage.

Every figure is a short formula of the recipe, the model's shape and the hardware; docs/plan.md writes them out. A stage
takes the greater of its arithmetic and its memory traffic, both at the share of the peak that good systems reach, plus
a price for every operation that is started, which is what binds a small model.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.errors import BadInput, nearest
from selfreward.models import is_hub_name, resolve_model
from selfreward.recipe import Recipe, Shape
from selfreward.templates import render

TRAIN_EFFICIENCY, GENERATE_EFFICIENCY = 0.40, 0.45  # shares of the peak
OPS_FORWARD, OPS_TRAIN = 30, 110  # operations started per layer: a forward; a forward, its backward and the optimiser
BYTES_PER_TOKEN_OF_TEXT = 8  # JSONL repeats texts: a response stands in its own file and in the judgements
TOKENS_PER_WORD = 1.3


@dataclass(frozen=True)
class Hardware:
    """One device."""

    name: str
    flops: float  # dense FLOP/s in the precision that is used
    bandwidth: float  # bytes/s of its memory
    memory_bytes: float
    op_s: float  # to start one operation
    weight_bytes: int  # bytes of one weight while generating: 2 in bfloat16, 4 in float32

    @property
    def is_gpu(self) -> bool:
        """Training then recomputes activations, and computes in bfloat16."""
        return self.weight_bytes == 2


# Data sheets: dense bfloat16, memory bandwidth, memory. An operation of eager PyTorch is started in about 5 us.
HARDWARE = {
    h.name: h
    for h in (
        Hardware("h200", 989e12, 4.8e12, 141e9, 5e-6, 2),
        Hardware("h100", 989e12, 3.35e12, 80e9, 5e-6, 2),
        Hardware("a100", 312e12, 2.04e12, 80e9, 5e-6, 2),
        Hardware("rtx4090", 165e12, 1.01e12, 24e9, 5e-6, 2),
        Hardware("l4", 121e12, 0.30e12, 24e9, 5e-6, 2),
    )
}
THIS = "this"  # measured here


@dataclass(frozen=True)
class Stage:
    """A stage of a run, named as in its metrics."""

    name: str
    read_tokens: float  # prompt tokens that are prefilled
    written_tokens: float  # sampled
    trained_tokens: float  # read by training, all epochs, reference included
    seconds: float
    memory_bytes: float  # on each device, at the peak


def plan(recipe: Recipe, hardware: Hardware | None = None) -> dict[str, Any]:
    """The predicted `stages` of a recipe, their `total`, `disk_bytes`, `cost` and what was assumed.

    `hardware` is that of `recipe.plan` where none is given. BadInput where the model's shape or the hardware is unknown.
    """
    hardware = hardware or hardware_named(recipe.plan.hardware)
    shape = recipe.plan.shape or shape_of(recipe.model)
    estimator = _Estimator(recipe, shape, hardware)
    stages = estimator.stages()
    total = {
        name: math.fsum(getattr(stage, name) for stage in stages)
        for name in ("read_tokens", "written_tokens", "trained_tokens", "seconds")
    }
    price = recipe.plan.judge_price
    judging = [stage for stage in stages if stage.name.endswith("judgements")]
    return {
        "recipe": recipe.name,
        "hardware": asdict(hardware) | {"devices": recipe.plan.devices},
        "shape": shape.model_dump(),
        "assumed": recipe.plan.model_dump(exclude={"shape", "hardware", "devices"}),
        "stages": [asdict(stage) for stage in stages],
        "total": total | {"memory_bytes": max(stage.memory_bytes for stage in stages)},
        "fits": all(stage.memory_bytes <= hardware.memory_bytes for stage in stages),
        "disk_bytes": _disk_bytes(recipe, shape, total),
        "cost": price and math.fsum(s.read_tokens * price[0] + s.written_tokens * price[1] for s in judging) / 1e6,
    }


def hardware_named(name: str) -> Hardware:
    """A device of the table, or this machine, which is then measured for a second; BadInput for another name."""
    if name == THIS:
        return measure()
    if name not in HARDWARE:
        raise BadInput(f"no hardware {name!r}", "plan.hardware", nearest(name, [THIS, *HARDWARE]))
    return HARDWARE[name]


def measure() -> Hardware:
    """What this machine does: a large product, a large copy and many small additions, the best of a few tries."""
    import os
    import time

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32

    def fastest(work: Any, times: int) -> float:
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    n = 8192 if device == "cuda" else 1024
    square, small = torch.ones(n, n, dtype=dtype, device=device), torch.ones(8, device=device)
    block = torch.ones(2**28 if device == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.zeros_like(block)
    memory = (
        torch.cuda.get_device_properties(0).total_memory
        if device == "cuda"
        else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    return Hardware(
        name=THIS,
        flops=2 * n**3 / fastest(lambda: square @ square, 8),
        bandwidth=2 * block.numel() / fastest(lambda: target.copy_(block), 8),
        memory_bytes=memory,
        op_s=fastest(lambda: [small + small for _ in range(1000)], 5) / 1000,
        weight_bytes=2 if device == "cuda" else 4,
    )


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
    except (KeyError, TypeError) as error:
        raise BadInput(f"its config has no {error}", folder / "config.json", "give plan.shape") from None


@dataclass(frozen=True)
class _Estimator:
    """The formulas, bound to a recipe, a shape and a device."""

    recipe: Recipe
    shape: Shape
    hardware: Hardware

    def stages(self) -> list[Stage]:
        """All stages in the order in which they run."""
        recipe, assumed = self.recipe, self.recipe.plan
        prompt, response, judgement = assumed.prompt_tokens, assumed.response_tokens, assumed.judgement_tokens
        eft_responses = recipe.seeds.num_eft_prompts * recipe.seeds.num_ranked_responses
        num_eft = round(assumed.eft_kept * eft_responses)
        ift_row, eft_row = prompt + response, self._rubric + prompt + response + judgement
        sft_tokens = recipe.seeds.num_ift * ift_row
        found = [self._sft("sft", recipe.seeds.num_ift, sft_tokens), *self._measured("sft")]
        if num_eft:
            found += [self._judging("seed eft_judgements", eft_responses, recipe.eft.attempts)]
        found += [
            self._sft("m1", recipe.seeds.num_ift + num_eft, sft_tokens + num_eft * eft_row),
            *self._measured("m1"),
        ]
        for k in range(2, recipe.rounds + 2):
            name, num = store.model_name(k), recipe.prompts.num
            shots = recipe.prompts.shots_seed + recipe.prompts.shots_generated
            attempts = math.ceil(num / assumed.accepted)
            samples = recipe.responses.num_samples
            found += [
                self._generating(f"{name} prompts", attempts, 1, 0, shots * prompt, prompt),
                self._generating(f"{name} responses", num, samples, 0, prompt, response),
                self._judging(f"{name} judgements", num * samples, recipe.judge.votes),
                self._dpo(name, round(num * assumed.paired), ift_row),
                *self._measured(name),
            ]
        return found

    @property
    def _rubric(self) -> int:
        """Tokens of the judge prompt without instruction and response."""
        words = render("judge", self.recipe.judge.template, prompt="", response="").split()
        return round(TOKENS_PER_WORD * len(words))

    def _measured(self, name: str) -> list[Stage]:
        """The evaluation of one model."""
        assumed, wanted = self.recipe.plan, self.recipe.evaluation
        ranked = wanted.num_ranked_sets * self.recipe.seeds.num_ranked_responses
        judged = self._judging(f"{name} eval_judgements", ranked, wanted.votes)
        if not self.recipe.seeds.is_micro:
            return [judged]
        size = (wanted.num_prompts, wanted.num_samples, 0, assumed.prompt_tokens, assumed.response_tokens)
        return [self._generating(f"{name} eval_responses", *size), judged]

    def _judging(self, name: str, responses: int, votes: int) -> Stage:
        assumed = self.recipe.plan
        own = assumed.prompt_tokens + assumed.response_tokens
        return self._generating(name, responses, votes, self._rubric, own, assumed.judgement_tokens)

    def _generating(self, name: str, num: int, samples: int, shared: int, own: int, written: int) -> Stage:
        """`num` prompts of `own` tokens behind `shared` ones that are read once in a batch, `samples` answers to each."""
        s, h, devices = self.shape, self.hardware, self.recipe.plan.devices
        at_once = min(num, self.recipe.engine.batch_size)
        rows, batches, context = at_once * samples, math.ceil(num / at_once), shared + own + written / 2
        kv_bytes = 2 * s.layers * s.kv_width * h.weight_bytes  # of one token
        read = num * own + batches * shared
        flops_read = read * (2 * s.parameters + 2 * s.layers * s.width * (shared + own))
        flops_step = rows * (2 * s.parameters + 4 * s.layers * s.width * context)
        bytes_step = s.parameters * h.weight_bytes + rows * context * kv_bytes
        rate = GENERATE_EFFICIENCY * devices
        step = max(bytes_step / h.bandwidth, flops_step / h.flops) / rate + s.layers * OPS_FORWARD * h.op_s
        seconds = flops_read / h.flops / rate + batches * written * step
        held = s.parameters * h.weight_bytes + rows * ((shared + own + written) * kv_bytes + 4 * s.vocabulary)
        return Stage(name, read, num * samples * written, 0, seconds, held / devices)

    def _sft(self, name: str, rows: int, tokens: int) -> Stage:
        settings = self.recipe.sft
        return self._training(name, rows, tokens, settings.epochs, settings.batch, reference_tokens=0, sides=1)

    def _dpo(self, name: str, pairs: int, row: int) -> Stage:
        settings, tokens = self.recipe.dpo, 2 * pairs * row
        return self._training(name, pairs, tokens, settings.epochs, settings.batch, reference_tokens=tokens, sides=2)

    def _training(
        self, name: str, rows: int, tokens: int, epochs: int, batch: int, reference_tokens: int, sides: int
    ) -> Stage:
        """`epochs` over `rows` of `tokens` in all; a reference model reads `reference_tokens` once before."""
        s, h, devices = self.shape, self.hardware, self.recipe.plan.devices
        length = tokens / max(1, rows) / sides
        attention = 6 * s.layers * s.width * length  # of a token, forward and backward, causal
        recomputed = 4 / 3 if h.is_gpu else 1  # gradient checkpointing runs the forward twice
        flops = epochs * tokens * recomputed * (6 * s.parameters + attention)
        flops += reference_tokens * (2 * s.parameters + attention / 3)
        steps = epochs * math.ceil(rows / batch)
        seconds = flops / (h.flops * TRAIN_EFFICIENCY * devices) + steps * s.layers * OPS_TRAIN * h.op_s
        in_step = batch * sides * length
        # float32 weights, gradients and two moments; one state a layer (checkpointing) or a dozen; logits and theirs
        kept = s.layers * s.width * (2 if h.is_gpu else 12 * 4) + 8 * s.vocabulary
        memory = (16 * s.parameters + in_step * kept) / devices
        return Stage(f"train {name}", 0, 0, epochs * tokens + reference_tokens, seconds, memory)


def _disk_bytes(recipe: Recipe, shape: Shape, total: Mapping[str, float]) -> float:
    """Models in float32, one checkpoint with its two moments while training, and the texts."""
    models = (recipe.rounds + 2) * 4 * shape.parameters
    return models + 12 * shape.parameters + BYTES_PER_TOKEN_OF_TEXT * total["written_tokens"]


def beside(stages: Sequence[Mapping[str, Any]], times: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Predicted stages with the seconds that a run took and predicted / measured; None where it has not run the stage."""
    measured = {str(row["stage"]): float(row["seconds"]) for row in times}
    rows = []
    for stage in stages:
        seconds = measured.get(stage["name"])
        rows.append({**stage, "measured_s": seconds, "ratio": stage["seconds"] / seconds if seconds else None})
    return rows


def render_plan(found: Mapping[str, Any], console: Any) -> None:
    """Prints a plan; with measured seconds beside the predicted where its stages have them."""
    from rich.table import Table
    from rich.text import Text

    hardware, total = found["hardware"], found["total"]
    rates = f"{_short(hardware['flops'])}FLOP/s, {_short(hardware['bandwidth'])}B/s"
    where = f"{hardware['devices']} x {hardware['name']} ({rates})"
    table = Table(title=Text(f"{found['recipe']} on {where}"), title_justify="left", caption_justify="left")
    columns = ["stage", "read tokens", "written", "trained on", "time", "memory"]
    compared = any("measured_s" in stage for stage in found["stages"])
    for column in [*columns, *(["measured", "ratio"] if compared else [])]:
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in [*found["stages"], {"name": "total", **total}]:
        row = [stage["name"], *(_short(stage[f"{kind}_tokens"]) for kind in ("read", "written", "trained"))]
        row += [_duration(stage["seconds"]), f"{_short(stage['memory_bytes'])}B"]
        if compared:
            measured, ratio = stage.get("measured_s"), stage.get("ratio")
            row += [_duration(measured) if measured else "-", f"{ratio:.2f}" if ratio else "-"]
        table.add_row(*map(Text, row))
    notes = [f"disk: {_short(found['disk_bytes'])}B"]
    if found["cost"] is not None:
        notes.append(f"a served judge: {found['cost']:.2f} in the currency of plan.judge_price")
    if compared:
        notes.append("ratio: predicted / measured")
    table.caption = Text("; ".join(notes))
    console.print(table)
    if not found["fits"]:
        memory = f"{_short(hardware['memory_bytes'])}B"
        console.print(Text(f"Does not fit into {memory} a device: take more devices or smaller batches.", "yellow"))


def _short(number: float) -> str:
    """`7.2G` of 7.2e9."""
    for factor, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {letter}"
    return f"{number:.3g} "


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
