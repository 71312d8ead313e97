"""A run folder: what is appended stays, what is missing is made once, and a killed run owes at most one batch."""

import ast
import hashlib
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from selfreward import store
from selfreward.errors import BadInput, StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Prompt, Response
from selfreward.store import RunFolder, append, fill, open_run, read, read_json, read_rows, saving, write_json

QUIET = QuietProgress()


def prompt(text: str) -> Prompt:
    return Prompt(id=f"id-{text}", text=text, source="ift")


def make(items: list[str]) -> list[Prompt]:
    return [prompt(item) for item in items]


def filled(path: Path, items: list[str], batch: int = 2) -> list[Prompt]:
    return fill(path, Prompt, items, key=lambda item: f"id-{item}", make=make, batch=batch, progress=QUIET)


@pytest.fixture
def model(tmp_path: Path) -> str:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(save({}))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return str(folder)


@pytest.fixture
def recipe(model: str) -> Recipe:
    return Recipe(name="x", model=model)


# Hostile to line-wise files: separators that str.splitlines would cut at, quotes, control characters.
TEXTS = st.text(st.sampled_from('ab"\\\n\r\t\u2028\u0085\x1c é日{}'), min_size=0, max_size=6)


@settings(max_examples=60, deadline=None)
@given(items=st.lists(TEXTS, min_size=1, max_size=8, unique=True), batch=st.integers(1, 4), data=st.data())
def test_a_run_killed_at_any_byte_ends_with_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, items: list[str], batch: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fill")
    whole, killed = folder / "whole.jsonl", folder / "killed.jsonl"
    expected = filled(whole, items, batch)
    content = whole.read_bytes()
    killed.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert filled(killed, items, batch) == expected == make(items)
    assert killed.read_bytes() == content


@settings(max_examples=40, deadline=None)
@given(num=st.integers(1, 9), batch=st.integers(1, 4), calls=st.integers(0, 9))
def test_f28_an_interrupted_fill_owes_at_most_one_batch(
    tmp_path_factory: pytest.TempPathFactory, num: int, batch: int, calls: int
) -> None:
    path = tmp_path_factory.mktemp("fill") / "prompts.jsonl"
    items = [str(n) for n in range(num)]
    made: list[str] = []

    def until_killed(asked: list[str]) -> list[Prompt]:
        nonlocal calls
        if calls == 0:
            calls = -1  # the second launch is not interrupted
            raise KeyboardInterrupt
        calls -= 1
        made.extend(asked)
        return make(asked)

    for _ in range(2):
        try:
            fill(path, Prompt, items, key=lambda item: f"id-{item}", make=until_killed, batch=batch, progress=QUIET)
        except KeyboardInterrupt:
            assert len(read(path, Prompt)) == len(made) if made else not path.exists()
    assert made == items, "nothing is made twice"


def test_fill_joins_by_id_whatever_the_order_of_the_file_and_of_make(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    append(path, [prompt("c"), prompt("not wanted"), prompt("a")])
    asked: list[list[str]] = []

    def backwards(items: list[str]) -> list[Prompt]:
        asked.append(items)
        return make(items)[::-1]

    wanted = ["a", "b", "c", "d", "b"]
    records = fill(path, Prompt, wanted, key=lambda item: f"id-{item}", make=backwards, batch=9, progress=QUIET)
    assert [record.text for record in records] == wanted
    assert asked == [["b", "d"]]


def test_a_line_that_a_kill_has_torn_is_cut_off_and_counted(tmp_path: Path) -> None:
    path, logged = tmp_path / "m2" / "prompts.jsonl", list[dict[str, Any]]()
    filled(path, ["a", "b", "c"])
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    progress = QuietProgress(log=lambda **values: logged.append(values))
    fill(path, Prompt, ["a", "b", "c"], lambda item: f"id-{item}", make, 2, progress)
    assert path.read_bytes() == content
    torn = content.splitlines(keepends=True)[-1][:-7]
    assert logged[0] == {"torn": "m2/prompts.jsonl", "bytes": len(torn)}
    assert [values["items"] for values in logged[1:]] == [1]


def test_what_is_filled_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path, items = tmp_path / "prompts.jsonl", [f"{n}" for n in range(20)]
    found = filled(path, items[::-1], batch=3)
    again = filled(path, items)
    assert (again, again[3:5], again[-1], len(again)) == (make(items), make(items[3:5]), prompt("19"), 20)
    assert found == make(items[::-1]) and found != again
    path.write_bytes(path.read_bytes().replace(b'"text":"7"', b'"test":"7"'))
    with pytest.raises(StageFailed, match="was changed while it was in use"):
        again[7]


def test_what_was_finished_of_a_batch_that_fails_is_kept(tmp_path: Path) -> None:
    file, asked = tmp_path / "prompts.jsonl", list[str]()

    def make(texts: list[str]) -> list[Prompt]:
        asked.extend(texts)
        if "c" in texts and asked.count("c") == 1:
            made = [prompt(text) for text in reversed(texts) if text != "c"]
            raise StageFailed("the server hung up", made=made)
        return [prompt(text) for text in texts]

    with pytest.raises(StageFailed, match="hung up"):
        fill(file, Prompt, list("abcdef"), lambda text: prompt(text).id, make, 4, QuietProgress())
    assert [record.text for record in read(file, Prompt)] == ["a", "b", "d"]
    found = fill(file, Prompt, list("abcdef"), lambda text: prompt(text).id, make, 4, QuietProgress())
    assert [record.text for record in found] == list("abcdef")
    assert asked == list("abcd") + list("cef")


@settings(max_examples=40, deadline=None)
@given(items=st.lists(TEXTS, min_size=1, max_size=12, unique=True), cuts=st.lists(st.integers(0, 12)), data=st.data())
def test_a_file_that_is_filled_in_several_goes_is_the_one_filled_at_once_wherever_it_was_killed(
    tmp_path_factory: pytest.TempPathFactory, items: list[str], cuts: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("filling")
    filled(folder / "whole.jsonl", items, batch=1)
    content, path = (folder / "whole.jsonl").read_bytes(), folder / "goes.jsonl"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    ends = [0, *sorted(cut for cut in cuts if cut < len(items)), len(items)]
    filling = store.Filling(path, Prompt, QUIET)
    for begin, end in itertools.pairwise(ends):
        wanted = items[begin:end]
        assert filling.fill(wanted + wanted[:1], lambda item: f"id-{item}", make) == make(wanted + wanted[:1])
        assert filling.fill(wanted, lambda item: f"id-{item}", lambda _: pytest.fail("made twice")) == make(wanted)
    assert path.read_bytes() == content


def test_a_file_that_is_filled_in_several_goes_is_read_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read_lines = tmp_path / "m2" / "attempts.jsonl", list[bytes]()
    filled(path, [str(n) for n in range(10)])
    path.write_bytes(path.read_bytes()[:-3])
    read_record = store.lines.read_record
    monkeypatch.setattr(
        store.lines, "read_record", lambda kind, line: read_lines.append(line) or read_record(kind, line)
    )
    logged: list[dict[str, Any]] = []
    filling = store.Filling(path, Prompt, QuietProgress(log=lambda **values: logged.append(values)))
    for first in range(0, 100, 5):
        filling.fill([str(n) for n in range(first, first + 5)], lambda item: f"id-{item}", make)
    assert len(read_lines) == 9
    assert [values["torn"] for values in logged] == ["m2/attempts.jsonl"]


def test_fill_refuses_records_it_did_not_ask_for(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    with pytest.raises(StageFailed, match="do not match"):
        fill(path, Prompt, ["a"], key=lambda item: "id-a", make=lambda items: [prompt("b")], batch=1, progress=QUIET)
    assert not path.exists()


def test_f16_a_file_is_only_ever_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    before = b""
    for items in (["a", "b", "c"], ["c", "d"], ["z"], []):
        filled(path, items)
        after = path.read_bytes()
        assert after.startswith(before)
        before = after
    assert len(read(path, Prompt)) == 5


def test_f16_every_stage_has_a_file_of_its_own() -> None:
    names = [value for name, value in vars(store).items() if name.endswith(("_FILE", "_FOLDER"))]
    assert len(names) == len(set(names)) >= 14


def test_f27_a_file_of_another_record_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    append(path, [prompt("a")])
    with pytest.raises(BadInput, match=r"prompts\.jsonl:1: not a Response"):
        read(path, Response)


@pytest.mark.parametrize("damage", ["{", "null", '{"id": "x"}', "\x00\x00", "[1]"])
def test_damage_inside_a_file_is_named_with_its_line_and_never_cut(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "prompts.jsonl"
    good = prompt("a").model_dump_json()
    path.write_text(f"{good}\n{damage}\n{good}\n")
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"prompts\.jsonl:2: not a Prompt"):
        filled(path, ["b"])
    assert path.read_bytes() == before


def test_a_last_line_without_its_line_feed_is_kept_if_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ift.jsonl"
    path.write_text(f"{prompt('a').model_dump_json()}\n{prompt('b').model_dump_json()}")
    assert [record.text for record in read(path, Prompt)] == ["a", "b"]
    append(path, [prompt("c")])
    assert [record.text for record in read(path, Prompt)] == ["a", "b", "c"]


def test_reading_never_changes_a_file_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    content = f"{prompt('a').model_dump_json()}\n" + '{"id": "b", "te'
    path.write_text(content)
    assert [record.text for record in read(path, Prompt)] == ["a"]
    assert path.read_text() == content


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.jsonl: cannot be read"):
        read(tmp_path / "none.jsonl", Prompt)
    assert read_rows(tmp_path / "none.jsonl") == []


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prompts.jsonl"
    filled(path, ["a", "b"])

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(StageFailed, match=r"prompts\.jsonl: cannot be written: No space left") as raised:
            filled(path, ["a", "b", "c", "d", "e"])
    assert "\n" not in str(raised.value)
    assert filled(path, ["a", "b", "c", "d", "e"]) == make(["a", "b", "c", "d", "e"])


def test_json_is_replaced_whole_and_has_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "eval.json"
    write_json(path, {"a": float("nan"), "b": [np.float32(0.5), float("inf")], "c": np.int64(3), 4: "é"})
    assert read_json(path) == {"a": None, "b": [0.5, None], "c": 3, "4": "é"}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path)["c"] == 3
    path.write_text("{")
    with pytest.raises(BadInput, match=r"eval\.json: not JSON"):
        read_json(path)


def test_a_saved_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "m1" / "model"
    with pytest.raises(KeyboardInterrupt), saving(folder) as inside:
        (inside / "half").touch()
        raise KeyboardInterrupt
    assert not folder.exists()
    with saving(folder) as inside:
        (inside / "model.safetensors").write_text("weights")
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    with pytest.raises(StageFailed, match="is there already"), saving(folder):
        pass


@pytest.mark.parametrize(
    "said",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0\nframe #0: ...",
        "PytorchStreamWriter failed writing file data/3: file write failed",
    ],
)
def test_a_full_disk_that_only_a_librarys_text_tells_of_is_one_line_too(tmp_path: Path, said: str) -> None:
    with pytest.raises(StageFailed, match="cannot be written") as raised, saving(tmp_path / "model"):
        raise RuntimeError(said)
    assert "\n" not in str(raised.value)
    assert "No space left" in str(raised.value) or "full disk" in str(raised.value)
    with pytest.raises(ZeroDivisionError), saving(tmp_path / "model"):
        raise ZeroDivisionError


def test_a_run_writes_its_recipe_and_its_stamp(tmp_path: Path, recipe: Recipe) -> None:
    with open_run(tmp_path / "run", recipe, ["selfreward", "run", "a b"]) as run:
        run.log(stage="m2 prompts", seconds=np.float64(1.5), loss=float("nan"))
    assert RunFolder(tmp_path / "run").recipe() == recipe
    stamp = read_json(tmp_path / "run" / "stamp.json")
    assert stamp["command"] == "selfreward run 'a b'"
    assert stamp["versions"]["torch"] and stamp["hardware"]["cores"] >= 1
    assert list(stamp["weights"]) == ["model.safetensors"] and len(stamp["weights"]["model.safetensors"]) == 64
    (row,) = read_rows(run.metrics)
    assert (row["stage"], row["seconds"], row["loss"]) == ("m2 prompts", 1.5, None)


def test_a_log_that_cannot_be_written_prints_no_traceback(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(self: logging.FileHandler, *_: object) -> None:
        raise OSError(28, "No space left on device")

    with open_run(tmp_path / "run", recipe):
        monkeypatch.setattr(logging.FileHandler, "format", full)
        logging.getLogger("selfreward").warning("what nobody will read")
    assert "Traceback" not in capfd.readouterr().err


def test_every_launch_has_a_log_of_its_own_with_what_ended_it(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(ZeroDivisionError), open_run(tmp_path / "run", recipe):
        raise ZeroDivisionError
    with open_run(tmp_path / "run", recipe):
        pass
    logs = tmp_path / "run" / "logs"
    assert sorted(path.name for path in logs.iterdir()) == ["attempt_1", "attempt_2"]
    assert RunFolder(logs.parent).attempt == logs / "attempt_2"
    assert "ZeroDivisionError" in (logs / "attempt_1" / "log.txt").read_text()
    assert (logs / "attempt_2" / "log.txt").read_text() == ""
    assert (logs / "attempt_2" / "stamp.json").exists()


def test_a_folder_with_another_recipe_is_refused_and_says_what_differs(tmp_path: Path, recipe: Recipe) -> None:
    with open_run(tmp_path / "run", recipe):
        pass
    other = Recipe.of({**recipe.model_dump(), "seed": 7, "dpo": {"beta": 0.2}})
    with pytest.raises(BadInput) as raised, open_run(tmp_path / "run", other):
        pass
    assert "seed: 0 there, 7 given" in str(raised.value) and "dpo.beta: 0.1 there, 0.2 given" in str(raised.value)
    assert "sft" not in str(raised.value).replace(str(tmp_path), "")


def test_a_run_whose_judge_template_was_edited_does_not_go_on_with_the_other_words(
    tmp_path: Path, recipe: Recipe
) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("Judge {{ prompt }} and {{ response }}.")
    named = Recipe.of({**recipe.model_dump(), "judge": {"template": str(template)}})
    for _ in range(2):
        with open_run(tmp_path / "run", named) as run:
            assert run.judge_text() == hashlib.sha256(template.read_bytes()).hexdigest()
            assert {kind: list(of) for kind, of in run.template_hashes().items()} == {
                "judge": [str(template)], "prompts": ["few_shot"], "pairwise": ["meta_judge"],
            }  # fmt: skip
    template.write_text("Judge {{ prompt }} and {{ response }} kindly.")
    with (
        pytest.raises(BadInput, match=r"the judge template .*mine.jinja has been edited"),
        open_run(tmp_path / "run", named),
    ):
        pass
    stamp = tmp_path / "run" / "stamp.json"
    stamp.write_text(json.dumps({key: value for key, value in read_json(stamp).items() if key != "templates"}))
    with open_run(tmp_path / "run", named) as run:  # a run from before stamps held hashes of templates
        assert run.template_hashes() == {} and run.judge_text() is None


def test_a_run_may_go_on_with_smaller_batches_and_another_plan(tmp_path: Path, recipe: Recipe) -> None:
    with open_run(tmp_path / "run", recipe):
        pass
    changes = {"engine": {"batch_size": 1, "threads": 1}, "plan": {"judgement_tokens": 7}}
    with open_run(tmp_path / "run", Recipe.of({**recipe.model_dump(), **changes})) as run:
        assert run.recipe() == recipe


def test_a_run_may_go_on_with_a_server_that_was_moved_but_not_with_another_judge(
    tmp_path: Path, recipe: Recipe
) -> None:
    def judged_by(**server: Any) -> Recipe:
        engine = {"name": "server", "server": {"url": "http://a:1/v1", "model": "big", **server}}
        return Recipe.of({**recipe.model_dump(), "judge": {"engine": engine}})

    with open_run(tmp_path / "run", judged_by()):
        pass
    with open_run(tmp_path / "run", judged_by(url="http://b:2/v1", api_key_env="KEY", concurrency=2, timeout_s=9)):
        pass
    for other in (judged_by(model="small"), recipe):
        with pytest.raises(BadInput, match=r"judge\.engine\."), open_run(tmp_path / "run", other):
            pass


def test_a_folder_that_is_no_run_is_left_as_it_is(tmp_path: Path, recipe: Recipe) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").touch()
    with pytest.raises(BadInput, match=r"not a run folder.*cat\.jpg"), open_run(folder, recipe):
        pass
    assert [path.name for path in folder.iterdir()] == ["cat.jpg"]
    with pytest.raises(BadInput, match="is a file"), open_run(folder / "cat.jpg", recipe):
        pass
    with pytest.raises(BadInput, match="no such run"):
        RunFolder(tmp_path / "none").recipe()


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"), open_run(tmp_path / "file" / "run", recipe):
        pass


def test_a_start_that_was_killed_before_its_recipe_was_written_starts_again(tmp_path: Path, recipe: Recipe) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.lock").write_text("1")
    (folder / "recipe.yaml.tmp").write_text("name: x\nrou")
    with open_run(folder, recipe) as run:
        assert run.recipe() == recipe


HOLDER = """
import sys, time
from selfreward.recipe import Recipe
from selfreward.store import open_run
with open_run(sys.argv[1], Recipe(name="x", model=sys.argv[2])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path, model: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run"), model]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def test_two_processes_never_share_a_folder_and_a_dead_one_holds_nothing(
    tmp_path: Path, recipe: Recipe, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(BadInput, match=f"process {holder.pid} is running"), open_run(tmp_path / "run", recipe):
        pass
    assert RunFolder(tmp_path / "run").recipe() == recipe, "reading needs no lock"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / "run.lock").read_text() == str(holder.pid)
    with open_run(tmp_path / "run", recipe):
        assert (tmp_path / "run" / "run.lock").read_text() == str(os.getpid())


def test_a_run_knows_its_finished_models(tmp_path: Path, recipe: Recipe, model: str) -> None:
    with open_run(tmp_path / "run", recipe) as run:
        for name in ("m2", "sft", "m1"):
            (run.folder(name) / "model").mkdir()
        run.folder("m3")
        assert run.models() == ["m0", "sft", "m1", "m2"]
        assert run.model_path("m0") == model
        assert run.model_path("m2") == str(run.path / "m2" / "model")
        with pytest.raises(BadInput, match="no model 'm3'"):
            run.model_path("m3")


def test_stages_are_timed_even_when_they_fail_and_skipped_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = []
    progress = QuietProgress(log=lambda **scalars: rows.append(scalars))
    path = tmp_path / "m2" / "prompts.jsonl"
    for _ in range(2):
        fill(path, Prompt, ["a", "b"], key=lambda item: f"id-{item}", make=make, batch=1, progress=progress)
    with pytest.raises(ZeroDivisionError), progress.stage("train m2", 5) as advance:
        time.sleep(0.02)
        advance(3)
        raise ZeroDivisionError
    assert [(row["stage"], row["items"]) for row in rows] == [("m2 prompts", 2), ("train m2", 3)]
    assert 0.02 <= float(str(rows[1]["seconds"])) < 1


def test_metrics_are_readable_after_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.log(loss=1)
    with run.metrics.open("a") as file:
        file.write('{"time": 1, "lo')
    assert [row["loss"] for row in read_rows(run.metrics)] == [1]
    run.log(loss=2)
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [row["loss"] for row in rows if "loss" in row] == [1, 2]
    assert [(row["torn"], row["bytes"]) for row in rows if "torn" in row] == [("metrics.jsonl", 15)]


def test_the_time_of_day_is_written_down_and_waited_for_where_a_server_names_it_and_decides_nothing_else() -> None:
    """A clock may jump: what is timed goes by time.monotonic."""
    package = Path(store.__file__).parents[1]
    asked = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("time.time", "time.gmtime", "time.localtime", "datetime.now", "datetime.utcnow")
    }
    shown = {"report/watched.py", "viewer/app.py"}  # how long ago something was
    assert asked == {"store/run.py", "stamp.py", "engines/endpoint.py", "labels.py", *shown}
