"""The report: what a run folder says, the paper's figures beside it, and runs that are half done or damaged."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from selfreward.errors import BadInput
from selfreward.report import render, tables
from selfreward.report.cells import bar, small_columns, stacked
from selfreward.statistics import METRICS, TIE_POLICIES

COUNTS = {"prompts": {"written": 950, "too_long": 50}, "pairs": {"tie": 7}}


def estimate(key: str, value: float, half: float = 0.1, n: int = 64) -> dict[str, Any]:
    return {key: value, "ci95": [value - half, value + half], "n": n}


def evaluation(model: str, score: float, against: tuple[str, ...]) -> dict[str, Any]:
    metrics = {metric: estimate("value", 0.8, 0.05) for metric in METRICS}
    excluded = {**metrics, "pairwise_accuracy": estimate("value", 0.9)}
    return {
        "model": model,
        "capability": {
            "score": estimate("mean", score),
            "perfect": estimate("mean", 0.25, 0.02),
            "length_words": estimate("mean", 8.5),
            "by_family": {
                "sentence": {"score": estimate("mean", score), "n": 10},
                "[bold]list": {"score": estimate("mean", 2.0)},
            },
            "by_point": {"subject": estimate("mean", 0.625)},
            "by_complexity": {"10": {"score": estimate("mean", 1.5)}, "2": {"score": estimate("mean", 3.5)}},
        },
        "head_to_head": {
            name: {"win": 40.0, "tie": 35.0, "lose": 25.0, "net": 15.0, "win_ci95": [38, 42], "ci95": [9, 21]}
            for name in against
        },
        "reward_modelling": {
            "human": {policy: excluded if policy == "excluded" else metrics for policy in TIE_POLICIES}
            | {"counts": {"sets": 4}}
        },
        "own_prompts": {"prompts": 900, "malformed": 3},
        "judge_health": {
            "votes": 30,
            "readable": estimate("value", 0.9, 0.05),
            "faults": {"unreadable": estimate("value", 0.1, 0.05)},
            "vote_histogram": {"3.00": 9, "4.00": 18},
            "mean_score": estimate("mean", 3.67),
            "tie_rate": {"value": None, "ci95": None, "n": 0},
            "alarms": ["67% of the votes say 4"],
        },
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "micro"
    for model, score, against in (("sft", 3.7, ()), ("m1", 3.8, ("sft",)), ("m2", 4.2, ("sft", "m1"))):
        (folder / model).mkdir(parents=True)
        (folder / model / "eval.json").write_text(json.dumps(evaluation(model, score, against)))
    (folder / "m2" / "counts.json").write_text(
        json.dumps({"prompts": {"written": 950, "too_long": 50}, "pairs": {"tie": 7}})
    )
    (folder / "m2" / "pairs.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n{"id": "to')
    lines = [
        {"time": 1, "stage": "m2 judging", "seconds": 10.0, "items": 100},
        {"time": 2, "loss": 0.69},
        {"time": 3, "stage": "m2 judging", "seconds": 5.0, "items": 50},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "m2 sam')
    return folder


def printed(folder: Path, terminal: int | None = None) -> str:
    """What is printed to a terminal of so many columns, or to a file."""
    console = Console(file=io.StringIO(), width=terminal, force_terminal=terminal is not None, color_system=None)
    render(tables(folder), console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def row_of(text: str, *starts: str) -> list[str]:
    """The cells of the first printed row whose leading cells are `starts`."""
    rows = [[cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")] for line in text.splitlines()]
    return next(row for row in rows if row[: len(starts)] == list(starts))


def test_f17_rows_too_long_to_be_trained_on_are_shown(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write('ples", "seconds": 1}\n')
        for num_dropped in (9, 4):  # a run that was interrupted counts once more
            row = {"model": "m1", "method": "sft", "num_rows": 100, "num_dropped": num_dropped, "num_steps": 7}
            file.write(json.dumps(row) + "\n")
    assert tables(run)["counts"]["m1"]["training/too_long"] == 4
    assert row_of(printed(run), "training: too long") == ["training: too long", "-", "4", "-"]
    assert row_of(printed(run), "training: rows") == ["training: rows", "-", "100", "-"]


def test_models_stand_in_the_order_of_their_making(run: Path) -> None:
    for name in ("m10", "m3", "logs", "m2.tmp"):
        (run / name).mkdir()
    assert tables(run)["models"] == ["sft", "m1", "m2", "m3", "m10"]
    assert tables(run)["not_evaluated"] == ["m3", "m10"]


def test_the_first_table_has_one_row_for_each_model_and_says_whose_ranks_the_judge_meets(run: Path) -> None:
    text = printed(run)
    assert text.index("Following instructions, 64 held-out prompts") < text.index("Head to head")
    assert row_of(text, "sft") == ["sft", "███████▍", "3.70 ±0.10", "25.0 ±2.0", "-", "-", "80.0 ±5.0", "8.5 ±0.1"]
    cells = ["m2", "████████▍", "4.20 ±0.10", "25.0 ±2.0", "40 / 35 / 25", "15.0 ±6.0", "80.0 ±5.0", "8.5 ±0.1"]
    assert row_of(text, "m2") == cells
    assert "it orders as people did" in " ".join(text.split())


def test_what_was_left_out_of_the_seeds_is_shown_part_by_part(run: Path) -> None:
    counts = {
        "ift": {"rows": 9, "too_long": 2, "used": 7},
        "ranked": {"rows": 6, "all_tied": 1, "used": 5},
        "eft": {"sets": 5, "sets_kept": 3},
    }
    (run / "seed").mkdir()
    (run / "seed" / "counts.json").write_text(json.dumps(counts))
    assert tables(run)["seeds"] == counts
    text = printed(run)
    assert row_of(text, "too long") == ["too long", "2", "-"]
    assert row_of(text, "rows") == ["rows", "9", "6"]
    assert text.index("all tied") < text.index(" used ")
    assert row_of(text, "sets kept") == ["sets kept", "3"]
    (run / "seed" / "counts.json").write_text("{")
    assert tables(run)["seeds"] == {} and "seed/counts.json" in tables(run)["problems"][0]


def test_the_first_table_prefers_the_oracles_ranks_to_peoples(run: Path) -> None:
    path = run / "m2" / "eval.json"
    found = json.loads(path.read_text())
    found["reward_modelling"]["oracle"] = {"half": {"pairwise_accuracy": estimate("value", 0.7)}}
    path.write_text(json.dumps(found))
    assert tables(run)["summary"][-1]["judge_pairwise_accuracy"]["value"] == 0.7
    assert row_of(printed(run), "m2")[6] == "70.0 ±10.0"


def test_nothing_is_cut_off_or_broken_on_100_columns_and_nothing_is_cut_off_on_70(run: Path) -> None:
    (run / "m2").rename(run / "m3")
    (run / "m2").mkdir()
    (run / "m2" / "eval.json").write_text(json.dumps(evaluation("m2", 4.0, ("sft", "m1"))))
    text = printed(run, terminal=100)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text + printed(run, terminal=70)
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert [row for row in rows if row.strip("│ ").startswith("±") or row.startswith("│  ")] == []
    assert row_of(text, "pairwise %", "excluded")[2:] == ["90.0 ±10.0"] * 4


def test_bars_are_left_out_where_there_is_no_room_for_them(run: Path) -> None:
    assert "█" in printed(run) and "█" in printed(run, terminal=120)
    assert row_of(printed(run, terminal=70), "m2")[1] == "4.20"


def test_bars_are_exact_to_an_eighth_and_stay_in_their_width() -> None:
    assert [bar(share, 2) for share in (None, 0.0, 0.5, 0.57, 1.0, 7.0)] == ["", "", "█", "█▏", "██", "██"]
    assert stacked([0.25, 0.5, 0.25], 8) == "██▒▒▒▒░░"
    assert stacked([0.0, 1.0, 0.0], 8) == "▒" * 8 and stacked([0.2, None, 0.1], 8) == ""
    assert small_columns([0, 1, 8, 4]) == "·▁█▄" and small_columns([0, 0]) == "··" and small_columns([]) == ""


def test_a_file_is_wide_enough_whatever_the_terminal(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert row_of(printed(run), "kendall tau", "any")[2:] == ["0.800 ±0.050"] * 3


def test_a_run_of_an_older_version_shows_its_shares_without_intervals(run: Path) -> None:
    for model in ("sft", "m1", "m2"):
        path = run / model / "eval.json"
        found = json.loads(path.read_text())
        found["capability"]["by_point"] = {"subject": 0.625}
        found["judge_health"] |= {"readable": 0.9, "faults": {"unreadable": 0.1}, "tie_rate": None, "mean_score": 3.0}
        path.write_text(json.dumps(found))
    text = printed(run)
    assert row_of(text, "subject")[1:] == ["62.5"] * 3
    assert row_of(text, "readable votes %")[1:] == ["90.0"] * 3
    assert row_of(text, "tied response pairs %")[1:] == ["-"] * 3


def test_head_to_head_stands_beside_the_papers_figures(run: Path) -> None:
    row = row_of(printed(run), "m2 v m1")
    assert row == [
        "m2 v m1",
        "████████▒▒▒▒▒▒▒░░░░░",
        "40.0 ±2.0",
        "35.0",
        "25.0",
        "15.0 ±6.0",
        "55.5",
        "32.8",
        "11.7",
        "43.8",
    ]


def test_the_judge_stands_beside_the_papers_figures_under_every_tie_policy(run: Path) -> None:
    text = printed(run)
    assert row_of(text, "pairwise %", "excluded")[2:] == ["90.0 ±10.0"] * 3
    assert row_of(text, "pairwise %", "half")[2:] == ["80.0 ±5.0"] * 3
    assert row_of(text, "pairwise %", "paper")[2:] == ["65.1", "78.7", "80.4"]
    assert row_of(text, "kendall tau", "any")[2:] == ["0.800 ±0.050"] * 3
    assert row_of(text, "kendall tau", "paper")[2:] == ["0.233", "0.253", "0.315"]


def test_groups_are_printed_in_order_and_never_read_as_markup(run: Path) -> None:
    assert list(tables(run)["by_complexity"]) == ["2", "10"]
    assert row_of(printed(run), "[bold]list")[1:] == ["2.00 ±0.10"] * 3
    assert row_of(printed(run), "subject")[1:] == ["62.5 ±10.0"] * 3


def test_every_count_of_a_stage_is_shown_and_a_torn_line_is_not_a_record(run: Path) -> None:
    found = tables(run)
    of_a_round = {"prompts/written": 950, "prompts/too_long": 50, "pairs/tie": 7}
    own_prompts = {"own_prompts/prompts": 900, "own_prompts/malformed": 3}
    assert found["counts"] == {"sft": own_prompts, "m1": own_prompts, "m2": of_a_round | own_prompts}
    assert found["lines"] == {"m2": {"pairs.jsonl": 2}}
    assert row_of(printed(run), "prompts: too long") == ["prompts: too long", "-", "-", "50"]


def test_the_snapshot_that_was_chosen_is_shown_with_the_reason(run: Path) -> None:
    assert "Early stopping" not in printed(run)
    story = {"by": "scores", "judge": "m1", "steps": [2, 4, 5], "looked_at": [{}, {}], "chosen": 2, "why": "no [b]win"}
    (run / "m2" / "early_stopping.json").write_text(json.dumps(story))
    assert tables(run)["early_stopping"] == {"m2": story}
    assert row_of(printed(run), "m2", "scores")[2:] == ["m1", "3", "2", "2 of 5", "no [b]win"]


def test_the_time_of_a_stage_sums_its_attempts(run: Path) -> None:
    assert tables(run)["time"] == [{"stage": "m2 judging", "seconds": 15.0, "items": 150}]
    assert row_of(printed(run), "m2 judging") == ["m2 judging", "█" * 10, "15.0", "150", "10"]


def test_health_shows_shares_and_its_alarms(run: Path) -> None:
    text = printed(run)
    assert row_of(text, "votes for 4")[1:] == ["18"] * 3
    assert row_of(text, "mean score")[1:] == ["3.67 ±0.10"] * 3
    assert row_of(text, "readable votes %")[1:] == ["90.0 ±5.0"] * 3
    assert row_of(text, "unreadable votes %")[1:] == ["10.0 ±5.0"] * 3
    assert row_of(text, "tied response pairs %")[1:] == ["-"] * 3
    assert "Judge m2: 67% of the votes say 4." in text


def test_a_run_that_has_just_begun_says_so(tmp_path: Path) -> None:
    assert "Nothing has been measured yet." in printed(tmp_path)
    (tmp_path / "sft").mkdir()
    assert "Not measured yet: sft." in printed(tmp_path)


@pytest.mark.parametrize("damaged", ['{"model": "m2", "capab', "[]", "null"])
def test_a_damaged_evaluation_is_named_and_the_rest_is_shown(run: Path, damaged: str) -> None:
    (run / "m2" / "eval.json").write_text(damaged)
    found = tables(run)
    assert list(found["capability"]) == ["sft", "m1"]
    assert len(found["problems"]) == 1
    assert "eval.json" in printed(run)


def test_an_evaluation_with_parts_missing_gives_the_parts_it_has(run: Path) -> None:
    partial = {"model": "m2", "capability": {"score": {"mean": None, "ci95": None, "n": 0}}, "head_to_head": None}
    (run / "m2" / "eval.json").write_text(json.dumps(partial))
    assert row_of(printed(run), "m2") == ["m2", "", "-", "-", "-", "-", "-", "-"]
    assert [row["model"] for row in tables(run)["head_to_head"]] == ["m1"]


def test_no_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run"):
        tables(tmp_path / "nowhere")


def test_the_tables_go_to_json(run: Path) -> None:
    assert json.loads(json.dumps(tables(run))) == tables(run)


def test_the_report_is_read_without_torch(run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rich.console import Console; from selfreward import report;"
        "report.render(report.tables(Path(sys.argv[1])), Console());"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, str(run)], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )
