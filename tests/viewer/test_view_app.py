"""The web app, asked as a browser and as an attacker asks it."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient
from support_view import HOSTILE, write_run
from typer.testing import CliRunner

import selfreward.viewer
from selfreward import store
from selfreward.cli import app as command
from selfreward.errors import BadInput
from selfreward.labels import labels
from selfreward.records import Pair, Record
from selfreward.viewer.app import make_app
from selfreward.viewer.guard import HEADERS, MOST_BODY_BYTES
from selfreward.viewer.indexes import Indexes
from selfreward.viewer.runs import check_places, find_runs
from selfreward.viewer.workers import Job, Workers

CLI = CliRunner()
ORIGIN = "http://127.0.0.1:8350"
FORM = "application/x-www-form-urlencoded"


class AskedWorkers(Workers):
    """Remembers what it was asked and answers at once that it cannot."""

    def __init__(self) -> None:
        self.asked: list[Record] = []
        self.jobs: dict[str, Job] = {}

    def ask(self, question: Record, model: str) -> Job:
        self.asked.append(question)
        return self.jobs.setdefault(str(len(self.asked)), Job(str(len(self.asked)), model, error=f"no {HOSTILE}"))

    def job(self, id: str) -> Job | None:
        return self.jobs.get(id)


@pytest.fixture
def workers() -> AskedWorkers:
    return AskedWorkers()


@pytest.fixture
def client(run: Path, indexes: Indexes, workers: AskedWorkers) -> Iterator[TestClient]:
    with TestClient(make_app([run.parent], indexes, workers), base_url=ORIGIN, raise_server_exceptions=False) as one:
        yield one


def get(client: TestClient, path: str, status: int = 200, **parameters: str) -> str:
    answer = client.get(path, params=parameters or None)
    assert answer.status_code == status, answer.text[-500:]
    return answer.text


def token(client: TestClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', get(client, "/runs/looked-at/files/m2/pairs/0"))
    assert found is not None
    return found[1]


PAIRS, PAIR = "/runs/looked-at/files/m2/pairs", "/runs/looked-at/files/m2/pairs/0"
PAGES = [
    "/",
    "/runs/looked-at",
    "/runs/looked-at/live",
    PAIRS,
    PAIR,
    "/runs/looked-at/answers",
    "/static/app.css",
    "/none",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_forbids_scripts_frames_and_leaks(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize("part", ["seed", "sft", "m2"])
def test_every_file_of_a_run_can_be_browsed_and_every_line_opened(client: TestClient, run: Path, part: str) -> None:
    for path in (run / part).glob("*.jsonl"):
        address = f"/runs/looked-at/files/{part}/{path.stem}"
        text = get(client, address)
        begins = re.findall(rf'href="{address}/(\d+)"', text)
        assert begins
        for begin in begins[:2]:
            get(client, f"{address}/{begin}")


def test_hostile_text_is_text_everywhere(client: TestClient, run: Path) -> None:
    last = store.read(run / "m2" / store.PAIRS_FILE, Pair)[-1]
    begin = (run / "m2" / store.PAIRS_FILE).read_bytes().rindex(b"\n", 0, -1) + 1
    pages = [PAIRS, f"{PAIRS}/{begin}", "/runs/looked-at/live", "/runs/looked-at/files/m2/judgements"]
    for text in (get(client, path, q="script") for path in pages):
        assert "<script>alert" not in text and not set(text) & {"\x1b", "\x00", "\u202e"}
    assert "<b>xerus</b>" not in get(client, f"{PAIRS}/{begin}") and last.prompt.startswith("Say <script>")
    assert r"&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }} \u001b[31mred \u202eback \u0000" in get(
        client, f"{PAIRS}/{begin}"
    )


def test_pages_hold_no_inline_script_or_style(client: TestClient) -> None:
    for path in (path for path in PAGES if not path.startswith("/static")):
        text = get(client, path, 404 if path == "/none" else 200)
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text)
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", text)


@pytest.mark.parametrize("host", [
    "evil.example", "127.0.0.1.evil.example", "localhost.evil:8350", "127.0.0.1:8350@evil", "", "[::1]:8350",
])  # fmt: skip
def test_a_name_that_was_made_to_lead_here_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 421 and "looked-at" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8350", "localhost:8350", "localhost", "127.0.0.1:9"])
def test_this_machine_is_answered_whatever_the_port_of_a_tunnel(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("change", [
    {"origin": "http://evil.example"}, {"origin": None}, {"origin": "null"}, {"origin": "http://localhost:8350"},
    {"origin": "https://127.0.0.1:8350"}, {"token": "x"}, {"token": None}, {"token": "é"}, {"type": "text/plain"},
    {"type": "application/json"}, {"more": "x" * MOST_BODY_BYTES},
])  # fmt: skip
@pytest.mark.parametrize("path", ["label", "judge"])
def test_a_form_of_another_site_changes_nothing(
    client: TestClient, run: Path, workers: AskedWorkers, path: str, change: dict[str, str | None]
) -> None:
    given = {"token": token(client), "origin": ORIGIN, "type": FORM} | change
    headers = {name: given[key] for name, key in (("Origin", "origin"), ("Content-Type", "type")) if given[key]}
    fields = {"part": "m2", "file": "pairs", "begin": "0", "said": "right", "model": "m1", "votes": "1"}
    fields |= {key: given[key] for key in ("token", "more") if given.get(key)}
    answer = client.post(f"/runs/looked-at/{path}", content=urlencode(fields), headers=headers)
    assert answer.status_code == 403
    assert labels(run) == {} and workers.asked == []


@pytest.mark.parametrize("path", [
    "/runs/../files/m2/pairs", "/runs/%2e%2e/files/m2/pairs", "/runs/looked-at/files/%2e%2e/metrics",
    "/runs/looked-at/files/m2/%2e%2e%2fmetrics",
    "/runs/looked-at/files/logs/log", "/runs/looked-at/files/m2%2f..%2fseed/ift", "/runs/looked-at/files/m2/pairs.jsonl",
    "/runs/%2fetc/files/m2/passwd", "/static/../app.py", "/static/%2e%2e%2fapp.py", "/runs/looked-at/files/m2/pairs/1",
    "/runs/looked-at/files/m2/pairs/-1", "/runs/looked-at/files/m2/pairs/99999999999999999999", "/runs/looked-at/files/m2/pairs/x",
    "/jobs/none", "/runs/none", "/docs", "/openapi.json",
])  # fmt: skip
def test_no_address_leads_out_of_the_runs_or_to_a_fault(client: TestClient, path: str) -> None:
    assert client.get(path, follow_redirects=False).status_code == 404


def test_a_link_that_leads_out_of_a_run_is_not_followed(client: TestClient, run: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"secret": 1}\n')
    (run / "m2" / "stolen.jsonl").symlink_to(secret)
    (run / "m2" / "meta_judgements.jsonl").write_text('{"shown": 1}\n')
    get(client, "/runs/looked-at/files/m2/stolen", 404)
    assert "shown" in get(client, "/runs/looked-at/files/m2/meta_judgements")


def test_search_filters_and_pages_find_what_is_there(client: TestClient) -> None:
    assert "60 found" in get(client, PAIRS, q="zebra")
    assert "1 found" in get(client, PAIRS, q='"number 7"')
    assert "<mark>zebra</mark>" in get(client, PAIRS, q="zebra")
    assert "60 found" in get(client, "/runs/looked-at/files/m2/judgements", least="4,5")
    assert "60 found" in get(client, "/runs/looked-at/files/m2/judgements", odd="1")
    assert "Nothing is found" in get(client, PAIRS, least="4.5")
    assert "60 lines" in get(client, PAIRS, least="no number", order="no order", at="-3", page="x")
    assert 'href="?q=zebra&amp;page=1"' in get(client, PAIRS, q="zebra")


def test_pages_of_a_file_lead_through_all_of_it_and_back(client: TestClient) -> None:
    seen, path = [], PAIRS
    while True:
        text = get(client, path)
        seen.append(re.findall(r'href="/runs/looked-at/files/m2/pairs/(\d+)"', text))
        following = re.search(r'<a href="(\?at=\d+)" rel="next"', text)
        if following is None:
            break
        path = PAIRS + following[1]
    assert sum(map(len, seen)) == len({begin for page in seen for begin in page}) == 60
    before = re.search(r'<a href="(\?at=\d+)" rel="prev"', text)
    assert before is not None
    assert re.findall(r'href="/runs/looked-at/files/m2/pairs/(\d+)"', get(client, PAIRS + before[1])) == seen[-2]


def test_a_pair_is_marked_shown_as_marked_filtered_and_taken_back(client: TestClient, run: Path) -> None:
    fields = {"token": token(client), "part": "m2", "file": "pairs", "begin": "0"}
    for said, found in (("wrong", [False]), ("right", [True]), ("nothing", [])):
        answer = client.post("/runs/looked-at/label", data=fields | {"said": said}, headers={"Origin": ORIGIN})
        assert answer.status_code == 200 and answer.url.path == PAIR
        assert [one.is_right for one in labels(run).values()] == found
        assert answer.text.count('aria-pressed="true"') == len(found)
        assert ("1 found" in get(client, PAIRS, label="any")) == bool(found)
    answer = client.post("/runs/looked-at/label", data=fields | {"said": "perhaps"}, headers={"Origin": ORIGIN})
    assert answer.status_code == 404


def test_judging_again_asks_for_that_response_and_writes_nothing(
    client: TestClient, run: Path, workers: AskedWorkers
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    pair = store.read(run / "m2" / store.PAIRS_FILE, Pair)[0]
    fields = {
        "token": token(client),
        "part": "m2",
        "file": "pairs",
        "begin": "0",
        "response": pair.chosen_id,
        "votes": "2",
    }
    answer = client.post("/runs/looked-at/judge", data=fields | {"model": "m2"}, headers={"Origin": ORIGIN})
    assert answer.status_code == 200 and answer.url.path == "/jobs/1"
    assert "Not judged: no &lt;script&gt;" in answer.text
    (question,) = workers.asked
    asked = json.loads(question.model_dump_json())
    assert asked == {"run": str(run), "model": "m2", "prompt": pair.prompt, "response": pair.chosen, "votes": 2}
    for change in (
        {"model": "m9"}, {"model": "../m1"}, {"votes": "0"}, {"votes": "99"}, {"votes": "x"}, {"response": "x"},
        {"file": "attempts", "begin": "5"},
    ):  # fmt: skip
        refused = client.post(
            "/runs/looked-at/judge", data=fields | {"model": "m2"} | change, headers={"Origin": ORIGIN}
        )
        assert refused.status_code in (400, 404), change
    assert len(workers.asked) == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_two_models_answers_are_joined_by_prompt_whatever_their_order(client: TestClient) -> None:
    text = get(client, "/runs/looked-at/answers", one="m2", other="sft")
    rows = re.findall(r"m2 says zebra of: Held out (\d+)\..*?sft says zebra of: Held out (\d+)\.", text, re.DOTALL)
    assert len(rows) == 25 and all(ours == theirs for ours, theirs in rows)
    assert "1 found" not in text and "Held out 7." in get(
        client, "/runs/looked-at/answers", one="m2", other="sft", q='"out 7"'
    )
    get(client, "/runs/looked-at/answers", 404, one="m2", other="../sft")


def test_lines_of_a_megabyte_are_cut_with_a_note_and_shown_whole_when_asked(client: TestClient, run: Path) -> None:
    path = run / "m2" / store.PAIRS_FILE
    one = store.read(path, Pair)[0]
    long = one.model_copy(update={"id": "long", "prompt_id": "long", "chosen": "word " * 220_000})
    (begin,) = store.append(path, [long])
    listed = get(client, PAIRS, at=str(begin))
    assert "1,099,400 more characters" in listed and len(listed) < 30_000
    assert "1,080,000 more characters" in get(client, f"{PAIRS}/{begin}")
    whole = get(client, f"{PAIRS}/{begin}", whole="1")
    assert "more characters" not in whole and len(whole) > 1_100_000


def test_a_damaged_line_is_shown_with_its_fault_and_the_others_as_they_are(client: TestClient, run: Path) -> None:
    path = run / "m2" / store.PAIRS_FILE
    path.write_text("<i>no JSON\n" + path.read_text())
    text = get(client, PAIRS)
    assert "This line cannot be read" in text and "&lt;i&gt;no JSON" in text and "zebra" in text
    get(client, f"{PAIRS}/0")


def test_runs_are_listed_damaged_ones_with_their_fault(client: TestClient, run: Path) -> None:
    broken = run.parent / "broken"
    broken.mkdir()
    (broken / "recipe.yaml").write_text("dpo: {bta: 1}\nname: x")
    write_run(run.parent / "a b&c?", 3)
    text = get(client, "/")
    assert "did you mean" in text and "/runs/a%20b%26c%3F" in text
    get(client, "/runs/a%20b%26c%3F/files/m2/pairs/0")
    get(client, "/runs/broken", 400)


def test_many_runs_are_listed_page_by_page(client: TestClient, run: Path) -> None:
    for number in range(51):
        (run.parent / f"run-{number}").mkdir()
        (run.parent / f"run-{number}" / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    first, second = get(client, "/"), get(client, "/", page="1")
    names = re.findall(r'href="/runs/([^"]+)"', first), re.findall(r'href="/runs/([^"]+)"', second)
    assert [len(found) for found in names] == [50, 2] and len({*names[0], *names[1]}) == 52
    assert 'href="?page=1"' in first and 'href="?page=0"' in second


def test_a_stage_in_a_folder_that_is_no_models_is_followed_too(client: TestClient, run: Path) -> None:
    aside = run / "aside" / "scores.jsonl"
    store.write_text(aside, "{}\n{}\n")
    os.utime(aside, (2**31, 2**31))
    with (run / store.LOCK_FILE).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "aside scores: 2" in get(client, "/runs/looked-at/live")


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_run(tmp_path / folder / "same", 3)
    found = find_runs([tmp_path / "one", tmp_path / "two", tmp_path / "one" / "same"])
    assert len(found) == 2 and all(re.fullmatch(r"same~[0-9a-f]{6}", name) for name in found)
    assert list(find_runs([tmp_path / "one" / "same"])) == ["same"]


def test_a_place_without_runs_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run in it"):
        check_places([tmp_path])
    with pytest.raises(BadInput, match="no such folder"):
        check_places([tmp_path / "none"])


def test_a_run_that_has_only_begun_can_be_looked_at(client: TestClient, run: Path) -> None:
    begun = run.parent / "begun"
    begun.mkdir()
    (begun / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    for path in ("", "/live"):
        assert "stopped" in get(client, f"/runs/begun{path}")
    get(client, "/runs/begun/answers", 404)


def test_the_log_of_a_run_that_stopped_says_why(client: TestClient, run: Path) -> None:
    (run / "m2" / store.EVAL_FILE).unlink()
    store.write_text(run / "logs" / "attempt_1" / "log.txt", f"one\n<b>disk full {HOSTILE}\n")
    text = get(client, "/runs/looked-at/live")
    assert "log: &lt;b&gt;disk full" in text and "one" not in text


def test_the_command_serves_until_it_is_ended_and_leaves_nothing_behind(run: Path, tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-m", "selfreward.cli", "view", str(run), "--port", "0"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    address = process.stderr.readline().split()[0]
    assert address.startswith("http://127.0.0.1:")
    with urlopen(address) as answer:
        assert b"looked-at" in answer.read()
    process.terminate()
    assert process.wait(30) == 130
    assert process.stderr.read() == "interrupted\n"


def test_the_command_says_what_to_install_and_which_port_is_taken(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = CLI.invoke(command, ["view", str(run), "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 2 and "cannot be used" in done.stderr and len(done.stderr.splitlines()) == 1
    monkeypatch.setattr(selfreward.viewer, "find_spec", lambda name: None)
    done = CLI.invoke(command, ["view", str(run)])
    assert done.exit_code == 2 and "pip install 'selfreward[view]'" in done.stderr


def test_the_app_imports_no_torch() -> None:
    names = "('torch', 'transformers', 'trl')"
    heavy = f"import sys, selfreward.viewer.serving; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
