"""Models measured as judges: no question is paid for twice, and every figure says what it was measured with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.databases.sqlite import write_sqlite
from selfreward.engines import ENGINES
from selfreward.engines.base import Completion, Request, Sampling
from selfreward.engines.scripted import ScriptedEngine
from selfreward.errors import BadInput
from selfreward.evaluation.evaluate import measured_judge
from selfreward.evaluation.judging import Ways, measure_judges, numbers_of_votes, read_ranked_sets
from selfreward.evaluation.named_models import named_models
from selfreward.judges import llm
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe, to_yaml
from selfreward.records import Judgement, Passage, RankedResponse, RankedSet
from selfreward.responses import ranked_responses

CLI = CliRunner()
RULES = ("excluded", "micro", None)


class Grader(ScriptedEngine):
    """Gives the points that the response asks for, in two votes of three; the third cannot be read."""

    asked: ClassVar[list[Request]] = []
    opened: ClassVar[list[str]] = []
    breaks_after: ClassVar[int | None] = None

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        if Grader.breaks_after is not None and len(Grader.asked) >= Grader.breaks_after:
            raise KeyboardInterrupt
        Grader.asked += requests
        return super().generate(requests, sampling)


def grade(prompt: str) -> list[str]:
    points = prompt.split("worth ")[1][0]
    return [f"Good. Score: {points}", f"Fine. Score: {min(5, int(points) + 1)}", "Hm."]


@pytest.fixture(autouse=True)
def grader(monkeypatch: pytest.MonkeyPatch) -> type[Grader]:
    monkeypatch.setattr(Grader, "asked", [])
    monkeypatch.setattr(Grader, "opened", [])
    monkeypatch.setattr(Grader, "breaks_after", None)

    def opens(options: Any, folder: str | Path) -> Grader:
        Grader.opened.append(str(folder))
        return Grader(grade, token_probs=lambda text, points: [0, 0, 0.5, 0.5, 0, 0])

    monkeypatch.setitem(ENGINES, "grader", opens)
    return Grader


def ranked_set(name: str, *points: int) -> RankedSet:
    responses = tuple(RankedResponse(text=f"{name} worth {p}", rank=rank) for rank, p in enumerate(points))
    return RankedSet(id=name, prompt=f"Say {name}.", responses=responses)


SETS = [ranked_set("a", 4, 2, 1), ranked_set("b", 1, 3)]
NUM_RESPONSES = 5


def write_weights(folder: Path, value: float) -> None:
    save_file({"weight": np.array([value], dtype=np.float32)}, folder / "model" / "model.safetensors")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    values = {"name": "mine", "engine": {"name": "grader", "batch_size": 2}, "seeds": {"source": "data.jsonl"}}
    for model in ("sft", "m1"):
        (folder / model / "model").mkdir(parents=True)
        (folder / model / "model" / "config.json").write_text("{}")
        write_weights(folder / model, len(model))
    (folder / "recipe.yaml").write_text(to_yaml(Recipe.of(values)))
    store.append(folder / "seed" / "eval.jsonl", SETS)
    return folder


def measured(paths: list[Path], cache: Path, ways: Ways = Ways(), sets: Any = None) -> list[dict[str, Any]]:  # noqa: B008
    return measure_judges(named_models(paths), sets, ways, RULES, cache, QuietProgress())  # type: ignore[arg-type]


def test_every_trained_model_of_a_run_is_measured_on_its_own_held_out_sets(run: Path, tmp_path: Path) -> None:
    rows = measured([run], tmp_path / "cache")
    assert [(row["model"], row["votes"], row["truth"]) for row in rows] == [
        ("mine/sft", 3, "human"), ("mine/m1", 3, "human"),
    ]  # fmt: skip
    assert rows[0]["metrics"]["pairwise_accuracy"] | {"ci95": None} == {"value": 3 / 4, "ci95": None, "n": 4}
    assert rows[0]["health"]["readable"]["value"] == pytest.approx(2 / 3)
    assert len(Grader.asked) == 2 * NUM_RESPONSES


def test_a_figure_holds_the_pin_of_its_judge_and_the_cache_too(run: Path, tmp_path: Path) -> None:
    first, second = measured([run], tmp_path / "cache")
    pins = [json.loads(file.read_text()) for file in (tmp_path / "cache").glob("*/pin.json")]
    assert first["pin"] in pins and second["pin"] in pins and len(pins) == 2
    assert first["pin"]["model"] != second["pin"]["model"]
    assert first["pin"]["sampling"] == {"temperature": 0.7, "top_p": 0.9, "max_tokens": 256}


def test_a_second_evaluation_asks_nothing_and_says_the_same(run: Path, tmp_path: Path) -> None:
    rows = measured([run], tmp_path / "cache")
    assert len(Grader.opened) == 2
    assert measured([run], tmp_path / "cache") == rows
    assert len(Grader.opened) == 2


def test_an_interrupted_evaluation_goes_on_where_it_was(run: Path, tmp_path: Path, grader: type[Grader]) -> None:
    grader.breaks_after = 4
    with pytest.raises(KeyboardInterrupt):
        measured([run / "m1"], tmp_path / "cache")
    grader.breaks_after = None
    rows = measured([run / "m1"], tmp_path / "cache")
    assert len(grader.asked) == NUM_RESPONSES
    assert rows == measured([run / "m1"], tmp_path / "elsewhere")


def test_fewer_votes_are_the_first_of_many_and_cost_nothing(run: Path, tmp_path: Path) -> None:
    rows = measured([run / "m1"], tmp_path / "cache", Ways(votes=(1, 3, 5, 11)))
    assert [row["votes"] for row in rows] == [1, 3, 5, 11]
    assert {request.num_samples for request in Grader.asked} == {11}
    assert len(Grader.asked) == NUM_RESPONSES
    for row in rows:
        alone = measured([run / "m1"], tmp_path / f"alone {row['votes']}", Ways(votes=(row["votes"],)))
        if row["votes"] in (3, 11):
            # The scripted engine shuffles its three texts once a request, so its first votes do not depend on their number.
            assert alone == [row]
    assert measured([run / "m1"], tmp_path / "cache", Ways(votes=(5,))) == [rows[2]]


def test_what_a_runs_own_evaluation_asked_is_not_asked_again(run: Path, tmp_path: Path) -> None:
    (model,) = named_models([run / "m1"])
    asked = llm.judge(
        Grader(grade), ranked_responses(SETS), measured_judge(model.recipe), model.name, model.recipe.seed
    )
    store.append(run / "m1" / store.EVAL_JUDGEMENTS_FILE, asked)
    before = len(Grader.asked)
    own = measured([run / "m1"], tmp_path / "cache")
    assert len(Grader.asked) == before and not Grader.opened
    store.write_json(run / store.STAMP_FILE, {"templates": {"judge": {"additive": "edited since"}}})
    measured([run / "m1"], tmp_path / "edited")
    assert len(Grader.asked) == before + NUM_RESPONSES
    (run / store.STAMP_FILE).unlink()
    before += NUM_RESPONSES
    (run / "m1" / store.EVAL_JUDGEMENTS_FILE).unlink()
    assert measured([run / "m1"], tmp_path / "cache") == own
    assert len(Grader.asked) == before + NUM_RESPONSES


@pytest.mark.parametrize("change", ["weights", "template"])
def test_another_model_or_template_is_asked_anew(run: Path, tmp_path: Path, change: str) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("Rate {{ response }} for {{ prompt }}")
    ways = Ways(templates=(str(template),))
    measured([run / "m1"], tmp_path / "cache", ways)
    if change == "weights":
        write_weights(run / "m1", 9)
    else:
        template.write_text("Grade {{ response }} for {{ prompt }}")
    measured([run / "m1"], tmp_path / "cache", ways)
    assert len(Grader.asked) == 2 * NUM_RESPONSES


def test_every_template_is_asked_and_a_direct_reading_has_one_vote(run: Path, tmp_path: Path) -> None:
    templates = ("additive", "multiple_choice", "score_first", "direct")
    rows = measured([run / "m1"], tmp_path / "cache", Ways(templates, ("votes", "direct"), (1, 3)))
    ways = [(row["pin"]["template"], row["pin"]["read"], row["votes"]) for row in rows]
    assert ways == [(t, *way) for t in templates for way in (("votes", 1), ("votes", 3), ("direct", 1))]
    assert {row["health"]["mean_score"]["mean"] for row in rows if row["pin"]["read"] == "direct"} == {2.5}


def test_expected_points_are_read_off_the_words_that_were_paid_for_as_votes(run: Path, tmp_path: Path) -> None:
    measured([run / "m1"], tmp_path / "cache", Ways(votes=(3,)))
    (row,) = measured([run / "m1"], tmp_path / "cache", Ways(reads=("expected",), votes=(2,)))
    assert len(Grader.asked) == NUM_RESPONSES
    (file,) = (tmp_path / "cache").glob("*/2.jsonl")
    kept = {found.response_id: found for found in store.read(file, Judgement)}
    (model,) = named_models([run / "m1"])
    judge = measured_judge(model.recipe).model_copy(update={"read": "expected", "votes": 2, "quorum": 1})
    engine = Grader(grade, token_probs=lambda text, points: [0, 0, 0.5, 0.5, 0, 0])
    asked_at_once = llm.judge(engine, ranked_responses(SETS), judge, model.name, model.recipe.seed)
    assert [kept[found.response_id] for found in asked_at_once] == asked_at_once
    assert row["votes"] == 2 and row["pin"]["read"] == "expected"


def test_unreadable_votes_lower_coverage_and_are_shown(run: Path, tmp_path: Path) -> None:
    result = CLI.invoke(
        app, ["eval", "judge", str(run / "m1"), "--votes", "1,3", "--cache", str(tmp_path / "cache"), "--quiet"]
    )
    assert result.exit_code == 0, result.stderr
    assert "Judge mine/m1 additive votes 3: only 67% of the votes could be read." in " ".join(result.stdout.split())
    assert "81.7" in result.stdout  # the paper's M3


def test_ranked_sets_of_a_file_are_measured_for_a_model_of_no_run_too(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "sets.jsonl"
    file.write_text(
        '{"prompt": "Say c.", "responses": [{"text": "worth 4", "rank": 0}, {"text": "worth 1", "rank": 1}]}\n'
    )
    (row,) = measured([run / "m1"], tmp_path / "cache", sets=read_ranked_sets(file)[0])
    assert (row["metrics"]["pairwise_accuracy"]["value"], row["sets"]) == (1, 1)
    (alone,) = named_models([run / "m1" / "model"])
    assert (alone.label, alone.run) == (str(run / "m1" / "model"), None)


def test_what_is_left_out_of_a_file_of_ranked_sets_is_counted_and_shown(run: Path, tmp_path: Path) -> None:
    lines = [
        {"prompt": "c", "responses": [{"text": "worth 4", "rank": 0}, {"text": "worth 1", "rank": 1}]},
        {"prompt": "C ", "responses": [{"text": "worth 2", "rank": 0}, {"text": "worth 3", "rank": 1}]},
        {"prompt": "d", "responses": [{"text": "worth 2", "rank": 1}, {"text": "worth 3", "rank": 1}]},
    ]
    file = tmp_path / "sets.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_ranked_sets(file)[1] == {"all_tied": 1, "duplicate": 1}
    command = ["eval", "judge", str(run / "m1"), "--sets", str(file), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert f"left out of {file}: all_tied 1, duplicate 1" in CLI.invoke(app, command).stderr
    file.write_text(json.dumps(lines[2]) + "\n")
    with pytest.raises(BadInput, match="holds no responses that people ranked"):
        read_ranked_sets(file)


def test_what_cannot_be_measured_is_said_before_anything_is_asked(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name ranked sets with --sets"):
        measured([run / "m1" / "model"], tmp_path)
    with pytest.raises(BadInput, match="did you mean additive"):
        measured([run], tmp_path, Ways(templates=(None, "aditive")))
    with pytest.raises(BadInput, match="did you mean votes"):
        Ways(reads=("vote",))
    with pytest.raises(BadInput, match="no such run or model"):
        named_models([run.parent / "none"])
    with pytest.raises(BadInput, match="no model 'm7'"):
        named_models([run / "m7"])
    for text in ("", "0", "1,,3", "-1", "x"):
        with pytest.raises(BadInput, match="numbers of votes"):
            numbers_of_votes(text)
    assert Grader.asked == []


def test_a_template_that_shows_evidence_is_given_some_and_any_other_is_asked_without(run: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.db"
    write_sqlite(facts, [Passage(id="f:1", text="To say a is worth more.")])
    ways = Ways((None, "grounded"), votes=(3,), database=str(facts))
    plain, grounded = measured([run / "m1"], tmp_path / "cache", ways)
    assert plain["pin"].keys() == grounded["pin"].keys() - {"database", "passages", "passages_sha256"}
    shown = ["[f:1] To say a is worth more." in request.prompt for request in Grader.asked]
    assert shown == [False] * NUM_RESPONSES + [True] * 3 + [False] * 2  # of two sets, one has evidence
    expected = Ways(("grounded",), ("expected",), (3,), str(facts))
    (row,) = measured([run / "m1"], tmp_path / "cache", expected)
    assert len(Grader.asked) == 2 * NUM_RESPONSES and row["pin"]["database"] == str(facts)
    (kept,) = (file for file in (tmp_path / "cache").glob("*/3.jsonl") if '"probs":[' in file.read_text())
    assert [len(found.evidence) for found in store.read(kept, Judgement)] == [1, 1, 1, 0, 0]


def test_other_passages_are_another_judge(run: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.db"
    for text in ("To say a is worth more.", "To say a is worth less."):
        facts.unlink(missing_ok=True)
        write_sqlite(facts, [Passage(id="f:1", text=text)])
        measured([run / "m1"], tmp_path / "cache", Ways(("grounded",), database=str(facts)))
    assert len(Grader.asked) == 2 * NUM_RESPONSES


def test_evidence_without_a_database_is_refused_before_anything_is_asked(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--template: the template grounded shows evidence; say where it is: --database"):
        measured([run / "m1"], tmp_path, Ways((None, "grounded")))
    command = ["eval", "judge", str(run / "m1"), "--template", "grounded", "--database", "none.db", "--quiet"]
    assert "none.db: no such database" in CLI.invoke(app, command).stderr
    assert Grader.asked == []


def test_the_quorum_of_the_recipe_holds(run: Path, tmp_path: Path) -> None:
    values = Recipe.of(
        {"name": "mine", "judge": {"quorum": 3}, "engine": {"name": "grader"}, "seeds": {"source": "d.jsonl"}}
    )
    (run / "recipe.yaml").write_text(to_yaml(values))
    one, three = measured([run / "m1"], tmp_path / "cache", Ways(votes=(1, 3)))
    assert (one["quorum"], three["quorum"]) == (1, 3)
    assert (three["unscored"], three["coverage"]["value"]) == (NUM_RESPONSES, 0)
