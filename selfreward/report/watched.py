"""A running run on a terminal: its stage with rate and time left, the last alarms, the newest scores."""

import time

from rich.console import Group, RenderableType

from selfreward.following import Moment, Stage
from selfreward.report.cells import NOTHING, add_row, bar, estimate, new_table, number, plain

MOST_ALARMS = 3
BAR_WIDTH = 30
_STATES = {"running": "green", "finished": "bold", "stopped": "yellow"}


def render_moment(name: str, moment: Moment) -> RenderableType:
    """All that is shown of a run at one moment."""
    parts: list[RenderableType] = [plain(f"Run {name}: {moment.state}", _STATES[moment.state])]
    if moment.stage is not None:
        parts.append(plain(stage_line(moment.stage)))
        if moment.stage.total:
            share = moment.stage.done / moment.stage.total
            parts.append(plain(f"{bar(share, BAR_WIDTH):░<{BAR_WIDTH}} {min(share, 1):.0%}"))
    if moment.state == "running" and moment.changed is not None:
        parts.append(plain(f"last change {duration(max(0, time.time() - moment.changed))} ago", "dim"))
    for alarm in moment.alarms[-MOST_ALARMS:]:
        parts.append(plain(f"Alarm {alarm.get('model')}: {alarm.get('said')} (guards.{alarm['guard']}).", "yellow"))
    if moment.scores:
        table = new_table("Measured", "model", ("score, 0-5", "net v sft", "judge right %"))
        for row in moment.scores:
            game = row["against_sft"] or {}
            right = estimate(row["judge_pairwise_accuracy"], 1, 100)
            add_row(table, row["model"], estimate(row["score"], 2), number(game.get("net"), 1), right)
        parts.append(table)
    return Group(*parts)


def stage_line(stage: Stage) -> str:
    """`m2 judgements: 512 of 5200, 136/s, 34 s left`."""
    if stage.is_over:
        return f"{stage.name}: {stage.done:,}, done"
    of = f" of {stage.total:,}" if stage.total else ""
    rate = f", {stage.rate:.3g}/s" if stage.rate else ""
    left = "" if stage.left_s is None else f", {duration(stage.left_s)} left"
    return f"{stage.name}: {stage.done:,}{of}{rate}{left}"


def duration(seconds: float | None) -> str:
    """`12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`; a dash for none."""
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
