"""The vllm engine over a fake `vllm`: it starts, answers, ends with all its processes, and says why where it fails."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support_vllm import TESTS, is_running, put_vllm_on_path

from selfreward.engines import check_engine, endpoint, open_engine, vllm
from selfreward.engines.base import Request, Sampling, Unanswered
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import EngineOptions

WARM = Sampling(0.7, 0.9, 16)
REQUESTS = [Request(f"r{i}", f"write about {i}", 3, 7 * i) for i in range(3)]


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "BACKOFF_S", 0.05)
    monkeypatch.setattr(vllm, "POLL_S", 0.05)
    monkeypatch.setattr(vllm, "POLL_ANSWER_S", 0.5)


def options(**settings: Any) -> EngineOptions:
    return EngineOptions.model_validate({"name": "vllm", **settings})


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()]


def test_it_starts_a_server_asks_it_and_ends_it_with_all_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put_vllm_on_path(tmp_path, monkeypatch)
    engine: Any = open_engine(options(), "runs/m1/model")
    server, worker = pids(file)
    assert is_running(server) and is_running(worker)
    answers = engine.generate(REQUESTS, WARM)
    assert [len(samples) for samples in answers] == [3, 3, 3]
    assert engine.score_tokens([("judge", "Score: ")], ["3", "4"]) == [pytest.approx((0.6, 0.3))]
    assert engine.usage()["answered_by"].keys() == {"runs/m1/model"}
    engine.close()
    assert not is_running(server) and not is_running(worker)
    engine.close()


def test_the_server_is_started_with_what_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_vllm_on_path(tmp_path, monkeypatch)
    engine: Any = open_engine(
        options(dtype="bfloat16", trust_remote_code=True, vllm={"args": ["--max-model-len", "512"]}), "m"
    )
    said = engine._server._end_of_log()
    engine.close()
    for words in (
        "no usage statistics: 1",
        "--max-model-len 512",
        "--dtype bfloat16",
        "--trust-remote-code",
        "--generation-config vllm",
        "--host 127.0.0.1",
    ):
        assert words in said


def test_a_server_that_does_not_listen_to_its_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put_vllm_on_path(tmp_path, monkeypatch, fault="stubborn")
    monkeypatch.setattr(vllm, "STOP_S", 0.3)
    open_engine(options(), "m").close()
    assert not any(map(is_running, pids(file)))


def test_a_crash_during_the_start_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_vllm_on_path(tmp_path, monkeypatch, fault="crash")
    with pytest.raises(StageFailed, match=r"vllm serve ended with 3; its log ends:\n(.*\n)*.*weights are 80 GiB"):
        open_engine(options(), "m")


def test_a_start_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_vllm_on_path(tmp_path, monkeypatch, fault="mute")
    began = time.monotonic()
    with pytest.raises(StageFailed, match=r"did not answer within 1 s.*\n.*starting serve m"):
        open_engine(options(vllm={"start_s": 1}), "m")
    assert time.monotonic() - began < 10


def test_a_crash_in_use_is_told_at_once_and_keeps_what_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_vllm_on_path(tmp_path, monkeypatch, fault="mortal")
    engine = open_engine(options(server={"concurrency": 1}), "m")
    with pytest.raises(
        Unanswered, match=r"vllm serve ended with 7; its log ends:\n(.*\n)*.*illegal memory access"
    ) as raised:
        engine.generate([Request(f"r{i}", f"write about {i}", 2, i) for i in range(20)], WARM)
    engine.close()
    answers = raised.value.answers
    assert [answer is not None for answer in answers] == [True] * 2 + [False] * 18  # the probe was five of seven


def test_a_port_that_another_process_takes_first_is_left_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_vllm_on_path(tmp_path, monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], vllm.free_port()]
        monkeypatch.setattr(vllm, "free_port", lambda: ports.pop(0))
        engine = open_engine(options(), "m")
        assert engine.generate(REQUESTS, WARM)
        engine.close()
    assert ports == []


def test_the_end_of_the_interpreter_ends_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put_vllm_on_path(tmp_path, monkeypatch)
    script = (
        "from selfreward.engines import open_engine\nfrom selfreward.recipe import EngineOptions\n"
        "engine = open_engine(EngineOptions(name='vllm'), 'm')\nraise RuntimeError('forgot to close it')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=TESTS.parent, capture_output=True, text=True, timeout=60)
    assert "forgot to close it" in done.stderr
    assert len(pids(file)) == 2 and not any(map(is_running, pids(file)))


@pytest.mark.parametrize("fault", ["", "stubborn"])
def test_a_kill_of_the_one_that_started_it_ends_the_server_with_all_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    file = put_vllm_on_path(tmp_path, monkeypatch, fault)
    script = (
        "import time\nfrom selfreward.engines import open_engine, vllm\nfrom selfreward.recipe import EngineOptions\n"
        "vllm.STOP_S = 0.3\nengine = open_engine(EngineOptions(name='vllm'), 'm')\nprint('up', flush=True)\ntime.sleep(60)"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=TESTS.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        assert len(pids(file)) == 2 and all(map(is_running, pids(file)))
        process.kill()
    deadline = time.monotonic() + 20
    while any(map(is_running, pids(file))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids(file)))


def test_nobody_waits_any_longer_for_a_server_that_was_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_vllm_on_path(tmp_path, monkeypatch)
    engine: Any = open_engine(options(), "m")
    watcher = engine._server._watcher.pid
    assert is_running(watcher)
    engine.close()
    assert not is_running(watcher)


def test_ctrl_c_on_the_terminal_does_not_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put_vllm_on_path(tmp_path, monkeypatch)
    engine = open_engine(options(), "m")
    assert os.getpgid(pids(file)[0]) != os.getpgid(0)
    os.kill(pids(file)[1], signal.SIGTERM)
    engine.close()


def test_the_command_is_found_beside_this_python_where_its_environment_is_not_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_vllm_on_path(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert vllm.find_vllm() == str(tmp_path / "vllm")


def test_without_a_vllm_command_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(BadInput, match=r"there is no vllm command; pip install 'selfreward\[vllm\]'"):
        check_engine(options())
