"""RL: what is sampled and scored, the anchor, and that the same lesson gives the same weights, interrupted or not."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support_lessons import Killed, KilledAfter

from selfreward.chat import encode_example, encode_prompt
from selfreward.errors import StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Lesson, Prompt
from selfreward.training import data, rl, teach, train, trainer

PROMPTS = tuple(Prompt(id=str(i), text=f"write about {i} " + "the dog " * (i % 3), source="m1") for i in range(10))
LESSON = Lesson(method="rl", prompts=PROMPTS, start=1, reference=1, reward_model="reward_model")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def recipe(seed: int = 0, **changes: Any) -> Recipe:
    """2 epochs of 3 steps."""
    settings = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 2, "batch": 4, "num_samples": 3}
    training, responses = (
        {"device_batch": changes.pop("device_batch", None)},
        {"max_tokens": changes.pop("max_tokens", 8)},
    )
    return Recipe.of(
        {"name": "x", "seed": seed, "rl": {**settings, **changes}, "training": training, "responses": responses}
    )


class Shortness:
    """Stands for a reward model: it likes short chats, and keeps those it was shown."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.seen = most, list[list[int]]()

    def of_chats(self, rows: list[list[int]]) -> list[float | None]:
        self.seen += rows
        return [-float(len(row)) if len(row) <= self.most else None for row in rows]


@pytest.fixture
def rewarding(monkeypatch: pytest.MonkeyPatch) -> Shortness:
    likes = Shortness()
    monkeypatch.setattr(teach, "open_reward_model", lambda folder, recipe: likes)
    return likes


@pytest.fixture
def taught(tiny_model: Path, tmp_path: Path, rewarding: Shortness) -> Callable[..., tuple[Path, list[dict[str, Any]]]]:
    """Trains a lesson in a folder; returns the model folder and what was logged."""

    def run(
        lesson: Lesson = LESSON, name: str = "m2", models: Any = None, progress: Any = None, **changes: Any
    ) -> tuple[Path, list[dict[str, Any]]]:
        logged: list[dict[str, Any]] = []
        (tmp_path / name).mkdir(exist_ok=True)
        model = train(
            lesson, models or (lambda k: str(tiny_model)), tmp_path / name, recipe(**changes), progress or QuietProgress(),
            lambda **line: logged.append(line),
        )  # fmt: skip
        return model, logged

    return run


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def steps(logged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in logged if "loss" in line]


def test_f26_prompts_are_sampled_from_the_ids_that_the_chat_template_gives(
    taught: Any, rewarding: Shortness, tokenizer: Any
) -> None:
    taught(epochs=1)
    asked = {tuple(encode_prompt(tokenizer, prompt.text)) for prompt in PROMPTS}
    began = {ids for row in rewarding.seen for ids in asked if tuple(row[: len(ids)]) == ids}
    assert began == asked
    assert all(any(tuple(row[: len(ids)]) == ids for ids in asked) for row in rewarding.seen)


def test_f26_what_is_rewarded_is_closed_as_the_reward_model_was_taught(
    taught: Any, rewarding: Shortness, tokenizer: Any
) -> None:
    """Whether the policy ended its turn or was cut off: one end, and it stands last."""
    taught(epochs=1)
    end = encode_example(tokenizer, "?", "!")[1][-1]
    longest = max(len(encode_prompt(tokenizer, prompt.text)) for prompt in PROMPTS) + 8
    assert {row[-1] for row in rewarding.seen} == {end}
    assert all(row[-2] != end for row in rewarding.seen)
    assert max(map(len, rewarding.seen)) <= longest + 1


def test_the_policy_learns_what_is_rewarded(taught: Any) -> None:
    _, logged = taught(epochs=3, lr=2e-3, batch=10, num_samples=8)
    assert steps(logged)[-1]["reward"] > steps(logged)[0]["reward"] + 2
    assert {"kl", "reward_std", "completions/mean_length", "completions/clipped_ratio"} <= set(steps(logged)[0])


def test_a_strong_anchor_holds_the_policy_back(taught: Any) -> None:
    how = {"epochs": 6, "lr": 2e-3, "batch": 10, "num_samples": 8}
    _, free = taught(name="free", beta=1e-6, **how)
    _, held = taught(name="held", beta=3.0, **how)
    assert steps(free)[-1]["kl"] > 2 * steps(held)[-1]["kl"] > 0


def test_the_first_kl_is_0_where_the_model_is_its_own_reference(taught: Any) -> None:
    _, logged = taught(epochs=1)
    assert [line["first_kl"] for line in logged if "first_kl" in line] == [pytest.approx(0, abs=1e-5)]


def test_the_tokens_that_were_read_are_counted_at_the_end(taught: Any, rewarding: Shortness) -> None:
    _, logged = taught(epochs=1)
    cut = logged[-1]["num_tokens"] - (sum(map(len, rewarding.seen)) - len(rewarding.seen))  # ends that were drawn
    assert 0 <= cut <= len(rewarding.seen) == 36
    assert next(line["num_tokens"] for line in logged) == 0


def test_f25_the_reference_named_in_the_lesson_is_the_one_used(
    taught: Any, tiny_model: Path, other_model: Path
) -> None:
    folders = {1: str(tiny_model), 0: str(other_model)}
    _, logged = taught(LESSON.model_copy(update={"reference": 0}), models=lambda k: folders[k], epochs=1)
    assert next(line["first_kl"] for line in logged if "first_kl" in line) > 0.01


def test_f25_a_reference_that_is_not_the_start_stops_the_training(
    taught: Any, tmp_path: Path, other_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = trainer.load_model

    def wrong_reference(folder: str, dropout: float = 0.0, **options: Any) -> Any:
        monkeypatch.setattr(trainer, "load_model", lambda *_, **__: load(str(other_model)))  # the second one loaded
        return load(folder, dropout, **options)

    monkeypatch.setattr(trainer, "load_model", wrong_reference)
    with pytest.raises(StageFailed, match=r"first KL to the reference is .* and not 0"):
        taught()
    assert not (tmp_path / "m2" / "model").exists()


def test_a_lesson_without_a_reference_or_a_reward_model_is_refused(taught: Any) -> None:
    for missing in ("reference", "reward_model"):
        with pytest.raises(StageFailed, match=f"the RL lesson names no {missing.replace('_', ' ')}"):
            taught(LESSON.model_copy(update={missing: None}))


def test_a_response_without_a_reward_is_counted_and_teaches_nothing(
    taught: Any, rewarding: Shortness, tiny_model: Path
) -> None:
    rewarding.most = 0
    model, logged = taught(beta=1e-9, epochs=1)
    assert {line["unscored"] for line in steps(logged)} == {1.0}
    before, after = (trainer.load_model(str(folder)).state_dict() for folder in (tiny_model, model))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_same_lesson_and_seed_give_the_same_weights_to_the_bit(taught: Any) -> None:
    first = weights(taught(name="a")[0])
    assert first == weights(taught(name="b")[0])
    assert first != weights(taught(name="c", seed=1)[0])


@pytest.mark.parametrize("done", [2, 3, 4], ids=["in the first epoch", "between epochs", "in the second epoch"])
def test_k_steps_and_a_resume_equal_all_steps_to_the_bit(
    done: int, taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY_S", 0.0)
    whole, _ = taught(name="whole", device_batch=2)
    with pytest.raises(Killed):
        taught(name="killed", progress=KilledAfter(done), device_batch=2)
    rest = KilledAfter()
    resumed, _ = taught(name="killed", progress=rest, device_batch=2)
    assert (rest.done, rest.steps) == (done, 6 - done)
    assert weights(resumed) == weights(whole)


def test_a_prompt_that_leaves_no_room_for_a_response_is_left_out_and_counted(taught: Any, tokenizer: Any) -> None:
    lengths = sorted(len(encode_prompt(tokenizer, prompt.text)) for prompt in PROMPTS)
    _, logged = taught(max_tokens=512 - lengths[6], epochs=1, num_samples=2)  # the tiny model reads 512 tokens
    kept = sum(length <= lengths[6] for length in lengths)
    assert logged[0]["num_rows"] == kept == 10 - logged[0]["num_dropped"] < 10


def test_the_settings_of_the_model_are_those_of_its_start(taught: Any, tiny_model: Path) -> None:
    model, _ = taught(epochs=1)
    for name in ("config.json", "generation_config.json"):
        assert (model / name).read_bytes() == (tiny_model / name).read_bytes()


def test_an_epoch_meets_every_prompt_in_whole_groups_and_fills_the_last_batch() -> None:
    order = data.SeveralOfEach([3] * 10, batch=4, num_samples=3, parts=2, seed=0)
    drawn = list(order)
    assert len(drawn) == len(order) == 3 * 2 * 12
    batches = [drawn[at : at + 12] for at in range(0, len(drawn), 12)]
    assert batches[::2] == batches[1::2]  # one for each part
    groups = [batch[at] for batch in batches[::2] for at in range(0, 12, 3)]
    assert all(batch[at : at + 3] == [batch[at]] * 3 for batch in batches for at in range(0, 12, 3))
    assert set(groups) == set(range(10)) and groups[10:] == groups[:2]
    assert list(data.SeveralOfEach([3] * 10, 4, 3, 2, seed=0)) == drawn


def test_fewer_prompts_than_a_batch_fill_one_all_the_same() -> None:
    assert Counter(data.SeveralOfEach([3, 4], batch=5, num_samples=2, parts=1, seed=0)).total() == 10


def test_rl_prints_nothing(taught: Any, capfd: pytest.CaptureFixture[str]) -> None:
    taught(epochs=1)
    assert capfd.readouterr().out == ""


def test_a_policy_that_is_trained_whole_wants_a_reference(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reference of its own"):
        rl.rl_trainer(None, None, None, [], Shortness().of_chats, recipe().rl, 8, tmp_path, seed=0)
