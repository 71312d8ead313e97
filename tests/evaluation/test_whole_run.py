"""A whole run measured in one go: what is missing is made once, what is there is read, and the paper stands beside it."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support_engines import people
from support_pairwise import asked, goods, noted
from typer.testing import CliRunner, Result

from selfreward import store
from selfreward.cli import app
from selfreward.engines import ENGINES
from selfreward.engines.scripted import ScriptedEngine
from selfreward.evaluation.evaluate import rivals_of
from selfreward.evaluation.micro import held_out_prompts
from selfreward.recipe import EngineOptions, Recipe, recipe_of
from selfreward.records import RankedResponse, RankedSet
from selfreward.responses import Responses
from selfreward.seeds import Seeds, write_seeds
from selfreward.store import open_run

MODELS = ("sft", "m1", "m2")
GOODS = {"sft": "good", "m1": "good good", "m2": "good " * 3}  # what each answers
PAIRS = ["m1 v sft", "m2 v m1", "m2 v sft"]


class Worker(ScriptedEngine):
    """A model that answers, judges pairs and judges alone, by counting how often an answer says good."""

    opened: list[str] = []  # noqa: RUF012 - one list, emptied for each test

    def __init__(self, options: EngineOptions, model_folder: str | Path) -> None:
        self.name = Path(model_folder).parent.name
        Worker.opened.append(self.name)
        super().__init__(self.say)

    def say(self, prompt: str) -> Sequence[str]:
        noted(prompt)
        if "<answer-1>" in prompt:
            one, two = goods(prompt)
            return [f"Better: {'tie' if one == two else 1 if one > two else 2}"]
        if not prompt.startswith("Ask"):
            return [f"Score: {min(5, prompt.count('good'))}"]
        return ["Hm." if prompt.endswith("4") else GOODS[self.name]]


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch, here: Path) -> type[Worker]:
    monkeypatch.setitem(ENGINES, "worker", Worker)
    monkeypatch.setitem(ENGINES, "people", people)
    Worker.opened = []
    return Worker


def trained(folder: Path, **values: Any) -> Path:
    """A run whose models were trained and not measured."""
    recipe = recipe_of({"name": "x", "rounds": 1, **values}, [], "")
    with open_run(folder, recipe) as run:
        sets = [
            RankedSet(
                id=str(number),
                prompt=f"Ask {number}",
                responses=(RankedResponse(text="good good", rank=0), RankedResponse(text="good", rank=1)),
                category="odd" if number % 2 else "even",
            )
            for number in range(6)
        ]
        held_out = sets if not recipe.seeds.is_micro else []
        write_seeds(Seeds([], [], held_out, lambda text: False), run.folder(store.SEED_FOLDER))
        for name in MODELS:
            weights = run.folder(name) / "model"
            weights.mkdir()
            (weights / "model.safetensors").write_bytes(name.encode())
    return folder


@pytest.fixture
def run(here: Path) -> Path:
    return trained(
        here / "runs" / "x", engine={"name": "worker"}, seeds={"source": "d.jsonl"}, evaluation={"num_prompts": 5}
    )


@pytest.fixture
def micro(here: Path) -> Path:
    wanted = {"num_prompts": 20, "num_samples": 2}
    return trained(
        here / "runs" / "m", engine={"name": "people"}, judge={"template": "micro"}, evaluation=wanted, seed=3
    )


def evaluated(*words: object) -> Any:
    ended = invoked(*words, "--quiet", "--json")
    assert ended.exit_code == 0, ended.output + repr(ended.exception)
    return json.loads(ended.stdout)


def invoked(*words: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, words)])


def refused(*words: object) -> str:
    ended = invoked(*words)
    assert (ended.exit_code, ended.stdout) == (2, ""), ended.output + repr(ended.exception)
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def rows(found: Any) -> dict[str, Any]:
    return {f"{row['model']} v {row['against']}": row for row in found["head_to_head"]}


def test_a_model_meets_the_baseline_m1_and_the_one_before_it() -> None:
    assert [rivals_of(["sft", "m1", "m2", "m3"][:n]) for n in range(5)] == [
        [], ["sft"], ["m1", "sft"], ["m1", "m2", "sft"], ["m1", "m3", "sft"],
    ]  # fmt: skip


def test_what_a_run_lacks_is_made_and_its_newest_model_compares_the_answers(run: Path, here: Path) -> None:
    found = evaluated(run)
    games = rows(found)
    assert list(games) == PAIRS and found["prompts"] == 5
    assert {name: (game["wins"], game["ties"], game["losses"]) for name, game in games.items()} == dict.fromkeys(
        PAIRS, (4, 1, 0)
    )
    assert games["m2 v m1"]["judge"]["judge"] == "x/m2" and len(games["m2 v m1"]["judge"]["template_sha256"]) == 64
    assert games["m2 v m1"]["paper"] == {"win": 55.5, "tie": 32.8, "lose": 11.7}
    assert {name: of["n"] for name, of in games["m1 v sft"]["by_category"].items()} == {"even": 3, "odd": 2}
    assert list(games["m1 v sft"]["by_expected_length"]) == ["1-25 words"]
    assert found["lengths"]["m1"]["chars"]["mean"] == (4 * 9 + 3) / 5 and found["lengths"]["m1"]["chars"]["n"] == 5
    assert found["reward_modelling"]["human"]["excluded"]["pairwise_accuracy"]["m2"]["value"] == 1
    assert found["made_by"]["judgements"]["template_sha256"] == store.RunFolder(run).judge_text()
    for name in MODELS:
        assert len(store.read(run / name / store.EVAL_RESPONSES_FILE, Responses)) == 5
    manifest = store.read_manifest(run)
    assert {f"{name}/{file}" for name in MODELS for file in store.EVAL_FILES} <= manifest.keys()


def test_nothing_is_asked_twice_by_it_or_by_a_match_of_its_own(run: Path, here: Path) -> None:
    found = evaluated(run)
    before, launches = asked(here), len(os.listdir(run / "logs"))
    assert evaluated(run) == found
    one = evaluated("head-to-head", run / "m2", run / "sft", "--judge", run / "m2")
    assert one["wins"] == 4
    assert (asked(here), len(os.listdir(run / "logs"))) == (before, launches)


def test_the_judge_is_loaded_once_for_all_matches(run: Path, worker: type[Worker]) -> None:
    evaluated(run)
    assert worker.opened == [*MODELS, "m2"]


def test_by_scores_an_answer_that_plays_in_several_matches_is_judged_once(run: Path, here: Path) -> None:
    evaluated(run, "--judge", "length")
    before = asked(here)
    found = rows(evaluated(run, "--by", "scores", "--judge", run / "m1", "--set", "judge.votes=1"))
    assert found["m2 v sft"]["wins"] == 4 and found["m2 v sft"]["judge"]["by"] == "scores"
    assert asked(here) == before + 3 * 4 + 1  # three models' answers to four prompts; to the fifth they say the same


def test_answers_that_were_cut_short_are_finished(run: Path, here: Path) -> None:
    found = evaluated(run)
    path, before = run / "m1" / store.EVAL_RESPONSES_FILE, asked(here)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    assert evaluated(run) == found
    assert path.read_bytes() == b"".join(lines) and asked(here) == before + 2


def test_in_the_micro_world_the_oracle_compares_and_what_was_measured_is_read(micro: Path) -> None:
    found = evaluated(micro)
    held = {name: store.read_json(micro / name / store.EVAL_FILE) for name in MODELS}
    for name, game in rows(found).items():
        model, against = name.split(" v ")
        assert {key: game[key] for key in held[model]["head_to_head"][against]} == held[model]["head_to_head"][against]
        assert game["judge"]["judge"] == "oracle"
        assert sum(of["n"] for of in game["by_complexity"].values()) == 20
    assert found["capability"]["m2"]["score"] == held["m2"]["capability"]["score"]


def test_a_run_that_was_measured_on_other_prompts_is_left_as_it_is(
    micro: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluated(micro)
    held = {name: (micro / name / store.EVAL_RESPONSES_FILE).read_bytes() for name in MODELS}
    drawn = held_out_prompts(recipe_of({"name": "other", "seed": 99, "evaluation": {"num_prompts": 20}}, [], ""))
    monkeypatch.setattr("selfreward.evaluation.micro.held_out_prompts", lambda recipe: drawn)
    assert evaluated(micro) == found
    assert {name: (micro / name / store.EVAL_RESPONSES_FILE).read_bytes() for name in MODELS} == held


def test_in_the_micro_world_a_judge_stands_beside_the_oracle_where_one_is_named(micro: Path) -> None:
    evaluated(micro)
    both = evaluated(micro, "--judge", "length")
    assert [row["judge"]["judge"] for row in both["head_to_head"]] == ["oracle"] * 3 + ["length"] * 3
    assert both["head_to_head"][3]["by_category"].keys() <= {"sentence", "list", "order", "fact"}
    shown = invoked(micro, "--judge", "length", "--quiet").stdout
    assert "judged by oracle" in shown and "judged by length" in shown


def test_the_papers_figures_stand_beside_ours(run: Path) -> None:
    shown = invoked(run, "--quiet").stdout
    for said in ("Head to head", "34.7", "by kind of prompt", "category: odd", "little in", "80.4", "1552"):
        assert said in shown
    made = r"Judge x/m2, by verdicts, template forced_choice \([0-9a-f]{12}\): pin [0-9a-f]{16}\. It judges its own"
    assert re.search(made, shown)


def test_a_judge_that_decides_little_is_told_of(run: Path, here: Path) -> None:
    (here / "mine.jinja").write_text("Ask 4: {{ prompt }} {{ first }} {{ second }}? 4")  # it says Hm.
    shown = " ".join(invoked(run, "--template", "mine.jinja", "--quiet").stdout.split())
    assert "Judge x/m2 left 12 of 15 prompts undecided (24 unreadable): name another" in shown
    assert "undecided" not in invoked(run, "--judge", "length", "--quiet").stdout


def test_a_run_is_measured_by_its_path_and_a_command_by_its_name(run: Path, here: Path) -> None:
    (here / "judge").mkdir()
    assert "Missing argument" in invoked("judge").stderr
    assert evaluated("run", run) == evaluated(run)
    os.chdir(run.parent)
    assert evaluated("x")["run"] == "x"
    assert "No such command 'nothing'" in invoked("nothing").stderr


def test_what_cannot_be_measured_is_refused_before_anything_is_asked(run: Path, here: Path) -> None:
    assert "no such run" in refused("runs/nothing")
    assert "did you mean" in refused(run, "--template", "forced_choic")
    assert "gives no scores" in refused(run, "--judge", "length", "--by", "scores")
    assert "no model 'm9'" in refused(run, "--judge", run / "m9")
    with open_run(run, store.RunFolder(run).recipe()):
        assert "is running in this folder" in refused(run)
    untrained = here / "runs" / "new"
    with open_run(untrained, Recipe(name="new")):
        pass
    assert "has no trained model yet" in refused(untrained)
    assert asked(here) == 0 and not (here / "evals").exists()
