"""Following a run: what it does is told from its files alone, in every stage, however it was started."""

import fcntl
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest
from rich.console import Console
from support_view import HOSTILE, judged, prompts_of, sampled, write_run
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.following import Follower, Moment, Stage
from selfreward.report.watched import duration, render_moment, stage_line
from selfreward.store.run import _locked

CLI = CliRunner()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", 4)


@contextmanager
def working_in(run: Path) -> Iterator[None]:
    """As a process that works in the folder."""
    with (run / store.LOCK_FILE).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def changed_at(path: Path, seconds: float) -> None:
    os.utime(path, (seconds, seconds))


def stage_of(run: Path) -> Stage:
    stage = Follower(run).look().stage
    assert stage is not None
    return stage


def test_a_run_is_finished_when_its_last_model_is_measured_and_running_while_its_lock_is_held(run: Path) -> None:
    follower = Follower(run)
    assert follower.state() == "finished"
    (run / "m2" / store.EVAL_FILE).unlink()
    assert follower.state() == "stopped"
    with working_in(run):
        assert follower.state() == "running"
    assert follower.state() == "stopped"


def test_looking_does_not_keep_a_run_from_starting(run: Path) -> None:
    with (run / store.LOCK_FILE).open("a+") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        Timer(0.02, looking.close).start()
        with _locked(run):
            assert store.is_running(run)


def test_the_stage_is_that_of_the_file_that_grew_last(run: Path) -> None:
    now = time.time() + 10
    changed_at(run / "m2" / store.JUDGEMENTS_FILE, now)
    stage = stage_of(run)
    assert (stage.name, stage.done, stage.total, stage.is_over) == ("m2 judgements", 12, 12, False)
    changed_at(run / "m2" / store.RESPONSES_FILE, now + 1)
    assert (stage_of(run).name, stage_of(run).total) == ("m2 responses", 4)
    changed_at(run / "m2" / store.ATTEMPTS_FILE, now + 2)
    assert (stage_of(run).name, stage_of(run).total) == ("m2 prompts", None)


def test_a_stage_is_over_once_the_metrics_say_so(run: Path) -> None:
    changed_at(run / "m2" / store.JUDGEMENTS_FILE, time.time() - 1)
    for path in run.glob("*/*.jsonl"):
        if path.name != store.JUDGEMENTS_FILE:
            changed_at(path, time.time() - 9)
    assert not stage_of(run).is_over
    store.RunFolder(run).log(stage="m2 judgements", seconds=1.0, items=12)
    assert stage_of(run).is_over and stage_of(run).left_s is None


def test_rate_and_time_left_come_from_how_the_file_grows(run: Path) -> None:
    path, begin = run / "m2" / store.RESPONSES_FILE, time.time() + 100
    store.write_text(run / "m2" / store.PROMPTS_FILE, "{}\n" * 24)
    changed_at(path, begin)
    follower = Follower(run)
    follower.look()
    store.append(path, [sampled(prompt, "m1") for prompt in prompts_of(8)])
    changed_at(path, begin + 4)
    stage = follower.look().stage
    assert stage is not None
    assert (stage.done, stage.total, stage.rate, stage.left_s) == (12, 24, 2.0, 6.0)


def test_the_first_look_takes_the_rate_since_the_stage_before_unless_a_launch_came_between(run: Path) -> None:
    metrics = store.read_rows(run / store.METRICS_FILE)
    ended = max(row["time"] for row in metrics if "stage" in row)
    changed_at(run / "m2" / store.JUDGEMENTS_FILE, ended + 6)
    assert stage_of(run).rate == pytest.approx(2.0)
    stamp = run / "logs" / "attempt_2" / store.STAMP_FILE
    store.write_json(stamp, {})
    changed_at(stamp, ended + 3)
    assert stage_of(run).rate is None


def test_a_torn_line_is_not_counted_and_is_when_it_is_whole(run: Path) -> None:
    path = run / "m2" / store.JUDGEMENTS_FILE
    follower = Follower(run)
    for text, lines in (("{", 12), ("}\n", 13)):
        with path.open("a") as file:
            file.write(text)
        changed_at(path, time.time() + 50)
        stage = follower.look().stage
        assert stage is not None and stage.done == lines


def test_a_training_is_followed_by_its_steps(run: Path) -> None:
    for path in run.glob("*/*.jsonl"):
        changed_at(path, 1000.0)
    lines = [{"time": 2000.0, "model": "m2", "num_steps": 50}]
    lines += [{"time": 2000.0 + step, "model": "m2", "step": 2 * step, "loss": 0.6} for step in range(1, 11)]
    store.write_text(
        run / store.METRICS_FILE, "".join(store.json_text(line).replace("\n", "") + "\n" for line in lines)
    )
    stage = stage_of(run)
    assert (stage.name, stage.done, stage.total, stage.rate, stage.left_s) == ("train m2", 20, 50, 2.0, 15.0)


def test_a_run_that_has_only_begun_and_one_with_damaged_metrics_can_be_looked_at(run: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    assert Follower(begun).look() == Moment("stopped", None, None, [], [])
    (run / store.METRICS_FILE).write_text("no JSON\n{}\n")
    assert Follower(run).look().alarms == []


def test_no_run_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run"):
        Follower(tmp_path / "none")


def test_the_judged_ranked_sets_say_how_many_judgements_there_will_be(run: Path) -> None:
    responses = [one for prompt in prompts_of(2) for one in sampled(prompt, "m1").samples]
    path = run / "m2" / store.EVAL_JUDGEMENTS_FILE
    store.append(path, [judged(one) for one in responses[:3]])
    changed_at(path, time.time() + 50)
    assert (stage_of(run).name, stage_of(run).total) == ("m2 eval_judgements", 4)


def test_a_moment_is_shown_with_its_alarms_and_scores_and_no_control_characters(run: Path) -> None:
    shown = io.StringIO()
    Console(file=shown, width=100).print(render_moment("x", Follower(run).look()))
    assert "Alarm m2: much is tied <script>" in shown.getvalue() and "3.50 ±0.50" in shown.getvalue()
    assert not set(shown.getvalue()) & {"\x1b", "\u202e", "\x00"} and HOSTILE not in shown.getvalue()


@pytest.mark.parametrize(
    "seconds, text", [(None, "-"), (0, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "1 h 0 min"), (400_000, "4 d 15 h")]
)
def test_durations_are_read_at_a_glance(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_stage_is_one_line() -> None:
    stage = Stage("m2 judgements", False, 1500, 5200, 136.4, None)
    assert stage_line(stage) == "m2 judgements: 1,500 of 5,200, 136/s, 27 s left"
    assert stage_line(Stage("m2 pairs", True, 7, 7, None, None)) == "m2 pairs: 7, done"


def test_watch_ends_with_the_run_and_says_where_one_stopped(run: Path) -> None:
    done = CLI.invoke(app, ["watch", str(run)])
    assert done.exit_code == 0 and "finished" in done.stdout
    (run / "m2" / store.EVAL_FILE).unlink()
    stopped = CLI.invoke(app, ["watch", str(run)])
    assert stopped.exit_code == 3 and f"go on: selfreward run {run}" in stopped.stderr


def test_watch_follows_a_running_run_line_by_line_where_there_is_no_terminal(run: Path) -> None:
    (run / "m2" / store.EVAL_FILE).unlink()
    changed_at(run / "m2" / store.JUDGEMENTS_FILE, time.time() + 50)
    lock = (run / store.LOCK_FILE).open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX)
    Timer(1, lock.close).start()
    done = CLI.invoke(app, ["watch", str(run), "--every", "0.2"])
    assert done.exit_code == 3
    assert done.stdout.count("m2 judgements: 12 of 12") == 2  # once while it ran, once as it was left
