"""Runs beside one another: paired by prompt or by seed, and never across different measurements unless forced."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.judges.votes import make_judgement
from selfreward.recipe import load_recipe, to_yaml
from selfreward.records import Judgement, RankedResponse, RankedSet, Response, Vote, digest
from selfreward.report.comparing import compare
from selfreward.responses import Responses, ranked_responses
from selfreward.statistics import mean_ci

CLI = CliRunner()
TEXTS = {5: "List: fox, cat.", 4: "List: fox, cat", 3: "List: hammer, fox, cat"}


def task(number: int) -> str:
    """Different instructions whose answers TEXTS earn the points that are their keys."""
    return f"Name some animals. Include the word {('fox', 'cat')[number % 2]}." if number else "Name some animals."


SETS = [
    RankedSet(
        id=f"set{i}",
        prompt="Name some animals.",
        responses=(RankedResponse(text=TEXTS[5], rank=0), RankedResponse(text=TEXTS[3], rank=1)),
    )
    for i in range(2)
]


def sampled(model: str, points: Sequence[int], prompts: Sequence[str]) -> list[Responses]:
    lines = []
    for prompt, point in zip(prompts, points, strict=True):
        sample = Response(
            id=digest(model, prompt), prompt_id=digest("prompt", prompt), prompt=prompt, text=TEXTS[point], model=model, sample=0,
            num_tokens=None, finished=True,
        )  # fmt: skip
        lines.append(Responses(id=sample.prompt_id, samples=(sample,)))
    return lines


def judged(model: str, right: bool) -> list[Judgement]:
    scores = (4.0, 2.0) if right else (2.0, 2.0)
    return [
        make_judgement(response, [Vote(score=scores[response.sample], fault=None, text="")], model)
        for response in ranked_responses(SETS)
    ]


THREE = [task(0), task(1), task(2)]


def make_run(
    folder: Path,
    points: Mapping[str, Sequence[int]],
    *overrides: str,
    prompts: Sequence[str] = THREE,
    right: bool = True,
) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(to_yaml(load_recipe("micro-fast", [f"name={folder.name}", *overrides])))
    store.append(folder / "seed" / "eval.jsonl", SETS)
    for model, scored in points.items():
        (folder / model / "model").mkdir(parents=True)
        store.write_json(folder / model / "eval.json", {"model": model})
        store.append(folder / model / "eval_responses.jsonl", sampled(model, scored, prompts))
        store.append(folder / model / "eval_judgements.jsonl", judged(model, right))
    return folder


def figure(
    found: Mapping[str, Any], name: str, model: str, kind: str = "differences", group: int = 0
) -> dict[str, Any]:
    return dict(found["figures"][name][kind][group][model])


def test_two_runs_on_the_same_prompts_are_compared_prompt_by_prompt(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", {"sft": [4, 4, 4], "m2": [4, 5, 3]})
    b = make_run(tmp_path / "b", {"sft": [4, 4, 4], "m2": [5, 5, 5]}, "strategy=positives_only", right=False)
    found = compare([a, b])
    assert found["models"] == ["sft", "m2"]
    assert [group["strategy"] for group in found["groups"]] == ["self_rewarding", "positives_only"]
    expected = mean_ci([1, 0, 2])
    difference = figure(found, "score", "m2")
    assert (difference["mean"], difference["over"], difference["n"]) == (1, "prompts", 3)
    assert difference["ci95"] == pytest.approx(expected.ci95)
    assert figure(found, "net", "m2", "values")["mean"] == pytest.approx(0)  # a tie, a win, a loss against sft
    assert figure(found, "net", "m2", "values", 1)["mean"] == 100
    assert figure(found, "judge_right", "m2")["mean"] == -50  # ties are worth half
    assert found["figures"]["net"]["paper"]["m3"] == pytest.approx(52.7)


def test_runs_that_differ_in_the_seed_alone_are_one_row_with_an_interval_over_seeds(tmp_path: Path) -> None:
    points = {0: [5, 5, 3], 1: [4, 4, 4], 2: [5, 5, 4]}
    runs = [make_run(tmp_path / f"a-{seed}", {"m2": points[seed]}, f"seed={seed}") for seed in points]
    other = [
        make_run(
            tmp_path / f"b-{seed}", {"m2": [3, 3, 3]}, f"seed={seed}", "strategy=positives_only", "plan.accepted=0.5"
        )
        for seed in points
    ]
    found = compare([*runs, *other])
    assert [group["name"] for group in found["groups"]] == ["a-0 (3 seeds)", "b-0 (3 seeds)"]
    value = figure(found, "score", "m2", "values")
    means = [13 / 3, 4, 14 / 3]
    assert (value["over"], value["n"]) == ("seeds", 3)
    assert value["ci95"] == pytest.approx(mean_ci(means).ci95)
    difference = figure(found, "score", "m2")
    assert difference["over"] == "seeds"
    assert difference["ci95"] == pytest.approx(mean_ci([3 - mean for mean in means]).ci95)


def test_one_run_meets_that_of_several_which_has_its_seed(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"a-{seed}", {"m2": [5, 4, 5 - seed]}, f"seed={seed}") for seed in (0, 1)]
    one = make_run(tmp_path / "b", {"m2": [5, 5, 5]}, "seed=1", "strategy=positives_only")
    difference = figure(compare([*runs, one]), "score", "m2")
    assert (difference["over"], difference["n"]) == ("prompts", 3)
    assert difference["mean"] == pytest.approx(2 / 3)  # less 5 4 4


def test_runs_on_other_prompts_are_not_paired_and_say_so(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", {"m2": [5, 4, 4]}, prompts=THREE)
    more = [f"{prompt} Stop after 2 items." for prompt in THREE]
    b = make_run(tmp_path / "b", {"m2": [5, 5, 4]}, "strategy=positives_only", prompts=more)
    difference = figure(compare([a, b]), "score", "m2")
    assert (difference["mean"], difference["over"]) == (pytest.approx(1 / 3), "not paired")
    interval = stats.ttest_ind([5, 5, 4], [5, 4, 4], equal_var=False).confidence_interval(0.95)
    assert difference["ci95"] == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    "override",
    [
        "evaluation.votes=1",
        "evaluation.num_prompts=9",
        "judge.template=additive",
        "judge.read=expected",
        "responses.top_p=0.5",
    ],
)
def test_what_was_measured_differently_is_refused_by_name_unless_forced(tmp_path: Path, override: str) -> None:
    a = make_run(tmp_path / "a", {"m2": [5, 4, 4]})
    b = make_run(tmp_path / "b", {"m2": [5, 4, 4]}, override)
    result = CLI.invoke(app, ["compare", str(a), str(b)])
    assert (result.exit_code, result.stdout) == (2, "")
    name, _, value = override.partition("=")
    assert f"{name}: " in result.stderr and value in result.stderr and "--force" in result.stderr
    forced = CLI.invoke(app, ["compare", str(a), str(b), "--force"])
    assert forced.exit_code == 0
    assert f"Measured differently: {name}: " in " ".join(forced.stdout.split())


@pytest.mark.parametrize("override", ["judge.votes=5", "dpo.lr=1e-4", "judge.name=mine:judge", "prompts.num=9"])
def test_what_a_strategy_does_is_no_difference_of_measurement(tmp_path: Path, override: str) -> None:
    a = make_run(tmp_path / "a", {"m2": [5, 4, 4]})
    b = make_run(tmp_path / "b", {"m2": [5, 4, 4]}, override)
    assert len(compare([a, b])["groups"]) == 2


def test_runs_from_another_m0_are_no_seeds_of_one_recipe(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"a-{seed}", {"m2": [5, 4, 4]}, f"seed={seed}") for seed in (0, 1)]
    assert len(compare(runs)["groups"]) == 1
    for run in runs:
        store.write_json(run / store.STAMP_FILE, {"weights": {"model.safetensors": run.name}})
    assert len(compare(runs)["groups"]) == 2


def test_judges_of_two_texts_under_one_name_are_refused_unless_forced(tmp_path: Path) -> None:
    a, b = (make_run(tmp_path / f"a-{seed}", {"m2": [5, 4, 4]}, f"seed={seed}") for seed in (0, 1))
    for run, text in ((a, "one"), (b, "one")):
        store.write_json(run / store.STAMP_FILE, {"templates": {"judge": {"micro": text}}})
    assert compare([a, b])["differs"] == []
    store.write_json(b / store.STAMP_FILE, {"templates": {"judge": {"micro": "another"}}})
    with pytest.raises(BadInput, match=r"text of judge.template: 'one' in .*, 'another' in"):
        compare([a, b])
    assert len(compare([a, b], force=True)["differs"]) == 1


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", {"m2": [5, 4, 4]})
    again = make_run(tmp_path / "again", {"m2": [5, 4, 4]}, "engine.batch_size=9")
    empty = make_run(tmp_path / "empty", {})
    with pytest.raises(BadInput, match="cannot be compared"):
        compare([a])
    with pytest.raises(BadInput, match="has the recipe and the seed of"):
        compare([a, again])
    with pytest.raises(BadInput, match="nothing has been measured yet"):
        compare([a, empty])
    with pytest.raises(BadInput, match="no such run"):
        compare([a, tmp_path / "none"])


def test_the_tables_have_the_runs_their_difference_and_the_paper(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", {"sft": [4, 4, 4], "m2": [4, 4, 3]})
    b = make_run(tmp_path / "b", {"sft": [4, 4, 4], "m2": [5, 5, 5]}, "strategy=positives_only")
    text = CLI.invoke(app, ["compare", str(a), str(b)]).stdout
    assert "b less a" in text and "paper" in text and "34.7" in text
    assert json.loads(CLI.invoke(app, ["compare", str(a), str(b), "--json"]).stdout)["groups"][1]["name"] == "b"
