"""The benchmark of the plan: that it counts what a run really read, wrote and trained on, and leaves no stage out."""

import json
from pathlib import Path
from typing import Any

import pytest
from support_benchmarks import load

from selfreward import store
from selfreward.chat import encode_example
from selfreward.engines.base import Request, Sampling
from selfreward.engines.local import LocalEngine
from selfreward.loop import run
from selfreward.progress import QuietProgress
from selfreward.recipe import load_recipe
from selfreward.records import Example, Pair
from selfreward.responses import Responses

BENCHMARK = load("plan")
SMALL = {
    "seeds.num_ift": 24, "seeds.num_eft_prompts": 20, "eft.attempts": 2, "prompts.num": 9, "responses.num_samples": 3,
    "judge.votes": 2, "evaluation.num_prompts": 5, "evaluation.num_ranked_sets": 3, "evaluation.votes": 1,
    "engine.name": "support_engines:people", "rounds": 1, "plan.hardware": "h100",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_m0: Path) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("benchmark_plan") / "run"
    run(load_recipe("micro", [f"{k}={v}" for k, v in SMALL.items()] + [f"model={tiny_m0}"]), folder, QuietProgress())
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    return dict(BENCHMARK.compare(folder, 100.0))


def test_every_stage_is_both_predicted_and_measured(found: dict[str, Any]) -> None:
    assert (found["stages_not_measured"], found["stages_not_predicted"]) == ([], {})
    for row in found["stages"]:
        for value in row.values():
            if isinstance(value, dict):
                assert value["measured"] is not None and bool(value["measured"]) == bool(value["predicted"])
    measured = sum(row["seconds"]["measured"] for row in found["stages"])
    assert found["total"]["seconds"]["measured"] == pytest.approx(measured)
    assert found["outside_stages_s"] == pytest.approx(100 - measured)
    json.dumps(found)


def test_a_stage_that_only_one_side_has_is_named_and_is_in_no_total(folder: Path, found: dict[str, Any]) -> None:
    file = folder / store.METRICS_FILE
    before = file.read_text()
    file.write_text(before.replace("m2 judgements", "m2 second thoughts"))
    other = BENCHMARK.compare(folder)
    file.write_text(before)
    assert other["stages_not_measured"] == ["m2 judgements"]
    assert list(other["stages_not_predicted"]) == ["m2 second thoughts"]
    assert other["total"]["seconds"]["measured"] < found["total"]["seconds"]["measured"]
    assert other["total"]["written_tokens"]["predicted"] < found["total"]["written_tokens"]["predicted"]
    assert other["wall_s"] is other["outside_stages_s"] is None


def test_tokens_are_those_of_the_files(folder: Path, found: dict[str, Any]) -> None:
    stages = {row["stage"]: row for row in found["stages"]}
    responses = store.read(folder / "m2" / store.RESPONSES_FILE, Responses)
    written = sum(response.num_tokens or 0 for line in responses for response in line.samples)
    assert stages["m2 responses"]["written_tokens"]["measured"] == written
    tokenizer = BENCHMARK.Counter(BENCHMARK.RunFolder(folder)).tokenizer
    ift = store.read(folder / store.SEED_FOLDER / store.IFT_FILE, Example)
    lengths = [sum(map(len, encode_example(tokenizer, e.prompt, e.response))) for e in ift]
    assert stages["train sft"]["trained_tokens"]["measured"] == 2 * sum(lengths)
    pairs = store.read(folder / "m2" / store.PAIRS_FILE, Pair)
    sides = [encode_example(tokenizer, p.prompt, text) for p in pairs for text in (p.chosen, p.rejected)]
    assert stages["train m2"]["trained_tokens"]["measured"] == 3 * sum(len(p) + len(r) for p, r in sides)
    assert found["assumed"]["paired"]["measured"] == len(pairs) / 9
    assert found["assumed"]["response_tokens"]["measured"] == written / 27


@pytest.mark.parametrize("shared", ["the dog", "the cat sees a big red dog " * 3])
def test_what_is_counted_as_read_is_what_the_local_engine_reads(
    tiny_model: Path, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With prompts that repeat, and with a prefix that is and one that is not worth a forward of its own."""
    engine = LocalEngine(tiny_model, batch_size=4, device="cpu")
    prompts = [shared, *(f"{shared} {'the river ' * (i % 4)}{i % 5}" for i in range(9))]
    read: list[int] = []
    forward = engine.reader.read  # a prefix is read by it too

    def counted(rows: list[tuple[int, ...]], prefix: Any = None) -> Any:
        read.extend(map(len, rows))
        return forward(rows, prefix)

    monkeypatch.setattr(engine.reader, "read", counted)
    for start in (0, 4, 8):  # as `store.fill` asks
        engine.generate([Request(str(i), p, 1, i) for i, p in enumerate(prompts[start : start + 4])], Sampling(0, 1, 1))
    assert BENCHMARK.read_tokens(engine.tokenizer, prompts, 4) == sum(read)


def test_its_table_is_made_of_the_result(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = load("tables")
    (tmp_path / "plan.json").write_text(json.dumps(found))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| m2 judgements | " in tables.filled("<!-- table: plan -->\n<!-- end -->")
    (tmp_path / "plan.json").unlink()
    assert "Not measured yet" in tables.filled("<!-- table: plan -->\n<!-- end -->")
