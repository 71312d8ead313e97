"""The index of a file: what it finds, that it goes on where a file was added to, and that it is never of another file."""

import json
import os
import sqlite3
import time
from pathlib import Path

import pytest
from support_view import HOSTILE, judged, prompts_of, sampled

from selfreward import store
from selfreward.viewer import indexes as indexes_module
from selfreward.viewer.index import Index, Query, forget_gone, key, match_of, terms
from selfreward.viewer.indexes import Indexes
from selfreward.viewer.runs import source_of


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def made(file: Path, cache: Path) -> Index:
    index = Index(file, cache)
    index.update()
    return index


def ids(index: Index, query: Query, num: int = 1000) -> list[str]:
    lines = []
    for begin in index.find(query, 0, num).begins:
        with index.source.open("rb") as file:
            file.seek(begin)
            lines.append(json.loads(file.readline()))
    return [line["id"] for line in lines]


def test_words_phrases_and_beginnings_are_found_and_nothing_else(run: Path, cache: Path) -> None:
    index = made(run / "m2" / store.PAIRS_FILE, cache)
    assert index.find(Query(words="zebra"), 0, 5).num == 60
    assert index.find(Query(words='"animal number 7"'), 0, 5).num == 1
    assert index.find(Query(words='"number animal"'), 0, 5).num == 0
    assert index.find(Query(words="anim* 7"), 0, 5).num == 1
    assert index.find(Query(words="猫"), 0, 5).num == 1


@pytest.mark.parametrize("words", [
    "NOT", "a OR b", '"', '""', "*", "zebra*)", "^zebra", "text:zebra", "-", "NEAR(a b)", "a\x00b", "'; drop table lines",
])  # fmt: skip
def test_no_search_is_an_error_or_a_command(run: Path, cache: Path, words: str) -> None:
    index = made(run / "m2" / store.PAIRS_FILE, cache)
    found = index.find(Query(words=words), 0, 5)
    assert found.num <= 60
    with sqlite3.connect(index.path) as database:
        if terms(words):
            database.execute("select count(*) from words where words match ?", (match_of(words),)).fetchone()
    assert index.find(Query(words="zebra"), 0, 5).num == 60


def test_values_filter_and_order_and_pages_follow_one_another(run: Path, cache: Path) -> None:
    index = made(run / "m2" / store.JUDGEMENTS_FILE, cache)
    assert index.find(Query(least=4), 0, 5).num == 60
    assert index.find(Query(least=2, most=4), 0, 5).num == 60
    assert index.find(Query(is_odd=True), 0, 5).num == 60  # a vote of the third cannot be read
    lowest = index.find(Query(order="lowest"), 0, 180).begins
    assert lowest == [
        *index.find(Query(order="lowest"), 0, 100).begins,
        *index.find(Query(order="lowest"), 100, 100).begins,
    ]
    assert set(lowest[:60]).isdisjoint(index.find(Query(order="highest"), 0, 60).begins)


def test_records_are_found_by_their_ids_and_by_their_prompts(run: Path, cache: Path) -> None:
    prompt = prompts_of(60)[3]
    judgement = judged(sampled(prompt, "m1").samples[1])
    index = made(run / "m2" / store.JUDGEMENTS_FILE, cache)
    assert len(index.begins("prompt", prompt.id)) == 3
    assert len(index.begins("id", judgement.id)) == 1
    assert index.begins("id", "no such id") == []


def test_a_file_that_grows_is_read_on_and_a_torn_line_is_read_when_it_is_whole(run: Path, cache: Path) -> None:
    file = run / "m2" / store.JUDGEMENTS_FILE
    index = made(file, cache)
    line = judged(sampled(prompts_of(61)[59], "m1").samples[0]).model_dump_json()
    with file.open("a") as growing:
        growing.write(line[:20])
        growing.flush()
        index.update()
        assert (index.share(), index.num_lines()) == (1.0, 180)
        growing.write(line[20:] + "\n")
    assert index.share() < 1
    index.update()
    assert (index.share(), index.num_lines()) == (1.0, 181)


def test_only_what_was_added_is_read_again(run: Path, cache: Path) -> None:
    file = run / "m2" / store.PROMPTS_FILE
    index = made(file, cache)
    with sqlite3.connect(index.path) as database:
        database.execute("update lines set odd = 1 where place = 1")
    with file.open("a") as growing:
        growing.write('{"id": "x", "text": "more", "source": "m1"}\n')
    index.update()
    assert index.find(Query(is_odd=True), 0, 5).num == 1 and index.num_lines() == 61


@pytest.mark.parametrize("how", ["rewritten", "replaced", "cut", "touched"])
def test_an_index_is_never_of_another_file(run: Path, cache: Path, how: str) -> None:
    file = run / "m2" / store.PROMPTS_FILE
    index, content = made(file, cache), file.read_bytes()
    if how == "rewritten":
        file.write_bytes(content.replace(b"Describe", b"Surprise"))
        os.utime(file, (1, 1))
    elif how == "replaced":
        store.write_text(file, content.decode().replace("Describe", "Surprise"))
    elif how == "cut":
        file.write_bytes(content[: content.index(b"\n") + 1])
    else:
        os.utime(file, (1, 1))
    assert index.share() == 0 and index.find(Query(words="describe"), 0, 5).num == 0
    index.update()
    found = index.find(Query(words="describe"), 0, 100).num
    assert found == {"rewritten": 0, "replaced": 0, "cut": 1, "touched": 59}[how]


def test_a_line_that_cannot_be_read_is_counted_and_odd(run: Path, cache: Path) -> None:
    file = run / "m2" / store.JUDGEMENTS_FILE
    with file.open("a") as growing:
        growing.write("no JSON\n[]\nnull\n" + '{"id": 1}\n' + "[" * 5000 + "\n" + json.dumps({"id": "a\ud800"}) + "\n")
    assert made(file, cache).num_lines() == 186
    assert Index(file, cache).find(Query(is_odd=True), 0, 5).num == 66


def test_a_damaged_index_is_made_again(run: Path, cache: Path) -> None:
    file = run / "m2" / store.PROMPTS_FILE
    index = made(file, cache)
    index.path.write_bytes(b"no database" * 1000)
    assert index.share() == 0
    index.update()
    assert (index.share(), index.num_lines()) == (1.0, 60)


def test_one_process_at_a_time_makes_an_index(run: Path, cache: Path) -> None:
    import fcntl

    index = Index(run / "m2" / store.PROMPTS_FILE, cache)
    cache.mkdir()
    with index.path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        index.update()
        assert index.share() == 0
    index.update()
    assert index.share() == 1


def test_indexes_of_files_that_are_gone_are_deleted(run: Path, cache: Path) -> None:
    kept, gone = (made(run / "m2" / name, cache) for name in (store.PROMPTS_FILE, store.PAIRS_FILE))
    gone.source.unlink()
    forget_gone(cache)
    assert kept.path.exists() and not gone.path.exists()


def test_a_large_file_is_indexed_beside_the_server_and_nobody_waits(
    run: Path, indexes: Indexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes_module, "AT_ONCE_BYTES", 100)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    source = source_of(run, "m2", "pairs")
    began = time.monotonic()
    index = indexes.of(source)
    assert time.monotonic() - began < 0.2 and index.share() < 1
    while index.share() < 1 and time.monotonic() - began < 60:
        time.sleep(0.05)
    assert index.num_lines() == 60


def test_ids_of_any_form_are_keys_of_64_bits() -> None:
    keys = [key(id) for id in ("", "p0", "f" * 16, "0" * 16, HOSTILE, "a\ud800")]
    assert len(set(keys)) == len(keys) and all(-(2**63) <= one < 2**63 for one in keys)
    assert key("f" * 16) == -1


def test_the_cache_is_for_this_account_alone(run: Path, cache: Path) -> None:
    made(run / "m2" / store.PROMPTS_FILE, cache)
    assert cache.stat().st_mode & 0o077 == 0
