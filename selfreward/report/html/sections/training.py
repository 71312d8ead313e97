"""What every training logged: loss, and for DPO margins and the log-probs of both sides."""

from collections.abc import Mapping
from typing import Any

from selfreward import store
from selfreward.report.html.blocks import Block, Figure, Row, Section, Table, Text
from selfreward.report.html.plots import Curve, curves
from selfreward.report.html.plots.curves import thinned
from selfreward.report.html.run import Run
from selfreward.report.html.words import NOTHING, listed, model, number

_LEAD = (
    "The loss is what training makes smaller. With DPO, the margin says how much likelier the chosen response has "
    "become than the rejected one, compared with the model before the round; it should rise. The log-probs say how "
    "likely the model finds both responses themselves: if both fall far, the model unlearns more than it learns."
)
_LN2 = 0.6931
_SHOWN = (
    ("loss", "loss"),
    ("rewards/margins", "margin"),
    ("rewards/accuracies", "pairs in order"),
    ("logps/chosen", "log-prob, chosen"),
    ("logps/rejected", "log-prob, rejected"),
)
_MOST_ROWS = 40


def training(run: Run) -> Section:
    """The seventh section."""
    logged = {name: steps_of(run.metrics, name) for name in run.models}
    drawn = [_figure(run, name, steps) for name, steps in logged.items() if steps]
    losses_alone = [figure for figure in drawn if len(figure.plots) == 1]
    blocks: list[Block] = [Row(losses_alone)] if losses_alone else []
    blocks += [figure for figure in drawn if len(figure.plots) > 1]
    silent = [model(name) for name, steps in logged.items() if not steps]
    if silent:
        said = f"Nothing is logged of the training of {listed(silent)}: it has not begun, or its log was not kept."
        blocks.append(Text(said, "missing"))
    if not run.models:
        blocks.append(Text("Nothing has been trained yet.", "missing"))
    return Section("training", "Training", _LEAD, blocks)


def steps_of(metrics: list[dict[str, Any]], name: str) -> dict[int, dict[str, float]]:
    """What a model's training logged, by step in order; of a step that an interrupted launch had logged, the last."""
    found: dict[int, dict[str, float]] = {}
    for line in metrics:
        if line.get("model") == name and isinstance(line.get("step"), int):
            numbers = {key: float(value) for key, value in line.items() if isinstance(value, int | float)}
            found[line["step"]] = numbers
    return dict(sorted(found.items()))


def _figure(run: Run, name: str, steps: Mapping[int, Mapping[str, float]]) -> Figure:
    lesson = run.json(f"{name}/{store.LESSON_FILE}")
    is_dpo = lesson["method"] == "dpo" if "method" in lesson else any("rewards/margins" in s for s in steps.values())
    is_plain = is_dpo and "loss" not in lesson and lesson.get("start") == lesson.get("reference")
    first = next((float(m["first_loss"]) for m in run.metrics if m.get("model") == name and "first_loss" in m), None)
    loss = [*([(0.0, first)] if first is not None else []), *_points(steps, "loss")]
    plots = [curves("Loss", [Curve("loss", loss, 0)], (_LN2, "ln 2: nothing learned") if is_plain else None)]
    if is_dpo:
        plots.append(curves("Margin", [Curve("margin", _points(steps, "rewards/margins"), 2)]))
        both = [
            Curve("chosen", _points(steps, "logps/chosen"), 0),
            Curve("rejected", _points(steps, "logps/rejected"), 1),
        ]
        plots.append(curves("Log-prob of a response", both))
    keys = [(key, title) for key, title in _SHOWN if any(key in logged for logged in steps.values())]
    every = max(1, -(-len(steps) // _MOST_ROWS))
    kept = [step for i, step in enumerate(steps) if i % every == 0 or i == len(steps) - 1]
    rows = [
        [f"{step}", *(number(steps[step][k], 4) if k in steps[step] else NOTHING for k, _ in keys)] for step in kept
    ]
    title = f"Steps of {model(name)}" + (f", every {every}th that was logged" if every > 1 else "")
    return Figure(
        f"Training of {model(name)}",
        plots,
        _caption(name, lesson, is_dpo) + _stopped(run.tables["early_stopping"].get(name)),
        Table(title, ("step", *(title for _, title in keys)), rows),
    )


def _points(steps: Mapping[int, Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    return thinned([(float(step), logged[key]) for step, logged in steps.items() if key in logged])


def _stopped(found: Mapping[str, Any] | None) -> str:
    """Which snapshot of a training became the model, where snapshots were compared."""
    if not found:
        return ""
    last = (found.get("steps") or [NOTHING])[-1]
    return f" Of its snapshots that of step {found.get('chosen')} of {last} became the model: {found.get('why')}."


def _model(k: Any) -> str:
    return model(store.model_name(k)) if isinstance(k, int) else "a model that is not recorded"


def _caption(name: str, lesson: Mapping[str, Any], is_dpo: bool) -> str:
    if not lesson:
        return "What it was taught is not recorded."
    start = _model(lesson.get("start"))
    if is_dpo:
        options = ", ".join(f"{key} {value}" for key, value in (lesson.get("loss") or {}).items())
        loss = f" Its loss is not DPO's own: {options}." if options else ""
        return (
            f"{model(name)} was made from {start} by DPO on {number(lesson.get('num_pairs'))} pairs, with "
            f"{_model(lesson.get('reference'))} as the model that it is compared with.{loss}"
        )
    return f"{model(name)} was made from {start} by supervised fine-tuning on {number(lesson.get('num_examples'))} examples."
