"""Texts become passages, each with its place; what is left out is counted, and what cannot be read is refused."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from selfreward.databases.reading import LONGEST, _parts, passages_of
from selfreward.errors import BadInput


def read(path: Path) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """(place and text of each passage, counts that are not 0)."""
    counts: Counter[str] = Counter()
    found = [(one.id, one.text) for one in passages_of(path, counts)]
    return found, {fate: number for fate, number in counts.items() if number}


def write_rows(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_a_text_gives_its_paragraphs_with_the_lines_they_begin_on(tmp_path: Path) -> None:
    file = tmp_path / "fish.txt"
    file.write_text("# Cod\nlives in the sea\n\n\n  Carp lives\nin rivers.  \n")
    assert read(file)[0] == [("fish.txt:1", "# Cod lives in the sea"), ("fish.txt:5", "Carp lives in rivers.")]


def test_a_paragraph_of_markdown_has_the_heading_it_stands_under_before_it(tmp_path: Path) -> None:
    file = tmp_path / "fish.md"
    file.write_text("Fish.\n# Cod #\nA sea fish.\n\nIt is eaten.\n## Carp\n\nA river fish.\n# Nothing\n")
    assert [text for _, text in read(file)[0]] == [
        "Fish.",
        "Cod: A sea fish.",
        "Cod: It is eaten.",
        "Carp: A river fish.",
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".json", ".parquet"])
def test_a_row_gives_its_text_behind_its_title(tmp_path: Path, suffix: str) -> None:
    rows = [{"title": "Cod", "text": "A sea fish."}, {"title": None, "text": " "}, {"title": None, "text": "A river."}]
    file = tmp_path / f"fish{suffix}"
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    if suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        file.write_bytes(gzip.compress(lines.encode()) if suffix.endswith("gz") else lines.encode())
    found, counts = read(file)
    assert [text for _, text in found] == ["Cod: A sea fish.", "A river."]
    assert all(
        place.startswith(file.name) and place.endswith(str(n)) for (place, _), n in zip(found, (1, 3), strict=True)
    )
    assert counts == {"files": 1, "passages": 2, "rows_without_text": 1}


def test_a_folder_is_read_by_name_and_other_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.MD").write_text("Carp.")
    (tmp_path / "a.txt").write_text("Cod.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    found, counts = read(tmp_path)
    assert found == [("a.txt:1", "Cod."), ("b/x.MD:1", "Carp.")]
    assert counts == {"files": 2, "passages": 2, "other_files": 1}


def test_a_long_paragraph_is_cut_between_sentences_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    sentences = [f"Fish number {n} lives in the sea." for n in range(100)]
    file.write_text(" ".join(sentences))
    found, _ = read(file)
    assert [place for place, _ in found] == ["long.txt:1", *(f"long.txt:1#{n}" for n in range(2, len(found) + 1))]
    assert all(len(text) <= LONGEST and text.endswith(".") for _, text in found)
    assert " ".join(text for _, text in found) == " ".join(sentences)


@given(st.text(alphabet="ab .!\n\u3002", max_size=LONGEST * 3))
def test_parts_hold_every_character_but_spaces_and_are_never_too_long(text: str) -> None:
    parts = list(_parts(text))
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(0 < len(part) <= LONGEST for part in parts)


def test_a_word_that_is_too_long_is_cut_anywhere() -> None:
    assert [len(part) for part in _parts("x" * (2 * LONGEST + 1))] == [LONGEST, LONGEST, 1]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"Cod.\n\xff\xfe", r"a\.txt: not UTF-8 text: .*; save it as UTF-8"),
        ("a.jsonl", b'{"text": "Cod."}\n{"text": "Ca', r"a\.jsonl:2: not JSON: .*; mend or delete this line"),
        ("a.jsonl", b'["Cod."]\n', r"a\.jsonl:1: not an object, but list; a row has its text under one of: text, "),
        ("a.json", b"{}", r"a\.json: not a list of objects"),
        ("a.jsonl.gz", b"no gzip", r"a\.jsonl\.gz: cannot be read"),
        ("a.parquet", b"PAR1", r"a\.parquet: not a Parquet file"),
        ("a.pdf", b"%PDF", r"a\.pdf: not a file that can be read; give one of: \.txt, "),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        read(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none: no such file or folder"):
        read(tmp_path / "none")
