"""A plan as a table, alone or beside the times of a run."""

from collections.abc import Mapping, Sequence
from typing import Any


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
    processes, devices = found["training"]["processes"], hardware["devices"]
    if processes > 1:
        notes.append(f"training in {processes} processes ({found['training']['config']})")
    elif devices > 1:
        notes.append(f"training takes one of the {devices} devices (training.processes)")
    if any(stage["elsewhere"] for stage in found["stages"]):
        notes.append("the judge of the rounds has an engine of its own, which takes no time or memory here")
    if alike := found["priced_as_self_rewarding"]:
        notes.append(f"{', '.join(alike)}: priced as self_rewarding, though its stages differ")
    if found["cost"] is not None:
        notes.append(f"a served judge: {found['cost']:.2f} in the currency of plan.judge_price")
    if compared:
        notes.append("ratio: predicted / measured")
    table.caption = Text("; ".join(notes))
    console.print(table)
    if not found["fits"]:
        memory = f"{_short(hardware['memory_bytes'])}B"
        todo = "take more devices, or processes to train in, or smaller batches"
        console.print(Text(f"Does not fit into {memory} a device: {todo}.", "yellow"))


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
