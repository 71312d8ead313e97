"""Sources: the same data give the same seeds from any file; what cannot be read is named with its place, or counted."""

import gzip
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from support_seeds import messages, trees, write_lines

from selfreward.errors import BadInput
from selfreward.recipe import Source
from selfreward.seeds.reading import Read, read

PAIRS = [{"prompt": f"Question {i}?\nÄ 日本", "completion": f"Answer {i}."} for i in range(5)]


def read_path(path: Path, bad_lines: Any = "error", **more: str) -> Read:
    return read(Source(path=str(path), **more), bad_lines)  # type: ignore[arg-type]


def refusal(path: Path, **more: str) -> str:
    with pytest.raises(BadInput) as raised:
        read_path(path, **more)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_the_same_rows_are_found_in_every_kind_of_file(tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "a.jsonl", PAIRS)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes()))
    (tmp_path / "c.json").write_text(json.dumps(PAIRS, indent=1))
    (tmp_path / "d.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.read_bytes().replace(b"\n", b"\r\n\r\n"))
    write_parquet(tmp_path / "e.parquet", PAIRS)
    for path in sorted(tmp_path.iterdir()):
        found = read_path(path)
        assert [(one.prompt, getattr(one, "response", None)) for one in found.found] == [
            (pair["prompt"], pair["completion"]) for pair in PAIRS
        ], path
        assert found.counts == {"rows": 5, "bad_lines": 0}


def test_open_assistant_reads_the_same_as_trees_and_as_messages_in_lines_and_in_parquet(tmp_path: Path) -> None:
    whole = read_path(write_lines(tmp_path / "trees.jsonl", trees()))
    for path in (
        write_lines(tmp_path / "messages.jsonl", messages()),
        write_parquet(tmp_path / "messages.parquet", messages()),
    ):
        assert read_path(path).found == whole.found
    assert whole.counts["other_language"] == 1


def test_a_folder_is_read_by_the_datasets_library_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "copy"
    (folder / "data").mkdir(parents=True)
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", PAIRS)
    write_parquet(folder / "data" / "validation-00000-of-00001.parquet", PAIRS[:2])
    assert len(read_path(folder).found) == 5
    assert len(read_path(folder, split="train+validation").found) == 7
    assert "split" in refusal(folder, split="dev")


BAD_LINES = [
    ('{"prompt": "x", ', "not JSON"),
    ('{"prompt": "x"}', "both or neither of completion and response"),
    ('{"prompt": 3, "completion": "y"}', "prompt"),
    ('{"prompt": "\\ud800", "completion": "y"}', "lone surrogate"),
    ("[1, 2]", "not an object, but list"),
    ("[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES)
def test_a_bad_line_stops_with_file_and_line_or_is_skipped_and_counted(tmp_path: Path, line: str, said: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", [PAIRS[0], "", line, PAIRS[1]])
    assert f"{path}:3: bad line: " in refusal(path) and said in refusal(path)
    found = read_path(path, "skip")
    assert len(found.found) == 2
    assert found.counts == {"rows": 3, "bad_lines": 1}


def test_bytes_that_are_no_text_are_a_bad_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", PAIRS)
    path.write_bytes(path.read_bytes() + b'{"prompt": "\xff", "completion": "y"}\n')
    assert f"{path}:6: bad line: not JSON" in refusal(path)


def test_a_bad_row_of_a_list_or_of_parquet_has_its_number(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([*PAIRS, {"prompt": "x"}]))
    assert f"{tmp_path / 'a.json'}: item 6: bad line" in refusal(tmp_path / "a.json")
    path = write_parquet(tmp_path / "b.parquet", [*PAIRS, {"prompt": "x", "completion": None}])
    assert f"{path}: row 6: bad line" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'{"prompt": 1}', "not a list of objects"),
        ("a.json", b'{"a": 1}\n{"a": 2}', "not JSON.*one object a line"),
        ("a.jsonl", b"", "none of its 0 rows can be used"),
        ("a.jsonl.gz", b"not compressed", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b'{"prompt": "x"}' * 9, mtime=0)[:-20], "cannot be read"),
        ("a.parquet", b"PAR1", "not a Parquet file"),
        ("a.csv", b"prompt,completion", "not a data file"),
        ("a.jsonl", b'{"question": "x", "answer": "y"}', "the columns answer, question are of no known form"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert str(tmp_path / name) in message
    assert re.search(said, message), message


def test_a_named_form_is_not_guessed(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{**PAIRS[0], "messages": "see above"}])
    assert "fit more than one form" in refusal(path)
    assert len(read_path(path, form="prompt_completion").found) == 1
    assert "instruction: Field required" in refusal(path, form="alpaca")


@pytest.mark.parametrize(
    "setting", [{"split": "train"}, {"subset": "x"}, {"revision": "main"}, {"language": "de"}], ids=str
)
def test_f15_a_setting_that_would_have_no_effect_is_refused(tmp_path: Path, setting: dict[str, str]) -> None:
    path = write_lines(tmp_path / "a.jsonl", PAIRS)
    assert "leave it out" in refusal(path, **setting)


def test_a_path_that_is_not_there_is_no_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for path in ("data/missing", "data/missing.jsonl", "missing", "dta/missing.jsonl", "no/such/file"):
        assert "no such file or folder" in refusal(Path(path))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    assert "a.jsonl: is a pipe, a socket or a device, no file" in refusal(tmp_path / "a.jsonl")


def test_without_the_network_a_hub_data_set_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    message = refusal(Path("some-org/some-set"))
    assert message.startswith("some-org/some-set: cannot be loaded: Couldn't reach")
    assert message.endswith("connect to the network, or give the path of a copy")


class Hub:
    """Stands in for `datasets.load_dataset`: keeps what it was asked and answers with rows or an error."""

    def __init__(self, answer: list[dict[str, Any]] | Exception) -> None:
        self.answer, self.asked = answer, {}  # type: ignore[var-annotated]

    def __call__(self, path: str, **asked: Any) -> list[dict[str, Any]]:
        self.asked = {"path": path, **asked}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_hub_data_set_is_pinned_by_its_revision_and_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(messages())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.load_dataset", hub)
    found = read_path(Path("some-org/some-set"), revision="abc", subset="small", split="validation")
    asked = {"path": "some-org/some-set", "name": "small", "split": "validation", "revision": "abc"}
    assert hub.asked == asked
    assert found.form == "open_assistant_messages" and found.counts["rows"] == len(messages())


def test_a_gated_data_set_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets.exceptions import DatasetNotFoundError

    fault = "Dataset 'a/b' is a gated dataset on the Hub. You must be authenticated to access it.\nMore."
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.load_dataset", Hub(DatasetNotFoundError(fault)))
    message = refusal(Path("some-org/some-set"))
    assert "is a gated dataset on the Hub" in message and "accept its terms" in message and "More" not in message


def test_files_are_read_without_the_datasets_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert len(read_path(write_lines(tmp_path / "a.jsonl", PAIRS)).found) == 5
