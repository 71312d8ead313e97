"""The benchmark of the grounded judge: its sets are of facts, and its index is asked for what it holds."""

from pathlib import Path

import pytest
from support_benchmarks import load

from selfreward.evaluation.micro import task_of
from selfreward.micro import oracle
from selfreward.micro.tasks import split_of

grounded, passages = load("grounded"), load("passages")


def test_the_two_answers_of_a_pair_differ_in_nothing_but_the_truth() -> None:
    sets = grounded.truth_sets(20, 0)
    assert len({one.prompt for one in sets}) == 20
    for one in sets:
        task = task_of(one.prompt)
        best_first = sorted(one.responses, key=lambda response: response.rank)
        checks = [{check.name: check.holds for check in oracle.checks(task, r.text)} for r in best_first]
        assert checks[0] == dict.fromkeys(checks[0], True)
        assert checks[1] == checks[0] | {"content": False}
    assert len({one.responses[0].rank for one in sets}) == 2  # either stands first


def test_ranked_sets_are_of_facts_that_nothing_was_trained_on() -> None:
    sets = grounded.fact_sets(10, 0)
    assert len({one.prompt for one in sets}) == 10
    assert all(task_of(one.prompt).family == "fact" and split_of(one.prompt) == "test" for one in sets)
    assert sets != grounded.fact_sets(10, 1)


def test_an_index_finds_the_passages_that_its_queries_are_out_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passages, "EVERY", 500)
    found = passages.index(1500, "sqlite", tmp_path)
    assert (found["passages"], found["queries"], found["found_first"]) == (1500, 3, 1.0)
    assert 0 < found["query_ms_p50"] <= found["query_ms_p95"]


def test_a_share_of_the_values_is_not_above_the_percentile() -> None:
    assert [passages.at(list(range(100)), share) for share in (0, 0.5, 0.95, 1)] == [0, 50, 95, 99]
