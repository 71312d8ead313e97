"""Rewards as judgements: one vote, no neighbours, and no number for what does not fit."""

from pathlib import Path
from typing import Any

import pytest

from selfreward import store
from selfreward.chat import encode_example
from selfreward.errors import BadInput
from selfreward.judges import reward_model
from selfreward.judges.reward_model import RewardModel, judge_into
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Judgement, Response
from selfreward.training.reward_model import new_reward_model
from selfreward.weights import load_reward_model

TEXTS = [(f"write about {i}", "the cat sees " + "the river " * i) for i in range(6)]
RESPONSES = [
    Response(
        id=f"r{i}", prompt_id=f"p{i}", prompt=prompt, text=text, model="m1", sample=0, num_tokens=None, finished=True
    )
    for i, (prompt, text) in enumerate(TEXTS)
]


@pytest.fixture(scope="module")
def reward_folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A reward model that was not trained: its head is random."""
    folder = tmp_path_factory.mktemp("reward") / "model"
    model = new_reward_model(str(tiny_model), seed=0)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def recipe(**changes: Any) -> Recipe:
    return Recipe.of({"name": "x", "engine": {"batch_size": 4}, "reward_model": changes})


def test_a_reward_does_not_depend_on_its_neighbours(reward_folder: Path) -> None:
    model = RewardModel(reward_folder, 100, "cpu")
    together = model.of_texts(TEXTS)
    assert together == pytest.approx([model.of_texts([text])[0] for text in TEXTS], abs=1e-5)
    assert len({round(reward, 4) for reward in together if reward is not None}) == len(TEXTS)


def test_texts_are_read_as_the_chats_they_become(reward_folder: Path, tokenizer: Any) -> None:
    model = RewardModel(reward_folder, 100, "cpu")
    chats = [[*prompt, *response] for prompt, response in (encode_example(tokenizer, *text) for text in TEXTS)]
    assert model.of_chats(chats) == model.of_texts(TEXTS)


def test_f17_what_does_not_fit_has_a_vote_of_a_fault_and_no_score(
    reward_folder: Path, tmp_path: Path, tokenizer: Any
) -> None:
    length = sum(map(len, encode_example(tokenizer, *TEXTS[3])))
    found = judge_into(tmp_path / "j.jsonl", RESPONSES, reward_folder, recipe(max_tokens=length), QuietProgress())
    assert [judgement.score is None for judgement in found] == [False] * 4 + [True] * 2
    assert {(vote.fault, vote.score) for judgement in found[4:] for vote in judgement.votes} == {("too_long", None)}
    assert found[5].coverage == 0


def test_a_judgement_has_one_vote_which_is_its_score(reward_folder: Path, tmp_path: Path) -> None:
    found = judge_into(tmp_path / "j.jsonl", RESPONSES, reward_folder, recipe(), QuietProgress())
    assert {judgement.judge for judgement in found} == {"reward_model"}
    assert [judgement.score for judgement in found] == [judgement.votes[0].score for judgement in found]
    assert store.read(tmp_path / "j.jsonl", Judgement) == list(found)


def test_f28_a_file_that_is_whole_loads_no_model(
    reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list(judge_into(tmp_path / "j.jsonl", RESPONSES, reward_folder, recipe(), QuietProgress()))
    monkeypatch.setattr(reward_model, "load_reward_model", None)
    assert list(judge_into(tmp_path / "j.jsonl", RESPONSES, reward_folder, recipe(), QuietProgress())) == first


def test_out_of_memory_means_fewer_at_once_from_then_on(reward_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = RewardModel(reward_folder, 100, "cpu")
    whole, together, sizes = model.of_texts(TEXTS), model._together, list[int]()

    def small(rows: list[list[int]]) -> Any:
        sizes.append(len(rows))
        if len(rows) > 2:
            raise RuntimeError("CUDA out of memory.")
        return together(rows)

    monkeypatch.setattr(model, "_together", small)
    for _ in range(2):
        assert model.of_texts(TEXTS) == pytest.approx(whole, abs=1e-5)
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_a_language_model_is_no_reward_model(tiny_model: Path) -> None:
    with pytest.raises(BadInput, match=r"1 of its weights are missing, such as score\.weight"):
        load_reward_model(tiny_model)
