"""NLP benchmarks through lm-eval: names and files become tasks, results become rates with intervals."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.evaluation import extras
from selfreward.evaluation import nlp as benchmark
from selfreward.evaluation.nlp import TASKS, NlpTask, figure, nlp, task_of
from selfreward.recipe import Recipe, to_yaml
from selfreward.report.paper_figures import NLP
from selfreward.statistics import wilson

QUESTION = {"question": "the cat sees", "choices": ["the dog", "a tree", "is"], "answer": 1}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def results(name: str, figures: dict[str, Any], **more: Any) -> dict[str, Any]:
    samples = {name: {"original": 20, "effective": 10}}
    return {"results": {name: figures}, "n-samples": samples, "n-shot": {name: 5}, **more}


def test_the_papers_names_are_known_in_any_case_and_all_of_them() -> None:
    assert TASKS.keys() == NLP.keys()
    assert task_of("arc-e") is TASKS["ARC-E"] and task_of("mmlu").result == "mmlu"
    assert task_of("winogrande") == NlpTask("winogrande", "winogrande")


def test_a_file_of_questions_is_a_task_of_its_own(tmp_path: Path) -> None:
    task = task_of(write(tmp_path / "mine.jsonl", QUESTION))
    assert isinstance(task.spec, dict) and (task.name, task.result, task.shots) == ("mine", "mine", None)
    assert Path(task.spec["dataset_kwargs"]["data_files"]["test"]).is_absolute()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**QUESTION, "answer": 3}, "answer: is not among the places of 3 choices"),
        ({**QUESTION, "choices": ["one"]}, "choices"),
        ({"question": "q", "choices": ["a", "b"]}, "answer"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        task_of(write(tmp_path / "mine.jsonl", row))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: x\nprocess_docs: !function os.system\n", "runs no code"),
        ("dataset_path: json\n", "it has no name"),
        ("task: [", "not YAML"),
    ],
)
def test_a_configuration_that_runs_code_or_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        task_of(str(path))
    with pytest.raises(BadInput, match="No such file"):
        task_of(str(tmp_path / "none.yaml"))


def test_a_rate_has_its_metric_interval_and_number_of_questions() -> None:
    found = figure(TASKS["ARC-C"], results("arc_challenge", {"alias": "x", "acc,none": 0.4, "acc_norm,none": 0.7}))
    assert found == {
        "task": "arc_challenge", "metric": "acc_norm", "value": 0.7, "ci95": wilson(0.7 * 10, 10), "n": 10, "shots": 5
    }  # fmt: skip


def test_of_several_ways_to_read_an_answer_the_first_counts() -> None:
    given = {
        "exact_match,strict-match": 0.2,
        "exact_match_stderr,strict-match": 0.1,
        "exact_match,flexible-extract": 0.9,
    }
    assert figure(TASKS["GSM8K"], results("gsm8k", given))["value"] == 0.2


def test_a_group_has_the_questions_of_all_its_tasks() -> None:
    given = results("mmlu", {"acc,none": 0.5}, group_subtasks={"mmlu": ["stem", "c"], "stem": ["a", "b"]})
    given["n-samples"] = {name: {"effective": n} for name, n in (("a", 1), ("b", 2), ("c", 4), ("other", 8))}
    assert figure(TASKS["MMLU"], given)["n"] == 7


def test_a_task_without_a_known_metric_has_no_value() -> None:
    found = figure(NlpTask("x", "x"), results("x", {"perplexity,none": 12.0}))
    assert (found["value"], found["metric"], found["ci95"]) == (None, None, None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "run" / "m1" / "model").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text(to_yaml(Recipe(name="x")))
    return tmp_path / "run" / "m1"


def test_what_is_not_installed_is_named_in_one_line(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    ended = CliRunner().invoke(app, ["eval", "nlp", str(model)])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "eval nlp: needs lm_eval, which is not installed" in ended.stderr
    assert "pip install 'selfreward[eval]'" in ended.stderr and ended.stderr.count("\n") == 1


def test_two_tasks_of_one_name_are_refused(model: Path, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.jsonl", QUESTION)
    (tmp_path / "other.yaml").write_text("task: mine\n")
    for names in (["ARC-E", "arc-e"], ["HellaSwag", "hellaswag"], [mine, str(tmp_path / "other.yaml")]):
        with pytest.raises(BadInput, match="several tasks are called"):
            nlp(model, names)


def test_the_papers_rows_stand_beside_ours(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def measured(*words: Any) -> dict[str, Any]:
        asked.append(words)
        tasks = {"ARC-C": figure(TASKS["ARC-C"], results("arc_challenge", {"acc_norm,none": 0.7}))}
        return {"model": "run/m1", "lm_eval": "0", "limit": 3, "tasks": tasks}

    monkeypatch.setattr(benchmark, "nlp", measured)
    shown = CliRunner().invoke(
        app, ["eval", "nlp", str(model), "--tasks", "ARC-C,x.jsonl", "--tasks", "y", "--limit", "3"]
    )
    assert shown.exit_code == 0, shown.output
    assert "70.00 ±" in shown.stdout and "57.51" in shown.stdout and "a trial, no result" in shown.stdout
    CliRunner().invoke(app, ["eval", "nlp", str(model)])
    assert asked == [(model, ["ARC-C", "x.jsonl", "y"], 3), (model, list(TASKS), None)]


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="the extra `eval` is not installed: lm_eval")
def test_a_file_of_questions_is_answered_offline(
    model: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval's accuracy is that of the likeliest choice under the model, which transformers gives without it."""
    import torch

    from selfreward.engines.local import load_model

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.copytree(tiny_model, model / "model", dirs_exist_ok=True)
    rows = [
        {**QUESTION, "question": f"the {word} sees", "answer": i % 3}
        for i, word in enumerate(["cat", "dog", "tree"] * 2)
    ]
    path = write(model.parent / "mine.jsonl", *rows)
    ended = CliRunner().invoke(app, ["eval", "nlp", str(model), "--tasks", path, "--json"])
    assert ended.exit_code == 0, ended.output + repr(ended.exception)
    found = json.loads(ended.stdout)["tasks"]["mine"]
    assert (found["n"], found["shots"]) == (6, 0)
    from transformers import AutoTokenizer

    tokenizer, weights = AutoTokenizer.from_pretrained(tiny_model), load_model(tiny_model)

    def loglik(question: str, choice: str) -> float:
        before, ids = (tokenizer.encode(text, add_special_tokens=False) for text in (question, question + choice))
        logprobs = weights(torch.tensor([ids])).logits[0].log_softmax(-1)
        return float(sum(logprobs[i - 1, ids[i]] for i in range(len(before), len(ids))))

    right = 0.0
    for row in rows:
        given = [loglik(row["question"], f" {choice}") / len(choice) for choice in row["choices"]]
        right += given.index(max(given)) == row["answer"]
    assert found["metric"] == "acc_norm" and found["value"] == pytest.approx(right / 6)
