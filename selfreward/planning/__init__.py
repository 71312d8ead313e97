"""What a recipe will cost, before anything runs: tokens, time, memory, disk and money, stage by stage.

`stages` has the formulas, `shape` what they know of the model, `hardware` what of the device.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from selfreward.errors import BadInput
from selfreward.planning.hardware import HARDWARE, Hardware, hardware_named, measure
from selfreward.planning.printing import beside, render_plan
from selfreward.planning.shape import shape_of
from selfreward.planning.stages import Estimator, priced_alike
from selfreward.recipe import Recipe

__all__ = ["HARDWARE", "Hardware", "beside", "measure", "plan", "render_plan", "shape_of"]

BYTES_PER_TOKEN_OF_TEXT = 8  # JSONL repeats texts: a response stands in its own file and in the judgements


def plan(recipe: Recipe, hardware: Hardware | None = None) -> dict[str, Any]:
    """The predicted `stages` of a recipe, their `total`, `disk_bytes`, `cost` and what was assumed.

    `hardware` is that of `recipe.plan` where none is given. BadInput where the model's shape or the hardware is
    unknown, and for the price of a judge that is none.
    """
    hardware = hardware or hardware_named(recipe.plan.hardware)
    shape = recipe.plan.shape or shape_of(recipe.model)
    estimator = Estimator(recipe, shape, hardware)
    stages = estimator.stages()
    total = {
        name: math.fsum(getattr(stage, name) for stage in stages)
        for name in ("read_tokens", "written_tokens", "trained_tokens", "seconds")
    }
    price = recipe.plan.judge_price
    served = [stage for stage in stages if stage.elsewhere]
    if price and not served:
        todo = "give it one in judge.engine, or leave the price out"
        raise BadInput("is the price of a judge with a server of its own", "plan.judge_price", todo)
    return {
        "recipe": recipe.name,
        "hardware": asdict(hardware) | {"devices": recipe.plan.devices},
        "training": recipe.training.model_dump(include={"processes", "config"}),
        "shape": shape.model_dump(),
        "assumed": recipe.plan.model_dump(exclude={"shape", "hardware", "devices"}),
        "priced_as_self_rewarding": priced_alike(recipe),
        "stages": [asdict(stage) for stage in stages],
        "total": total | {"memory_bytes": max(stage.memory_bytes for stage in stages)},
        "fits": all(stage.memory_bytes <= hardware.memory_bytes for stage in stages),
        "disk_bytes": _disk_bytes(estimator, total),
        "cost": price and math.fsum(s.read_tokens * price[0] + s.written_tokens * price[1] for s in served) / 1e6,
    }


def _disk_bytes(estimator: Estimator, total: Mapping[str, float]) -> float:
    """Models and a training's snapshots in float32, one checkpoint of what is trained with its two moments, and the texts."""
    models = (estimator.recipe.rounds + 2 + max(0, estimator.num_snapshots - 1)) * 4 * estimator.shape.parameters
    return models + 12 * estimator.trained_parameters + BYTES_PER_TOKEN_OF_TEXT * total["written_tokens"]
