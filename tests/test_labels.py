"""A person's marks on pairs: the last counts, they come back as ranked data, and a run is whole with them as without."""

from pathlib import Path

import pytest
from support_view import write_run
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.labels import Label, export_labels, label, labels
from selfreward.recipe import Source
from selfreward.records import Pair, RankedSet
from selfreward.seeds.reading import read
from selfreward.verifying.hashes import not_covered

CLI = CliRunner()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", 4)


def pairs_of(run: Path) -> list[Pair]:
    return store.read(run / "m2" / store.PAIRS_FILE, Pair)


def test_the_last_word_on_a_pair_counts_and_can_be_taken_back(run: Path) -> None:
    one, two, three, _ = pairs_of(run)
    for pair, is_right in ((one, True), (two, True), (one, False), (three, True), (three, None)):
        label(run, "m2", pair, is_right)
    assert {id: said.is_right for id, said in labels(run).items()} == {one.id: False, two.id: True}
    assert len(store.read(run / store.LABELS_FILE, Label)) == 5  # nothing that was said is lost


def test_a_run_that_nobody_marked_has_no_labels_and_no_file(run: Path) -> None:
    assert labels(run) == {}
    assert not (run / store.LABELS_FILE).exists()


def test_exported_labels_are_ranked_data_that_seeds_can_be_read_from(run: Path, tmp_path: Path) -> None:
    one, two, *_ = pairs_of(run)
    label(run, "m2", one, True)
    label(run, "m2", two, False)
    target = tmp_path / "labels.jsonl"
    assert export_labels(run, target) == 2
    right, wrong = store.read(target, RankedSet)
    assert [response.text for response in right.responses] == [one.chosen.strip(), one.rejected.strip()]
    assert [response.text for response in wrong.responses] == [two.rejected.strip(), two.chosen.strip()]
    found = read(Source(path=str(target)), "error")
    assert (found.form, found.found) == ("ranked", [right, wrong])


def test_labels_are_exported_by_the_command_and_never_over_a_file(run: Path, tmp_path: Path) -> None:
    label(run, "m2", pairs_of(run)[0], True)
    target = tmp_path / "labels.jsonl"
    done = CLI.invoke(app, ["export-labels", str(run), str(target)])
    assert (done.exit_code, done.stdout) == (0, f"{target}: 1 labels\n")
    again = CLI.invoke(app, ["export-labels", str(run), str(target)])
    assert again.exit_code == 2 and "is there already" in again.stderr


def test_no_labels_are_one_line_that_says_how_to_make_some(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="mark some with: selfreward view"):
        export_labels(run, tmp_path / "labels.jsonl")


def test_verify_says_nothing_of_labels(run: Path) -> None:
    before = not_covered(run)
    label(run, "m2", pairs_of(run)[0], True)
    assert not_covered(run) == before
