"""A round of any size takes memory for a batch, and the scan of a finished one makes nothing."""

import tracemalloc
from pathlib import Path

from support_benchmarks import load

from selfreward import store
from selfreward.judges.votes import judgement_id
from selfreward.pairing import best_vs_worst
from selfreward.progress import QuietProgress
from selfreward.records import Judgement
from selfreward.responses import Responses, Samples

scale = load("store_scale")


def test_a_round_that_is_finished_is_gone_through_without_making_anything(tmp_path: Path) -> None:
    scale.go_through(tmp_path, 400)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name: data.count(b"\n") for name, data in before.items()}.keys() == {
        store.RESPONSES_FILE, store.JUDGEMENTS_FILE, store.PAIRS_FILE,
    }  # fmt: skip
    scale.go_through(tmp_path, 400)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_round_is_read_in_less_memory_than_a_tenth_of_its_files(tmp_path: Path) -> None:
    num = 4000
    scale.go_through(tmp_path, num)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())

    def none(items: list[object]) -> list[object]:
        raise AssertionError("it is all there")

    tracemalloc.start()
    prompts, quiet = scale.Prompts(num // 4), QuietProgress()
    lines = store.fill(tmp_path / store.RESPONSES_FILE, Responses, prompts, lambda p: p.id, none, 64, quiet)
    judgements = store.fill(
        tmp_path / store.JUDGEMENTS_FILE, Judgement, Samples(lines), lambda r: judgement_id("m1", r.id), none, 64, quiet
    )
    store.write_once(tmp_path / store.PAIRS_FILE, best_vs_worst(judgements).pairs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 10, (peak, size)
