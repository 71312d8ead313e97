"""What the benchmark of crashes counts: work that is made again after a kill, and work that is made though it was done."""

from pathlib import Path

import pytest
from support_benchmarks import load

crash = load("crash")


def asked(tmp_path: Path, *batches: list[int]) -> Path:
    file = tmp_path / "asked"
    file.write_text("".join(f"{batch}\n" for batch in batches))
    return file


def test_the_batch_that_a_kill_interrupted_is_made_again_and_nothing_is_made_twice(tmp_path: Path) -> None:
    found = crash.made_again(asked(tmp_path, [1, 2], [3, 4], [3, 4], [5]), [2, 4])
    assert found == {"made_twice": 0, "made_again_at_most": 2}


def test_a_batch_that_was_over_and_is_made_again_is_counted(tmp_path: Path) -> None:
    found = crash.made_again(asked(tmp_path, [1, 2], [3, 4], [1, 2], [3, 4], [5]), [2, 5])
    assert found == {"made_twice": 2, "made_again_at_most": 4}


def test_a_launch_that_asks_nothing_counts_nothing(tmp_path: Path) -> None:
    assert crash.made_again(asked(tmp_path), [0, 0]) == {"made_twice": 0, "made_again_at_most": 0}


@pytest.mark.parametrize(
    ("paths", "stage"),
    [
        ((), "start"),
        (("seed/ift.jsonl",), "seed"),
        (("seed/ift.jsonl", "sft/lesson.json"), "sft after lesson.json"),
        (("m1/eval.json", "m2/prompts.jsonl", "m2/responses.jsonl"), "m2 after responses.jsonl"),
        (("m2/lesson.json", "m2/checkpoints/x/y"), "training m2"),
        (("m2/lesson.json", "m2/model.tmp/config.json"), "saving m2"),
    ],
)
def test_the_stage_in_which_a_run_ended_is_read_off_its_folder(
    tmp_path: Path, paths: tuple[str, ...], stage: str
) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert crash.stage_of(tmp_path) == stage


def test_a_kill_counts_as_equal_where_its_run_ended_in_the_same_files() -> None:
    chain = {"by_stage": {"seed": 1}, "made_twice": 0, "made_again_at_most": 3}
    chains = [chain | {"kills": 5, "equal": True}, chain | {"kills": 2, "equal": False}]
    found = crash.figures({"chains": chains, "faults": {}, "straight": {"seconds": 1.0, "changes": 9}})
    assert (found["kills"], found["equal"], found["runs"], found["equal_runs"]) == (7, 5, 2, 1)
