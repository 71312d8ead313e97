"""DPO: token ids, the loss against a golden one in float64, and the reference model."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from selfreward.chat import encode_example, encode_prompt, load_tokenizer
from selfreward.errors import StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Lesson, Pair
from selfreward.training import data, dpo, train, trainer

GOOD = ("the cat sees the river.", "a red dog runs about the big tree.", "the tree is big.")
BAD = ("dog.", "the the the the the", "a red red cat is is\n\n42")
PAIRS = tuple(
    Pair(
        id=str(i),
        prompt_id=str(i),
        prompt=f"write about {i} " + "the dog " * (i % 5),
        chosen_id=f"c{i}",
        chosen=GOOD[i % 3],
        chosen_score=4,
        rejected_id=f"r{i}",
        rejected=BAD[i % 3],
        rejected_score=1,
        margin=3,
    )
    for i in range(18)
)
LESSON = Lesson(method="dpo", pairs=PAIRS, start=1, reference=1)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL's and transformers' about each other's fields


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run: the golden numbers are finer than bfloat16."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def recipe(seed: int = 0, sections: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """2 epochs of 5 steps."""
    settings = {"beta": 0.1, "lr": 1e-3, "final_lr": 1e-4, "epochs": 2, "batch": 4, "dropout": 0.1, "max_tokens": 100}
    return Recipe.of({"name": "x", "seed": seed, "dpo": {**settings, **changes}, **(sections or {})})


@pytest.fixture
def taught(tiny_model: Path, tmp_path: Path) -> Callable[..., tuple[Path, list[dict[str, Any]]]]:
    """Trains a lesson in a fresh folder; returns the model folder and what was logged."""

    def teach(
        lesson: Lesson = LESSON, name: str = "m2", models: Callable[[int], str] | None = None, **changes: Any
    ) -> tuple[Path, list[dict[str, Any]]]:
        folder = tmp_path / name
        folder.mkdir()
        logged: list[dict[str, Any]] = []
        model = train(
            lesson, models or (lambda k: str(tiny_model)), folder, recipe(**changes), QuietProgress(),
            lambda **scalars: logged.append(scalars),
        )  # fmt: skip
        return model, logged

    return teach


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def log_prob(model: Any, prompt: list[int], response: list[int]) -> float:
    """Sum over the response's tokens of log p(token | all before it), in the precision of the model."""
    with torch.no_grad():
        log_probs = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    return sum(log_probs[len(prompt) + at - 1, token].item() for at, token in enumerate(response))


def golden_loss(policy: Path, reference: Path, pairs: tuple[Pair, ...], beta: float) -> float:
    """Equation 7 of arXiv 2305.18290 in float64, one sequence at a time, without padding."""
    tokenizer = load_tokenizer(policy)
    pi, ref = (trainer.load_model(str(folder)).double().eval() for folder in (policy, reference))
    losses = []
    for pair in pairs:
        prompt, chosen = encode_example(tokenizer, pair.prompt, pair.chosen)
        _, rejected = encode_example(tokenizer, pair.prompt, pair.rejected)
        up = log_prob(pi, prompt, chosen) - log_prob(ref, prompt, chosen)
        down = log_prob(pi, prompt, rejected) - log_prob(ref, prompt, rejected)
        losses.append(math.log1p(math.exp(-beta * (up - down))))
    return sum(losses) / len(losses)


def build(policy: Path, reference: Path, tmp_path: Path, **changes: Any) -> Any:
    tokenizer = load_tokenizer(policy)
    settings = recipe(**changes).dpo
    return dpo.dpo_trainer(
        trainer.load_model(str(policy), settings.dropout),
        trainer.load_model(str(reference)),
        tokenizer,
        data.dpo_rows(tokenizer, PAIRS, 100),
        settings,
        tmp_path,
        0,
    )


def test_f26_training_starts_with_the_very_ids_that_were_sampled_from(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    trained = build(tiny_model, tiny_model, tmp_path)
    for pair, row in zip(PAIRS, trained.train_dataset, strict=True):
        assert row["prompt_ids"] == encode_prompt(tokenizer, pair.prompt)
        assert (row["prompt_ids"], row["chosen_ids"]) == encode_example(tokenizer, pair.prompt, pair.chosen)
        assert (row["prompt_ids"], row["rejected_ids"]) == encode_example(tokenizer, pair.prompt, pair.rejected)


def test_f26_the_batch_that_reaches_the_model_holds_those_ids_and_masks_the_prompt(
    tiny_model: Path, tmp_path: Path
) -> None:
    trained = build(tiny_model, tiny_model, tmp_path)
    seen = []
    for batch in trained.get_train_dataloader():
        for ids, mask, response in zip(
            batch["input_ids"], batch["attention_mask"].bool(), batch["completion_mask"].bool(), strict=True
        ):
            seen.append((ids[mask & ~response].tolist(), ids[response].tolist()))
            assert (response <= mask).all()
    rows = data.dpo_rows(load_tokenizer(tiny_model), PAIRS, 100)
    assert sorted(seen) == sorted(
        (row["prompt_ids"], row[side]) for row in rows for side in ("chosen_ids", "rejected_ids")
    )


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_f13_the_loss_is_the_golden_one_of_summed_and_shifted_log_probs(
    tiny_model: Path, other_model: Path, tmp_path: Path, beta: float
) -> None:
    golden = golden_loss(tiny_model, other_model, PAIRS[:4], beta)
    assert abs(golden - math.log(2)) > 0.01  # else a loss that ignores its inputs would pass
    with trainer.scoring_labels_only():
        ours, _ = dpo.first_loss(build(tiny_model, other_model, tmp_path, beta=beta))
    assert ours == pytest.approx(golden, abs=1e-4)
    assert dpo.first_loss(build(tiny_model, other_model, tmp_path, beta=beta))[0] == pytest.approx(ours, abs=1e-5)


def test_f13_the_log_probs_that_are_logged_are_sums_over_the_response(tiny_model: Path, taught: Any) -> None:
    tokenizer = load_tokenizer(tiny_model)
    exact = trainer.load_model(str(tiny_model)).double().eval()
    chosen = [log_prob(exact, *encode_example(tokenizer, pair.prompt, pair.chosen)) for pair in PAIRS]
    rejected = [log_prob(exact, *encode_example(tokenizer, pair.prompt, pair.rejected)) for pair in PAIRS]
    _, logged = taught(epochs=1, batch=18, dropout=0.0)
    first = next(line for line in logged if line.get("step") == 1)
    assert first["logps/chosen"] == pytest.approx(sum(chosen) / 18, abs=1e-3)
    assert first["logps/rejected"] == pytest.approx(sum(rejected) / 18, abs=1e-3)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-3)


def test_the_first_loss_is_ln_2_whatever_the_dropout(taught: Any) -> None:
    _, logged = taught(dropout=0.5)
    assert [line["first_loss"] for line in logged if "first_loss" in line] == [pytest.approx(math.log(2), abs=1e-5)]


def test_f25_a_reference_that_is_not_the_start_stops_the_training(
    tiny_model: Path, other_model: Path, tmp_path: Path, taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = trainer.load_model

    def wrong_reference(folder: str, dropout: float = 0.0, **options: Any) -> Any:
        monkeypatch.setattr(trainer, "load_model", lambda *_, **__: load(str(other_model)))  # the second one loaded
        return load(folder, dropout, **options)

    monkeypatch.setattr(trainer, "load_model", wrong_reference)
    with pytest.raises(StageFailed, match=r"first DPO loss is .* and not ln 2"):
        taught()
    assert not (tmp_path / "m2" / "model").exists()


def test_f25_the_reference_named_in_the_lesson_is_the_one_used(
    tiny_model: Path, other_model: Path, taught: Any
) -> None:
    folders = {1: str(tiny_model), 0: str(other_model)}
    lesson = Lesson(method="dpo", pairs=PAIRS, start=1, reference=0)
    _, logged = taught(lesson, models=lambda k: folders[k])
    loss = next(line["first_loss"] for line in logged if "first_loss" in line)
    assert loss == pytest.approx(golden_loss(tiny_model, other_model, PAIRS[:4], 0.1), abs=1e-4)


def test_a_dpo_lesson_without_a_reference_is_refused(taught: Any) -> None:
    with pytest.raises(StageFailed, match="names no reference"):
        taught(Lesson(method="dpo", pairs=PAIRS, start=1))


def test_training_prefers_the_chosen_and_logs_that_it_does(taught: Any, tiny_model: Path) -> None:
    model, logged = taught(epochs=4, dropout=0.0)
    steps = [line for line in logged if "loss" in line]
    assert steps[-1]["loss"] < 0.5
    assert steps[-1]["rewards/accuracies"] > 0.9
    assert steps[-1]["rewards/margins"] > steps[0]["rewards/margins"]
    assert {"logps/chosen", "logps/rejected", "learning_rate", "grad_norm"} <= set(steps[0])
    assert golden_loss(model, tiny_model, PAIRS, 0.1) < 0.5  # the model on disk, too


def test_log_probs_that_both_fall_in_a_training_give_an_alarm_once(
    taught: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the first step, where dropout moves both; the guard reads what TRL logs, under the names that TRL gives it."""
    _, logged = taught(epochs=1, sections={"guards": {"likelihood": {"limit": 0.01}}})
    first = next(line for line in logged if "loss" in line)
    gained = first["rewards/chosen"] / 0.1
    assert gained < 0 and first["rewards/rejected"] < 0
    (alarm,) = [line for line in logged if line.get("guard") == "likelihood"]
    assert alarm["value"] == pytest.approx(gained / (first["logps/chosen"] - gained)) and alarm["value"] > 0.01
    assert "warning: m2: the log-probs of chosen and rejected responses both fall" in capsys.readouterr().err


def test_swapping_chosen_and_rejected_teaches_the_opposite(taught: Any, tiny_model: Path) -> None:
    swapped = tuple(pair.model_copy(update={"chosen": pair.rejected, "rejected": pair.chosen}) for pair in PAIRS)
    model, _ = taught(Lesson(method="dpo", pairs=swapped, start=1, reference=1), epochs=4, dropout=0.0)
    assert golden_loss(model, tiny_model, swapped, 0.1) < 0.5
    assert golden_loss(model, tiny_model, PAIRS, 0.1) > 0.9


def test_the_same_lesson_and_seed_give_the_same_dpo_weights_to_the_bit(taught: Any) -> None:
    first, _ = taught(name="a")
    second, _ = taught(name="b")
    other, _ = taught(name="c", seed=1)
    assert weights(first) == weights(second)
    assert weights(first) != weights(other)


def test_a_pair_with_one_overlong_side_is_left_out(tokenizer: Any) -> None:
    lengths = [data.row_length(row) for row in data.dpo_rows(tokenizer, PAIRS, 1000)]
    limit = sorted(lengths)[9]
    assert len(data.dpo_rows(tokenizer, PAIRS, limit)) == sum(length <= limit for length in lengths) < 18


def test_dpo_prints_nothing(taught: Any, capfd: pytest.CaptureFixture[str]) -> None:
    taught()
    assert capfd.readouterr().out == ""
