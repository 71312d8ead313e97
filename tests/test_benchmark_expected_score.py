"""The benchmark of expected scores, in small: what is compared with what."""

import json
from pathlib import Path
from typing import Any

import pytest
from support_benchmarks import load

from selfreward.records import Judgement

BENCHMARK = load("expected_score")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return dict(BENCHMARK.compare("micro-m0", 4, 2, 4, 0))


def judgements(*scores: float | None) -> list[Judgement]:
    return [
        Judgement(
            id=str(i), response_id=str(i), prompt_id="p", prompt="p", response="r", judge="m0", votes=(), score=score,
            coverage=1,
        )
        for i, score in enumerate(scores)
    ]  # fmt: skip


def test_every_way_of_reading_stands_beside_the_reference_which_agrees_with_itself(found: dict[str, Any]) -> None:
    assert list(found["rows"]) == ["reference", "votes", "expected", "expected, one", "direct"]
    reference = found["rows"]["reference"]
    assert reference["distance_points"] == 0 and reference["pearson"] == pytest.approx(1)
    assert found["responses"] == 12 >= found["rows"]["direct"]["scored"] > 0


def test_agreement_is_of_the_responses_that_both_scored() -> None:
    agreement = BENCHMARK._agreement(judgements(1, 2, None, 4), judgements(2, 3, 5, None))
    assert agreement["distance_points"] == 1 and agreement["pearson"] == pytest.approx(1)
    nothing = BENCHMARK._agreement(judgements(None), judgements(1))
    assert set(nothing.values()) == {None}


def test_its_table_is_made_of_the_result(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = load("tables")
    (tmp_path / "expected_score.json").write_text(json.dumps(found))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| direct: no justification | " in tables.filled("<!-- table: expected_score -->\n<!-- end -->")
