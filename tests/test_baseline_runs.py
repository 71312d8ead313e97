"""Whole runs of the strategies that have a reward model: made once, measured, sealed, shown, and gone on with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.errors import BadInput
from selfreward.loop import run
from selfreward.progress import QuietProgress
from selfreward.recipe import load_recipe
from selfreward.records import Judgement, Pair
from selfreward.report import tables
from selfreward.verifying import verify

SMALL = {
    "seeds.num_ift": 16, "seeds.num_eft_prompts": 20, "eft.attempts": 2, "prompts.num": 9, "sft.batch": 16,
    "sft.epochs": 1, "dpo.batch": 4, "dpo.epochs": 1, "responses.num_samples": 3, "evaluation.num_prompts": 5,
    "evaluation.num_ranked_sets": 3, "evaluation.votes": 1, "evaluation.num_samples": 1, "engine.batch_size": 5,
    "engine.name": "support_engines:people", "reward_model.epochs": 1, "rl.batch": 4, "rl.num_samples": 2, "rl.epochs": 1,
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
Run = Callable[..., Path]


@pytest.fixture(scope="module")
def new_run(tiny_m0: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    made: dict[str, Path] = {}

    def make(strategy: str) -> Path:
        if strategy not in made:
            folder = tmp_path_factory.mktemp(strategy) / "run"
            run(recipe(tiny_m0, strategy), folder, QuietProgress())
            made[strategy] = folder
        return made[strategy]

    return make


def recipe(model: Path, strategy: str) -> Any:
    settings = {**SMALL, "model": model, "strategy": strategy}
    return load_recipe("micro-fast", [f"{key}={value}" for key, value in settings.items()])


def weights(folder: Path) -> bytes:
    return (folder / store.MODEL_FOLDER / "model.safetensors").read_bytes()


@pytest.mark.parametrize("strategy", ["frozen_reward_model", "rlhf"])
def test_a_run_makes_and_seals_one_reward_model_and_every_policy(new_run: Run, strategy: str) -> None:
    folder = new_run(strategy)
    assert store.RunFolder(folder).models() == ["m0", "sft", "m1", "m2", "m3"]
    assert len({weights(folder / name) for name in ("sft", "m1", "m2", "m3")}) == 4
    found = verify(folder)
    assert found["finished"] and found["problems"] == [] and found["not_covered"] == []
    assert f"{store.REWARD_MODEL_FOLDER}/model/model.safetensors" in store.read_manifest(folder)
    trained = [line for line in store.read_rows(folder / store.METRICS_FILE) if line.get("method") == "reward"]
    assert sum("num_rows" in line for line in trained) == 1


def test_the_reward_model_is_taught_every_pair_of_different_ranks(new_run: Run) -> None:
    folder = new_run("frozen_reward_model") / store.REWARD_MODEL_FOLDER
    lesson, counts = store.read_json(folder / store.LESSON_FILE), store.read_json(folder / store.COUNTS_FILE)["pairs"]
    assert (lesson["method"], lesson["start"], lesson["num_pairs"]) == ("reward", 1, counts["pairs"])
    assert counts["prompts"] == 20 and counts["pairs"] + counts["tie"] + counts["identical_text"] == 20 * 3


def test_it_is_measured_against_people_and_the_oracle_and_shown_beside_the_models(new_run: Run) -> None:
    folder = new_run("frozen_reward_model")
    found = store.read_json(folder / store.REWARD_MODEL_FOLDER / store.EVAL_FILE)
    assert set(found["reward_modelling"]) == {"human", "oracle"}
    measured = found["reward_modelling"]["human"]["half"]["pairwise_accuracy"]
    assert measured["n"] == 9 and measured["ci95"][0] <= measured["value"] <= measured["ci95"][1]
    shown = tables(folder)
    assert shown["reward_modelling"]["human"]["half"]["pairwise_accuracy"]["reward_model"] == measured
    assert shown["counts"]["reward_model"]["pairs/pairs"] > 0
    printed = CliRunner().invoke(app, ["show", str(folder)])
    assert printed.exit_code == 0 and "reward_model" in printed.stdout


def test_its_rewards_make_the_pairs(new_run: Run) -> None:
    folder = new_run("frozen_reward_model") / "m3"
    scores = {one.response_id: one.score for one in store.read(folder / store.JUDGEMENTS_FILE, Judgement)}
    pairs = store.read(folder / store.PAIRS_FILE, Pair)
    assert pairs and all(scores[pair.chosen_id] == pair.chosen_score > pair.rejected_score for pair in pairs)


def test_rlhf_logs_reward_and_distance_and_draws_no_responses_beforehand(new_run: Run) -> None:
    folder = new_run("rlhf")
    assert store.read_json(folder / "m3" / store.LESSON_FILE) | {"num_prompts": 0} == {
        "method": "rl", "start": 2, "reference": 2, "num_pairs": 0, "num_examples": 0, "num_prompts": 0,
        "reward_model": "reward_model",
    }  # fmt: skip
    assert not (folder / "m2" / store.RESPONSES_FILE).exists()
    steps = [line for line in store.read_rows(folder / store.METRICS_FILE) if "kl" in line]
    assert {line["model"] for line in steps} == {"m2", "m3"} and all(line["unscored"] == 0 for line in steps)


def test_a_run_that_goes_on_leaves_the_reward_model_as_it_is(
    new_run: Run, tiny_m0: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run("frozen_reward_model")
    before, m3 = weights(folder / store.REWARD_MODEL_FOLDER), weights(folder / "m3")
    for name in (store.LESSON_FILE, store.EVAL_FILE, store.JUDGEMENTS_FILE, store.PAIRS_FILE):
        (folder / "m3" / name).unlink()
    for file in sorted((folder / "m3" / store.MODEL_FOLDER).iterdir()):
        file.unlink()
    (folder / "m3" / store.MODEL_FOLDER).rmdir()
    run(recipe(tiny_m0, "frozen_reward_model"), folder, QuietProgress())
    assert (weights(folder / store.REWARD_MODEL_FOLDER), weights(folder / "m3")) == (before, m3)


def test_a_reward_model_that_was_changed_is_found(new_run: Run) -> None:
    folder = new_run("rlhf")
    file = folder / store.REWARD_MODEL_FOLDER / store.LESSON_FILE
    held = file.read_text()
    try:
        file.write_text(json.dumps({**json.loads(held), "num_pairs": 1}))
        assert any("num_pairs is stated as 1" in problem for problem in verify(folder)["problems"])
    finally:
        file.write_text(held)


def test_without_rankings_nothing_is_started(tiny_m0: Path, tmp_path: Path) -> None:
    asked = recipe(tiny_m0, "rlhf")
    none = asked.model_copy(update={"seeds": asked.seeds.model_copy(update={"num_eft_prompts": 0})})
    with pytest.raises(BadInput, match="rlhf needs people's rankings"):
        run(none, tmp_path / "run", QuietProgress())
    assert not (tmp_path / "run").exists()
