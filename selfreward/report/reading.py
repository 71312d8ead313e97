"""What a run folder holds, as plain tables: dicts that go to JSON, to a terminal or into a page.

A run that is not finished, or whose files are partly damaged, gives what is there; what could not be read is named
under `problems`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.errors import BadInput
from selfreward.report.paper_figures import HEAD_TO_HEAD, REWARD_MODELLING

Table = dict[str, Any]
ROUND_FILES = (
    store.ATTEMPTS_FILE,
    store.PROMPTS_FILE,
    store.RESPONSES_FILE,
    store.JUDGEMENTS_FILE,
    store.PAIRS_FILE,
)


def tables(folder: Path) -> Table:
    """All tables of a run; BadInput where `folder` is no folder.

    `seeds` has what was read, left out and used, by part (ift, ranked, evaluation, eft).
    `summary` has a row for each measured model, the reward model last, with None for what is missing. `capability`,
    `judge_health`, `counts`, `lines` and `early_stopping` are by model; `by_family`, `by_complexity` and `by_point` by group,
    then model; `reward_modelling` by truth, tie policy, metric, then model; `head_to_head`, `alarms`, `time` and `torn`, the
    lines that kills had torn, are lists.
    """
    if not folder.is_dir():
        raise BadInput("no such run", folder, "start one with: selfreward run micro")
    problems: list[str] = []
    models = _models(folder)
    evaluations = {model: _json(folder / model / store.EVAL_FILE, problems) for model in models}
    rewarding = _json(folder / store.REWARD_MODEL_FOLDER / store.EVAL_FILE, problems)
    judges = {**evaluations, **({store.REWARD_MODEL_FOLDER: rewarding} if rewarding else {})}
    metrics = _metrics(folder / store.METRICS_FILE, problems)
    trained = _trained(metrics)
    capabilities = {model: _mapping(found.get("capability")) for model, found in evaluations.items()}
    return {
        "run": folder.resolve().name,
        "models": models,
        "seeds": _seeds(folder / store.SEED_FOLDER, problems),
        "not_evaluated": [model for model, found in evaluations.items() if not found],
        "summary": [_summary(model, found) for model, found in judges.items() if found],
        "capability": {model: _measures(found) for model, found in capabilities.items() if found},
        "by_family": _by_group(capabilities, "by_family"),
        "by_complexity": _by_group(capabilities, "by_complexity"),
        "by_point": _by_point(capabilities),
        "head_to_head": _head_to_head(evaluations),
        "reward_modelling": _reward_modelling(judges),
        "paper_reward_modelling": REWARD_MODELLING,
        "judge_health": {model: health for model in models if (health := _health(evaluations[model]))},
        "counts": {
            model: found
            for model in (*models, store.REWARD_MODEL_FOLDER)
            if (found := _counts(folder, model, judges.get(model, {}), trained.get(model, {}), problems))
        },
        "early_stopping": {
            model: found for model in models if (found := _json(folder / model / store.EARLY_STOPPING_FILE, problems))
        },
        "lines": {model: lines for model in models if (lines := _lines(folder / model))},
        "alarms": alarms(metrics),
        "time": _time(metrics),
        "torn": [{"file": line["torn"], "bytes": line.get("bytes")} for line in metrics if "torn" in line],
        "problems": problems,
    }


def summaries(folder: Path) -> list[Table]:
    """The `summary` of `tables` alone: nothing is read but the measurements; what of them is damaged is left out."""
    found = {model: _json(folder / model / store.EVAL_FILE, []) for model in _models(folder)}
    return [_summary(model, evaluation) for model, evaluation in found.items() if evaluation]


def place(model: str) -> int:
    """The k of a model's name: -1 for sft, 2 for m2."""
    return -1 if model == "sft" else int(model[1:])


def _models(folder: Path) -> list[str]:
    """The models that have a folder in the run, sft first."""
    names = [entry.name for entry in folder.iterdir() if entry.is_dir() and re.fullmatch(r"sft|m[0-9]+", entry.name)]
    return sorted(names, key=place)


def _json(path: Path, problems: list[str]) -> dict[str, Any]:
    """A JSON object; empty, with a problem noted, where there is a file that holds none."""
    if not path.exists():
        return {}
    try:
        return store.read_json(path)
    except BadInput as error:
        problems.append(str(error))
        return {}


def _mapping(value: Any) -> dict[str, Any]:
    """A part of a file that may be missing."""
    return value if isinstance(value, dict) else {}


def _health(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    return _mapping(evaluation.get("judge_health"))


def _summary(model: str, evaluation: Mapping[str, Any]) -> Table:
    """What a person asks first of a model: its answers, against the baseline's, and its judgements, ties worth half.

    The judgements are compared with the oracle's ranks, or with people's where there is no oracle.
    """
    measures = _measures(_mapping(evaluation.get("capability")))
    judged = _mapping(evaluation.get("reward_modelling"))
    truth = next((name for name in ("oracle", "human") if name in judged), None)
    right = _mapping(_mapping(judged.get(truth)).get("half")) if truth else {}
    return {
        "model": model,
        **{name: measures.get(name) for name in ("score", "perfect", "length_words")},
        "against_sft": _mapping(_mapping(evaluation.get("head_to_head")).get("sft")) or None,
        "judge_truth": truth,
        "judge_pairwise_accuracy": _mapping(right.get("pairwise_accuracy")) or None,
    }


def _measures(capability: Mapping[str, Any]) -> Table:
    """What was measured over all prompts: everything with a mean."""
    return {name: value for name, value in capability.items() if isinstance(value, dict) and "mean" in value}


def _by_group(capabilities: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Table]:
    """Mean scores by group and model; numbered groups in the order of their numbers."""
    found: dict[str, Table] = {}
    for model, capability in capabilities.items():
        for group, values in _mapping(capability.get(name)).items():
            if score := _mapping(_mapping(values).get("score")):
                found.setdefault(group, {})[model] = score
    return dict(sorted(found.items(), key=lambda item: (len(item[0]) if item[0].isdecimal() else 0, item[0])))


def _by_point(capabilities: Mapping[str, Mapping[str, Any]]) -> dict[str, Table]:
    """The share of responses, 0..1, that earn each of the five points, by point and model; older runs have a number."""
    found: dict[str, Table] = {}
    for model, capability in capabilities.items():
        for point, share in _mapping(capability.get("by_point")).items():
            found.setdefault(point, {})[model] = share
    return found


def _head_to_head(evaluations: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """One row per pair of models, ours and the paper's, in percent."""
    rows = []
    for model, found in evaluations.items():
        for against, ours in sorted(_mapping(found.get("head_to_head")).items()):
            if isinstance(ours, dict):
                paper = HEAD_TO_HEAD.get((model, against))
                published = dict(zip(("win", "tie", "lose"), paper, strict=True)) if paper else None
                rows.append({**ours, "model": model, "against": against, "paper": published})
    return rows


def _reward_modelling(evaluations: Mapping[str, Mapping[str, Any]]) -> Table:
    """`{truth: {policy: {metric: {model: {value, ci95, n}}}}}`."""
    found: Table = {}
    for model, evaluation in evaluations.items():
        for truth, policies in _mapping(evaluation.get("reward_modelling")).items():
            for policy, metrics in _mapping(policies).items():
                for metric, value in _mapping(metrics).items():
                    if isinstance(value, dict) and "value" in value:
                        by_metric = found.setdefault(truth, {}).setdefault(policy, {})
                        by_metric.setdefault(metric, {})[model] = value
    return found


def _counts(
    folder: Path, model: str, evaluation: Mapping[str, Any], trained: Mapping[str, Any], problems: list[str]
) -> dict[str, float]:
    """What the stages of a round counted, nested names joined by a slash: `prompts/too_long`."""
    counted = _json(folder / model / store.COUNTS_FILE, problems)
    return _flat({**counted, "training": trained, "own_prompts": evaluation.get("own_prompts")})


def _trained(metrics: list[Table]) -> dict[str, Table]:
    """By model: the rows it was trained on and those left out as too long, as its last launch counted them."""
    return {
        str(line.get("model")): {"rows": line.get("num_rows"), "too_long": line["num_dropped"]}
        for line in metrics
        if "num_dropped" in line
    }


def _seeds(folder: Path, problems: list[str]) -> dict[str, dict[str, float]]:
    """What the making of each part of the seeds counted; parts with no counts are left out."""
    counted = _json(folder / store.COUNTS_FILE, problems)
    return {part: flat for part, counts in counted.items() if (flat := _flat(_mapping(counts)))}


def _flat(counts: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in counts.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}/"))
        elif isinstance(value, int | float):
            flat[prefix + name] = value
    return flat


def _lines(folder: Path) -> dict[str, int]:
    """Whole lines of each file of a round: how far it got. A line of responses.jsonl holds all samples of a prompt."""
    return {path.name: _num_lines(path) for name in ROUND_FILES if (path := folder / name).is_file()}


def _num_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _metrics(path: Path, problems: list[str]) -> list[Table]:
    """The lines of the metrics; none, with a problem noted, where they cannot be read."""
    try:
        return [line for line in store.read_rows(path) if isinstance(line, dict)]
    except BadInput as error:
        problems.append(str(error))
        return []


def alarms(metrics: list[Table]) -> list[Table]:
    """What the guards of the run had to say: of each model and guard, the last."""
    return list({(line.get("model"), line["guard"]): line for line in metrics if "guard" in line}.values())


def _time(metrics: list[Table]) -> list[Table]:
    """Seconds and items of each stage, all attempts together, in the order in which the stages first ended."""
    stages: dict[str, Table] = {}
    for line in metrics:
        if "stage" in line and isinstance(line.get("seconds"), int | float):
            name = str(line["stage"])
            row = stages.setdefault(name, {"stage": name, "seconds": 0.0, "items": 0})
            row["seconds"] += line["seconds"]
            row["items"] += line.get("items") or 0
    return list(stages.values())
