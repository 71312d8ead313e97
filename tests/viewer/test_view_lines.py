"""Some lines of a file: whole ones alone, forwards and backwards, however long they are."""

from pathlib import Path

import pytest

from selfreward.viewer.lines import BLOCK_BYTES, PAGE_BYTES, begin_before, last_page, lines_from


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(b"%d %s\n" % (n, b"x" * (n * 37 % 5000)) for n in range(200)) + b"torn")
    return path


def numbers(path: Path, begin: int, num: int) -> list[int]:
    return [int(line.data.split()[0]) for line in lines_from(path, begin, num)]


def test_lines_follow_one_another_to_the_end_and_a_torn_one_is_left_out(file: Path) -> None:
    found, at = [], 0
    while lines := lines_from(file, at, 7):
        found += [int(line.data.split()[0]) for line in lines]
        at = lines[-1].end
    assert found == list(range(200))


def test_a_byte_at_which_no_line_begins_gives_nothing(file: Path) -> None:
    assert lines_from(file, 1, 5) == []
    assert lines_from(file, file.stat().st_size, 5) == []


@pytest.mark.parametrize("num", [1, 3, 25, 150])
def test_the_page_before_is_the_one_that_leads_here(file: Path, num: int) -> None:
    assert file.stat().st_size > 3 * BLOCK_BYTES  # else nothing is read in blocks
    at = lines_from(file, 0, 160)[-1].end
    assert numbers(file, begin_before(file, at, num), num) == list(range(160 - num, 160))


def test_before_the_first_lines_is_the_begin_of_the_file(file: Path) -> None:
    assert begin_before(file, lines_from(file, 0, 3)[-1].end, 25) == 0
    assert begin_before(file, 0, 25) == 0


def test_the_last_page_ends_with_the_last_whole_line(file: Path) -> None:
    assert numbers(file, last_page(file, 10), 25) == list(range(190, 200))


def test_a_page_of_lines_of_a_megabyte_is_cut_short_and_none_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b"".join(b"%d %s\n" % (n, b"x" * 2**20) for n in range(12)))
    first = lines_from(path, 0, 25)
    assert 1 <= len(first) < 5
    assert len(first[0].data) > 2**20
    at, found = path.stat().st_size, []
    while at:
        begin = begin_before(path, at, 25)
        assert begin < at
        between = [line for line in lines_from(path, begin, 25) if line.begin < at]
        assert sum(len(line.data) for line in between) < PAGE_BYTES + 2 * 2**20
        found = [int(line.data.split()[0]) for line in between] + found
        at = begin
    assert found == sorted(set(found)) and len(found) == 12
