"""Several runs on one page."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from selfreward import store
from selfreward.errors import BadInput
from selfreward.report.html.several import page_of_several, write_several

Change = dict[str, str]


@pytest.fixture
def other(small_run: Path, tmp_path: Path) -> Any:
    """Makes a copy of the run that says it was told something else."""

    def copy(name: str, changes: Change) -> Path:
        folder = shutil.copytree(small_run, tmp_path / name)
        recipe = folder / "recipe.yaml"
        text = recipe.read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new, 1)
        recipe.write_text(text)
        return Path(folder)

    return copy


def test_runs_that_differ_in_the_seed_alone_are_one_row_with_an_interval_over_seeds(
    small_run: Path, other: Any
) -> None:
    page = page_of_several([small_run, other("b", {"\nseed: 0": "\nseed: 1"})])
    assert "run (2 seeds)" in page and "These are 2 runs of one recipe" in page
    assert "All are of one recipe, with the seeds 0 and 1." in page
    assert ", seeds</td>" in page


def test_a_strategy_beside_another_says_how_far_apart_they_are_and_how_sure_that_is(
    small_run: Path, other: Any
) -> None:
    page = page_of_several([small_run, other("positives", {"strategy: self_rewarding": "strategy: positives_only"})])
    assert "M3 of positives is 0.0 points of net win above run" in page
    assert "which may be chance, as zero lies within" in page
    assert "strategy: &#39;self_rewarding&#39; there, &#39;positives_only&#39; given" in page


def test_runs_that_were_measured_differently_are_refused_or_shown_with_what_differs(
    small_run: Path, other: Any
) -> None:
    runs = [small_run, other("b", {"split: test": "split: dev"})]
    with pytest.raises(BadInput, match="measured differently"):
        page_of_several(runs)
    assert "Measured differently: evaluation.split" in page_of_several(runs, force=True)


def test_alarms_and_runs_without_an_oracle_are_shown(small_run: Path, other: Any) -> None:
    runs = [other(name, {"source: micro": f"source: {name}.jsonl"}) for name in ("a", "b")]
    for run in runs:
        for model in ("sft", "m1", "m2", "m3"):
            path = run / model / store.EVAL_FILE
            found = json.loads(path.read_text())
            del found["capability"], found["head_to_head"], found["reward_modelling"]["oracle"]
            found["judge_health"]["alarms"] = ["90% of the votes say <b>4</b>"]
            path.write_text(json.dumps(found))
    page = page_of_several(runs, force=True)
    assert "No run has an oracle that decides between answers." in page
    assert "Alarm. a, M3: 90% of the votes say &lt;b&gt;4&lt;/b&gt;." in page


def test_what_is_no_page_of_ours_is_not_written_over(small_run: Path, other: Any, tmp_path: Path) -> None:
    runs, target = [small_run, other("b", {"\nseed: 0": "\nseed: 1"})], tmp_path / "thesis.html"
    target.write_text("<h1>Mine</h1>")
    with pytest.raises(BadInput, match="is there already, and is no report"):
        write_several(runs, target)
    assert target.read_text() == "<h1>Mine</h1>"
    target.unlink()
    assert write_several(runs, target) == target
    assert write_several(runs, target).read_text().startswith("<!doctype html>")
