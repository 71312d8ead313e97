"""The page of a run: whole and half-done runs, hostile text, what it loads (nothing), and how large it gets."""

import json
import os
import re
import shutil
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from selfreward import store
from selfreward.errors import BadInput
from selfreward.records import Judgement, Pair
from selfreward.report.html import refresh_report, report_page, write_report

SECTIONS = [
    "overview", "wins", "following", "judge", "drift", "funnel", "training", "map", "pairs", "cost", "settings"
]  # fmt: skip
HOSTILE = (
    '<script>alert(1)</script><img src="https://x.example/a.png" onerror=alert(2)>{{ 7 * 7 }}\x1b[2J\u202e\x00 "\''
)
MOST_BYTES = 6_000_000


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[int] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def whole(small_run: Path) -> str:
    return report_page(small_run)


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_run, tmp_path / "run")


def changed(run: Path, name: str, change: dict[str, Any]) -> None:
    """Some values of a JSON file of a run changed, None taken out."""
    path = run / name
    found = {**(json.loads(path.read_text()) if path.exists() else {}), **change}
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def words(page: str) -> str:
    return " ".join("".join(Page(page).text).split())


def test_every_section_of_a_finished_run_is_there_in_its_order_and_was_made(whole: str) -> None:
    page = Page(whole)
    assert [attrs["id"] for attrs in page.all("section")] == SECTIONS
    assert page.open == []
    assert "could not be made" not in whole
    assert len(page.all("article")) >= 5
    assert len([attrs for attrs in page.all("svg") if attrs.get("role") == "img"]) > 20


def test_the_verdict_comes_first_and_says_how_sure_it_is(whole: str) -> None:
    said = words(whole)
    assert said.index("95 % interval:") < said.index("A language model was trained")
    assert "of 5 instructions that it was not trained on" in said
    assert "This is one run with one random seed (0)." in said
    assert "M2 against M1" in said and "M3 against M2" in said


def test_the_papers_figures_stand_beside_ours(whole: str) -> None:
    assert "62.5 / 27.7 / 9.8" in whole and "81.7" in whole


def test_headings_are_in_order_and_every_table_and_plot_is_named(whole: str) -> None:
    page = Page(whole)
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    plots = [attrs for attrs in page.all("svg") if attrs.get("aria-hidden") != "true"]
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in plots)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    assert len(page.all("figure")) == whole.count("The numbers: ")
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_from_elsewhere_and_its_policy_forbids_it(whole: str) -> None:
    page = Page(whole)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("style", "src", "srcset", "action")]
        assert (attrs.get("href") or "#").startswith("#")
    style = re.findall("<style>(.*?)</style>", whole, re.S)
    assert len(style) == 1 and "@import" not in style[0]
    assert {found[0] for found in re.findall(r"url\((.)", style[0])} == {"#"}
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy") or ""
    allowed = b64encode(sha256(style[0].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    assert "://" not in whole


def test_links_lead_to_what_is_there(whole: str) -> None:
    page = Page(whole)
    ids = {attrs.get("id") for _, attrs in page.tags}
    assert all((attrs["href"] or "")[1:] in ids for attrs in page.all("a"))
    assert {f"#{name}" for name in SECTIONS} <= {attrs["href"] for attrs in page.all("a")}


def test_the_same_files_give_the_same_page(small_run: Path, whole: str) -> None:
    assert report_page(small_run) == whole


def test_text_of_models_is_escaped_wherever_it_stands(run: Path) -> None:
    for name, record_type in ((store.PAIRS_FILE, Pair), (store.JUDGEMENTS_FILE, Judgement)):
        path = run / "m2" / name
        records = []
        for record in store.read(path, record_type):  # type: ignore[type-var]
            texts = {field: HOSTILE + getattr(record, field) for field in ("prompt", "chosen", "rejected", "response")
                     if hasattr(record, field)}  # fmt: skip
            if isinstance(record, Judgement):
                texts["votes"] = tuple(vote.model_copy(update={"text": HOSTILE}) for vote in record.votes)
            records.append(record.model_copy(update=texts))
        path.unlink()
        store.append(path, records)
    point = {"group": HOSTILE, "x": 0.0, "y": 1.0, "text": HOSTILE}
    changed(
        run, store.ANALYSIS_FILE, {"points": [point] * 5, "embedded_by": HOSTILE, "overlap": {HOSTILE: {HOSTILE: 1}}}
    )
    changed(run, store.STAMP_FILE, {"command": HOSTILE})
    evaluated = json.loads((run / "m3" / store.EVAL_FILE).read_text())
    evaluated["capability"]["by_family"] = {HOSTILE: evaluated["capability"]["by_family"].popitem()[1]}
    evaluated["judge_health"]["alarms"] = [HOSTILE]
    changed(run, f"m3/{store.EVAL_FILE}", evaluated)
    changed(run, f"m3/{store.COUNTS_FILE}", {HOSTILE: {HOSTILE: 3}})
    with (run / store.METRICS_FILE).open("a") as file:
        for line in (
            {"stage": HOSTILE, "seconds": 1, "items": 1},
            {"model": HOSTILE, "guard": "ties", "said": HOSTILE},
        ):
            file.write(json.dumps({"time": 1, **line}) + "\n")
    text = report_page(run)
    page = Page(text)
    assert "could not be made" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 20
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "{{ 7 * 7 }}" in text
    assert not [char for char in text if not char.isprintable() and char not in "\n"]


def test_texts_without_end_do_not_make_the_page_large(run: Path) -> None:
    long = "word " * 300_000
    path = run / "m2" / store.PAIRS_FILE
    pairs = [pair.model_copy(update={"prompt": long, "chosen": long, "rejected": "x" + long})
             for pair in store.read(path, Pair)]  # fmt: skip
    path.unlink()
    store.append(path, pairs)
    point = {"group": "m2", "x": 0.5, "y": 1.0, "text": "<" * 200}
    changed(run, store.ANALYSIS_FILE, {"points": [point] * 20_000, "embedded_by": "m3", "overlap": {}})
    with (run / store.METRICS_FILE).open("a") as file:
        for step in range(20_000):
            file.write(json.dumps({"time": 1, "model": "m2", "method": "dpo", "step": step, "loss": 0.5}) + "\n")
    text = report_page(run)
    assert "more letters in the run's files" in text.replace("&#39;", "'")
    assert len(text.encode()) < MOST_BYTES


def test_a_run_that_has_only_begun_says_of_every_part_what_it_lacks(run: Path) -> None:
    for path in run.iterdir():
        if path.name not in ("recipe.yaml", store.LOCK_FILE):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = report_page(run)
    said = words(text)
    assert [attrs["id"] for attrs in Page(text).all("section")] == SECTIONS
    assert "could not be made" not in text
    for sentence in (
        "Nothing has been measured yet", "No two models have been measured yet.", "No model has been measured yet.",
        "No judge has been measured against ranked answers yet.", "Nothing is known yet of how the judge votes.",
        "No answers to held-out prompts are kept", "No round has sampled responses yet.", "No round has written prompts yet.",
        "No round has begun yet.", "Nothing has been trained yet.", "There is no map yet.", "There are no pairs yet",
        "No stage has ended yet", "There is no stamp",
    ):  # fmt: skip
        assert sentence in said


def test_a_round_that_is_not_finished_is_shown_as_far_as_it_is(run: Path) -> None:
    for name in (store.EVAL_FILE, store.COUNTS_FILE, store.LESSON_FILE, store.PAIRS_FILE):
        (run / "m3" / name).unlink()
    text = words(report_page(run))
    assert "The run is not finished: it goes up to M3, and M2 is the last one measured." in text
    assert "The round is not finished, so its reasons are not counted yet." in text
    assert "27 judgements" in text


@pytest.mark.parametrize("file", ["m2/eval.json", "m2/counts.json", "m3/lesson.json", "metrics.jsonl", "stamp.json"])
def test_a_damaged_file_costs_its_own_part_and_is_named(file: str, run: Path) -> None:
    (run / file).write_text("{hm\n{}\n")
    text = report_page(run)
    assert [attrs["id"] for attrs in Page(text).all("section")] == SECTIONS
    assert "could not be made" not in text
    if file not in ("m3/lesson.json", "stamp.json"):  # the tables are made without these
        assert file in words(text)


def test_a_file_with_what_no_run_writes_costs_one_section(run: Path) -> None:
    (run / "m2" / store.JUDGEMENTS_FILE).write_text('{"id": 3}\n{}\n')
    page = Page(report_page(run))
    said = " ".join(page.text)
    assert len(page.all("section")) == len(SECTIONS)
    assert "This part could not be made, a file of the run holds what no run writes there" in said
    assert "m2/judgements.jsonl:1" in said


def test_without_an_oracle_the_judge_is_the_verdict_and_what_is_missing_is_said(run: Path) -> None:
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("source: micro", "source: people.jsonl"))
    for model in ("sft", "m1", "m2", "m3"):
        judged = json.loads((run / model / store.EVAL_FILE).read_text())["reward_modelling"]
        missing = {"capability": None, "head_to_head": None, "own_prompts": None}
        changed(run, f"{model}/{store.EVAL_FILE}", {**missing, "reward_modelling": {"human": judged["human"]}})
        (run / model / store.EVAL_RESPONSES_FILE).unlink()
    text = report_page(run)
    said = words(text)
    assert "could not be made" not in text
    assert "As a judge, M3 puts" in said and "in the order of people" in said
    assert "Whether the answers got better is not measured by the run itself" in said
    assert "This run has no oracle that could decide between two answers" in said
    assert "% of its set that is worse, by score" in said


def test_a_strategy_that_imitates_has_no_pairs_and_says_so(run: Path) -> None:
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("strategy: self_rewarding", "strategy: positives_only"))
    for model in ("m2", "m3"):
        (run / model / store.PAIRS_FILE).unlink()
        lesson = {"method": "sft", "start": 0, "reference": None, "num_pairs": 0, "num_examples": 40}
        (run / model / store.LESSON_FILE).write_text(json.dumps(lesson))
        changed(run, f"{model}/{store.COUNTS_FILE}", {"pairs": None, "examples": {"ift": 24, "eft": 9, "new": 7}})
    text = report_page(run)
    said = words(text)
    assert "could not be made" not in text
    assert "This strategy makes no pairs: its rounds teach examples to imitate" in said
    assert "7 new examples to imitate" in said
    assert "it is taught to imitate the answers with a perfect score" in said
    assert "M2 was made from M0 by supervised fine-tuning on 40 examples." in said


def test_the_snapshot_that_became_a_model_is_named_with_the_reason(run: Path) -> None:
    story = {"by": "judge", "judge": "m1", "steps": [2, 4, 6], "looked_at": [2, 4], "chosen": 4, "why": "the next lost"}
    changed(run, f"m2/{store.EARLY_STOPPING_FILE}", story)
    assert "Of its snapshots that of step 4 of 6 became the model: the next lost." in words(report_page(run))


def test_alarms_are_told_in_words_at_the_beginning_and_at_the_judge(run: Path) -> None:
    with (run / store.METRICS_FILE).open("a") as file:
        said = "62% of the pairs of responses to a prompt are tied"
        file.write(json.dumps({"time": 1, "model": "m2", "guard": "ties", "said": said, "value": 0.62}) + "\n")
    text = words(report_page(run))
    assert f"M2: {said}" in text
    assert f"Alarm. While M2 was made: {said} (guards.ties)." in text


def test_the_map_is_drawn_from_the_analysis_and_says_when_that_is_older(run: Path) -> None:
    points = [{"group": group, "x": x, "y": -x, "text": f"{group} {x}"} for group in ("ift", "m2") for x in (0.0, 1.0)]
    overlap = {"ift": {"ift": 1.1, "m2": 0.9}, "m2": {"ift": 0.9, "m2": None}}
    changed(run, store.ANALYSIS_FILE, {"points": points, "embedded_by": "m2", "overlap": overlap})
    text = words(report_page(run))
    assert "ift 1.0" in text and "written by people (IFT)" in text
    assert "The map was made before the prompts for M3." in text


def test_the_report_is_written_where_it_is_missing_or_older_than_the_measurements(run: Path) -> None:
    report, measured = run / store.REPORT_FILE, run / "m3" / store.EVAL_FILE
    report.unlink()
    refresh_report(run, "m3")
    report.write_text("newer")
    refresh_report(run, "m3")
    assert report.read_text() == "newer"
    then = report.stat().st_mtime + 5
    os.utime(measured, (then, then))
    refresh_report(run, "m3")
    assert report.read_text().startswith("<!doctype html>")


def test_a_page_is_written_elsewhere_and_over_nothing_but_a_page(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "pages" / "mine.html"
    assert write_report(run, target) == target and write_report(run, target) == target
    target.write_text("mine")
    with pytest.raises(BadInput, match=r"mine\.html: is there already, and is no report"):
        write_report(run, target)
    with pytest.raises(BadInput, match="is a folder"):
        write_report(run, tmp_path)
    with pytest.raises(BadInput, match="no such run"):
        write_report(tmp_path / "nowhere")
