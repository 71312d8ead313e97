"""Every strategy in a run of two small rounds, from M0 to M3, whole when it is over; schedules, replay and a look ahead in it."""

from pathlib import Path
from typing import Any

import pytest
from support_lessons import Killed

from selfreward import loop, store
from selfreward.loop import run
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Pair
from selfreward.strategies import STRATEGIES
from selfreward.training.train import train
from selfreward.verifying import verify

SMALL = [
    "seeds.num_ift=12", "seeds.num_eft_prompts=12", "eft.attempts=2", "prompts.num=6", "sft.epochs=1", "dpo.batch=4",
    "dpo.epochs=1", "rl.batch=6", "rl.num_samples=2", "responses.num_samples=3", "responses.max_tokens=8",
    "reward_model.epochs=1", "judge.votes=2", "evaluation.num_prompts=2", "evaluation.num_ranked_sets=2",
    "evaluation.votes=1", "evaluation.num_samples=1", "engine.name=support_engines:people_with_tastes",
]  # fmt: skip
SFT = ("positives_only", "sft_only", "self_taught_evaluator")


def small(m0: Path, *changes: str) -> Recipe:
    return load_recipe("micro-fast", [*SMALL, f"model={m0}", *changes])


def in_folder(folder: Path, name: str) -> Any:
    return store.read_json(folder / name)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_run_of_every_strategy_is_whole(strategy: str, tiny_m0: Path, tmp_path: Path) -> None:
    rounds = 2 if strategy in ("dice", "spin", "consistency_regularised") else 1  # those whose second round is another
    answer = ["pairs.answer=support_engines:odd_or_even"] if strategy == "self_consistency" else []
    recipe = small(tiny_m0, f"strategy={strategy}", f"rounds={rounds}", *answer)
    run(recipe, tmp_path / "run", QuietProgress())
    for k in range(2, rounds + 2):
        lesson = in_folder(tmp_path / "run" / store.model_name(k), store.LESSON_FILE)
        assert lesson["method"] == ("sft" if strategy in SFT else "rl" if strategy == "rlhf" else "dpo")
        start = k - 1 if strategy not in ("positives_only", "self_taught_evaluator") else 0
        assert (lesson["start"], lesson["reference"]) == (start, None if strategy in SFT else k - 1)
    found = verify(tmp_path / "run")
    assert not found["problems"]


def test_a_schedule_changes_the_strategy_beta_and_the_prompts_of_a_round(tiny_m0: Path, tmp_path: Path) -> None:
    entries = "[{dpo.beta: 0.5, prompts.num: 5}, {strategy: irpo, dpo: {beta: 0.2}, pairs.replay: 0.5}]"
    run(small(tiny_m0, "dpo.lr=1e-3", f"schedule={entries}"), tmp_path / "run", QuietProgress())
    first, second = (tmp_path / "run" / name for name in ("m2", "m3"))
    assert "loss" not in in_folder(first, store.LESSON_FILE)
    assert in_folder(second, store.LESSON_FILE)["loss"]["nll"] == 1.0
    assert [in_folder(folder, store.COUNTS_FILE)["prompts"]["accepted"] for folder in (first, second)] == [5, 6]

    counts = in_folder(second, store.COUNTS_FILE)["pairs"]
    pairs, earlier = (store.read(folder / store.PAIRS_FILE, Pair) for folder in (second, first))
    replayed = {pair.id for pair in pairs} & {pair.id for pair in earlier}
    own = counts["pairs"] - counts["replayed"]
    assert len(replayed) == counts["replayed"] == min(round(own / 2), len(earlier)) > 0
    assert in_folder(second, store.LESSON_FILE)["num_pairs"] == len(pairs) == counts["pairs"]
    assert not verify(tmp_path / "run")["problems"]


def test_beta_of_a_schedule_reaches_the_training_of_its_round_alone(
    tiny_m0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: dict[str, tuple[float, float]] = {}

    def noted(lesson: Any, models: Any, folder: Path, recipe: Recipe, *rest: Any) -> Path:
        taught[folder.name] = recipe.dpo.beta, recipe.sft.lr
        return train(lesson, models, folder, recipe, *rest)

    monkeypatch.setattr(loop, "train", noted)
    run(small(tiny_m0, "schedule=[{dpo.beta: 0.5, sft.lr: 0.01}, {dpo.beta: 0.2}]"), tmp_path / "run", QuietProgress())
    lr = load_recipe("micro-fast").sft.lr
    assert taught == {"sft": (0.1, lr), "m1": (0.1, lr), "m2": (0.5, 0.01), "m3": (0.2, lr)}


def test_a_run_that_was_killed_as_it_looked_ahead_goes_on_to_the_same_files(
    tiny_m0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(tiny_m0, "strategy=temporal", "rounds=1")
    run(recipe, tmp_path / "whole", QuietProgress())
    kills = ["before", "after"]  # the model ahead is there

    def killed(lesson: Any, models: Any, folder: Path, *rest: Any) -> Path:
        when = kills.pop(0) if folder.name == store.AHEAD_FOLDER and kills else ""
        if when == "before":
            raise Killed
        found = train(lesson, models, folder, *rest)
        if when == "after":
            raise Killed
        return found

    monkeypatch.setattr(loop, "train", killed)
    for _ in range(2):
        with pytest.raises(Killed):
            run(recipe, tmp_path / "stopped", QuietProgress())
    assert not kills and (tmp_path / "stopped/m2/ahead/model").is_dir()
    run(recipe, tmp_path / "stopped", QuietProgress())
    for name in (store.PAIRS_FILE, store.JUDGEMENTS_FILE, store.COUNTS_FILE, "responses-m2-ahead.jsonl"):
        assert (tmp_path / "stopped/m2" / name).read_bytes() == (tmp_path / "whole/m2" / name).read_bytes()
    counts = in_folder(tmp_path / "whole/m2", store.COUNTS_FILE)
    assert counts["pairs_ahead"]["pairs"] == in_folder(tmp_path / "whole/m2/ahead", store.LESSON_FILE)["num_pairs"] > 0
    assert not verify(tmp_path / "stopped")["problems"]
