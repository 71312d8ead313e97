"""The benchmark of the engines: one round through each, on the same work."""

import json
from pathlib import Path
from typing import Any

import pytest
from support_benchmarks import load

from selfreward.errors import BadInput

BENCHMARK = load("engines")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return dict(BENCHMARK.compare(["local", "server"], "micro-m0", [], 2, 2, "endpoint", 2))


def test_every_engine_answers_and_judges_the_same_prompts_and_responses(found: dict[str, Any]) -> None:
    local, server = (found["engines"][name]["all_runs"] for name in ("local", "server"))
    assert len(local) == len(server) == 2
    for run in (*local, *server):
        assert run["items"] == {"prompts": 10, "responses": 2 * 4, "judgements": 2 * 4 * 3}
        assert run["votes_read"] >= 12 and min(run["seconds"].values()) > 0
    assert local[0]["votes_read"] == local[1]["votes_read"]


def test_the_overhead_is_what_an_item_costs_beyond_the_local_engine(found: dict[str, Any]) -> None:
    local, server = found["engines"]["local"], found["engines"]["server"]
    assert set(local["overhead_s_per_item"].values()) == {0.0}
    for stage, overhead in server["overhead_s_per_item"].items():
        assert overhead == pytest.approx(server["s_per_item"][stage] - local["s_per_item"][stage])
    assert "endpoint of the tests" in found["server"] and found["replicas"] is None


def test_medians_are_over_the_runs_for_each_item() -> None:
    runs = [{"open_s": s, "seconds": {"votes": s}, "items": {"votes": 10}} for s in (1.0, 5.0, 2.0)]
    found = BENCHMARK.summary(runs)
    assert (found["open_s"], found["round_s"], found["s_per_item"]) == (2.0, 2.0, {"votes": 0.2})


def test_an_engine_that_is_not_there_is_refused_before_anything_runs() -> None:
    with pytest.raises(BadInput, match="servers"):
        BENCHMARK.compare(["local", "servers"], "micro-m0", [], 2, 1, "endpoint", 2)


def test_its_table_is_made_of_the_result(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = load("tables")
    (tmp_path / "engines.json").write_text(json.dumps(found))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| server | " in tables.filled("<!-- table: engines -->\n<!-- end -->")
    (tmp_path / "engines.json").unlink()
    assert "Not measured yet" in tables.filled("<!-- table: engines -->\n<!-- end -->")
