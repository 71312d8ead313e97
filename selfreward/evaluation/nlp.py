"""The paper's NLP benchmarks through lm-eval, and tasks from files (arXiv 2401.10020, section 3.2; the extra `eval`).

A model is asked as a plain language model, without its chat template, as is usual for these.
"""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationInfo, field_validator

from selfreward.errors import BadInput, nearest
from selfreward.evaluation.extras import require
from selfreward.evaluation.given import Row, read_given
from selfreward.recipe import EngineOptions
from selfreward.statistics import wilson
from selfreward.store import RunFolder

PREFERRED = (
    "acc_norm",
    "acc",
    "exact_match",
)  # metrics that are shares of questions, of one's own tasks the first it has


@dataclass(frozen=True)
class NlpTask:
    """A task as lm-eval takes it."""

    name: str  # as a person gave it
    spec: str | dict[str, Any]  # lm-eval's name, or a configuration
    metric: str | None = None  # None: the first of PREFERRED
    shots: int | None = None  # examples before each question; None: the task's own number

    @property
    def result(self) -> str:
        """The name under which lm-eval gives the result."""
        return self.spec if isinstance(self.spec, str) else str(self.spec["task"])


# The paper tells neither metrics nor numbers of examples. Those of Llama 2's report (arXiv 2307.09288), whose figures the paper's
# row of Llama 2 repeats, are taken for the examples, and what is usual with lm-eval for the metrics.
TASKS = {
    task.name: task
    for task in (
        NlpTask("ARC-E", "arc_easy", "acc", 0),
        NlpTask("ARC-C", "arc_challenge", "acc_norm", 0),
        NlpTask("HellaSwag", "hellaswag", "acc_norm", 0),
        NlpTask("SIQA", "social_iqa", "acc", 0),
        NlpTask("PIQA", "piqa", "acc", 0),
        NlpTask("GSM8K", "gsm8k", "exact_match", 8),
        NlpTask("MMLU", "mmlu", "acc", 5),
        NlpTask("OBQA", "openbookqa", "acc_norm", 0),
        NlpTask("NQ", "nq_open", "exact_match", 0),
    )
}


class Choice(Row):
    """A question with several answers, one of them right; a line of a task of one's own."""

    question: str
    choices: Annotated[list[str], Field(min_length=2)]
    answer: Annotated[int, Field(ge=0)]  # the place of the right one, 0 the first

    @field_validator("answer")
    @classmethod
    def _among_them(cls, answer: int, info: ValidationInfo) -> int:
        num_choices = len(info.data.get("choices", ()))
        if num_choices and answer >= num_choices:
            raise ValueError(f"is not among the places of {num_choices} choices, of which 0 is the first")
        return answer


def nlp(model: Path, names: Sequence[str], limit: int | None = None) -> dict[str, Any]:
    """`{model, lm_eval, limit, tasks}`: for each task `value` in 0..1 with `ci95`, `n`, `metric`, `shots` and lm-eval's `task`.

    `model` is RUN/mK; `names` are the paper's, lm-eval's, or paths of .jsonl or .yaml files. A value is None where a task gives
    none of the metrics that are known. BadInput, before the model is loaded, for what is not installed, not known or not to be
    had.
    """
    run = RunFolder(model.parent)
    recipe, folder = run.recipe(), run.model_path(model.name)
    tasks = [task_of(name) for name in names]
    for shown in ([task.name for task in tasks], [task.result for task in tasks]):
        if twice := sorted({name for name in shown if shown.count(name) > 1}):
            raise BadInput(f"several tasks are called {' and '.join(twice)}", "--tasks", "give each another name")
    require(["lm_eval"], "eval nlp")
    with contextlib.redirect_stdout(sys.stderr):  # libraries print; stdout is for results
        manager = _load(tasks)
        lm = _open(folder, recipe.engine)
        found = {task.name: _measure(lm, manager, task, limit) for task in tasks}
    import lm_eval

    return {"model": str(model), "lm_eval": lm_eval.__version__, "limit": limit, "tasks": found}


def task_of(name: str) -> NlpTask:
    """The task of a name: the paper's in any case, a path, or lm-eval's as it is. BadInput for a file that cannot be used."""
    by_name = {known.lower(): task for known, task in TASKS.items()}
    if name.lower() in by_name:
        return by_name[name.lower()]
    path = Path(name)
    if path.suffix == ".jsonl":
        return NlpTask(path.stem, _multiple_choice(path))
    if path.suffix in (".yaml", ".yml"):
        values = _configuration(path)
        return NlpTask(values["task"], values)
    return NlpTask(name, name)


def _multiple_choice(path: Path) -> dict[str, Any]:
    read_given(path, Choice)
    return {
        "task": path.stem,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path.resolve())}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
    }


def _configuration(path: Path) -> dict[str, Any]:
    """A task's own configuration; one that would run Python code (`!function`) is not read."""
    try:
        values = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", path) from None
    except yaml.constructor.ConstructorError as error:
        raise BadInput(f"not plain values: {error.problem}", path, "a task from a file runs no code") from None
    except yaml.YAMLError as error:
        raise BadInput(f"not YAML: {str(error).splitlines()[0]}", path) from None
    if not isinstance(values, dict) or not isinstance(values.get("task"), str):
        raise BadInput("not a task of lm-eval: it has no name", path, "begin it with `task: NAME`")
    return values


def _load(tasks: Sequence[NlpTask]) -> Any:
    """lm-eval's index of tasks, once the data of all of ours have been loaded."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(
        include_defaults=any(isinstance(task.spec, str) for task in tasks)
    )  # reads thousands of files
    for task in tasks:
        if isinstance(task.spec, str) and task.spec not in manager.all_tasks:
            raise BadInput(f"unknown task {task.name!r}", "--tasks", nearest(task.name, [*TASKS, *manager.all_tasks]))
        if task.spec in manager.all_tags:
            raise BadInput(f"{task.name!r} stands for several tasks", "--tasks", "name them one by one")
        try:
            manager.load([task.spec])
        except Exception as error:  # lm-eval and datasets let those of a dozen others through
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BadInput(
                f"cannot be loaded: {line}", task.name, "its data come from the hub, or from a file"
            ) from error
    return manager


def _open(folder: str, engine: EngineOptions) -> Any:
    """The model of a folder as lm-eval asks it."""
    from lm_eval.models.huggingface import HFLM

    from selfreward.chat import load_tokenizer
    from selfreward.engines.local import load_model

    model = load_model(folder, engine.dtype, engine.device, engine.trust_remote_code)
    tokenizer = load_tokenizer(folder, engine.trust_remote_code)
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=engine.batch_size)


def _measure(lm: Any, manager: Any, task: NlpTask, limit: int | None) -> dict[str, Any]:
    import lm_eval

    results = lm_eval.simple_evaluate(
        model=lm, tasks=[task.spec], num_fewshot=task.shots, task_manager=manager, limit=limit, log_samples=False,
        bootstrap_iters=0,
    )  # fmt: skip
    return figure(task, results)


def figure(task: NlpTask, results: Mapping[str, Any]) -> dict[str, Any]:
    """What a task's metric is in what lm-eval returns: of several filters of an answer, by the first. None where it has none."""
    given = results["results"].get(task.result, {})
    by_metric = {key.partition(",")[0]: value for key, value in reversed(given.items()) if isinstance(value, float)}
    metric = next((name for name in ([task.metric] if task.metric else PREFERRED) if name in by_metric), None)
    value, n = by_metric.get(metric), _num_questions(task.result, results)
    return {
        "task": task.result,
        "metric": metric,
        "value": value,
        "ci95": None if value is None else wilson(value * n, n),
        "n": n,
        "shots": results["n-shot"].get(task.result, task.shots),
    }


def _num_questions(name: str, results: Mapping[str, Any]) -> int:
    """Of a task, or of all tasks in a group."""
    if name in results["n-samples"]:
        return int(results["n-samples"][name]["effective"])
    return sum(_num_questions(inner, results) for inner in results.get("group_subtasks", {}).get(name, ()))
