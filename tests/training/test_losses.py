"""Losses that TRL lacks, against float64 references made one sequence at a time, and what they do to a model."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support_lessons import lessons

from selfreward.chat import encode_example, load_tokenizer
from selfreward.errors import StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Dpo, Recipe, Training
from selfreward.records import DPO_LOSS, Lesson, Loss, Pair
from selfreward.training import data, dpo, train, trainer

BETA = 0.3
PAIRS = tuple(
    pair.model_copy(update={"weight": 0.25 + i % 3, "chosen_score": 0.5 + 0.05 * (i % 10), "rejected_score": 0.2})
    for i, pair in enumerate(lessons(10)["dpo"].pairs)
)
LOSSES = {
    "cream": Loss(consistency=0.3),
    "irpo": Loss(nll=0.7),
    "scpo": Loss(nll=0.5, weighted=True),
    "sppo": Loss(kind="sppo"),
    "sppo and likelihood": Loss(kind="sppo", nll=0.5),
}

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def log_probs(folder: Path, side: str) -> list[tuple[float, int]]:
    """(log p, tokens) of every pair's chosen or rejected response, in float64."""
    model, tokenizer = trainer.load_model(str(folder)).double().eval(), load_tokenizer(folder)
    found = []
    for pair in PAIRS:
        prompt, response = encode_example(tokenizer, pair.prompt, getattr(pair, side))
        with torch.no_grad():
            scores = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        total = sum(scores[len(prompt) + i - 1, token].item() for i, token in enumerate(response))
        found.append((total, len(response)))
    return found


def golden(name: str, policy: Path, reference: Path) -> float:
    """The mean loss by the formulas of the papers, written anew."""
    chosen, rejected = log_probs(policy, "chosen"), log_probs(policy, "rejected")
    ref_chosen, ref_rejected = log_probs(reference, "chosen"), log_probs(reference, "rejected")
    total = 0.0
    for i, pair in enumerate(PAIRS):
        u, v = chosen[i][0] - ref_chosen[i][0], rejected[i][0] - ref_rejected[i][0]
        d = BETA * (u - v)
        dpo_loss, turned = math.log1p(math.exp(-d)), math.log1p(math.exp(d))
        nll = -chosen[i][0] / chosen[i][1]
        squares = (BETA * u - (pair.chosen_score - 0.5)) ** 2 + (BETA * v - (pair.rejected_score - 0.5)) ** 2
        total += {
            "cream": 0.3 * dpo_loss + 0.7 * turned,
            "irpo": dpo_loss + 0.7 * nll,
            "scpo": pair.weight * (dpo_loss + 0.5 * nll),
            "sppo": squares,
            "sppo and likelihood": squares + 0.5 * nll,
        }[name]
    return total / len(PAIRS)


def build(policy: Path, reference: Path, folder: Path, loss: Loss, **machine: Any) -> Any:
    tokenizer = load_tokenizer(policy)
    rows = data.dpo_rows(tokenizer, PAIRS, 200, loss)
    settings = Dpo(beta=BETA, batch=len(PAIRS), dropout=0)
    return dpo.dpo_trainer(
        trainer.load_model(str(policy)), trainer.load_model(str(reference)), tokenizer, rows, settings, folder, 0,
        training=Training(**machine), loss=loss,
    )  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_its_papers_formula(name: str, tiny_model: Path, other_model: Path, tmp_path: Path) -> None:
    found, _ = dpo.first_loss(build(tiny_model, other_model, tmp_path, LOSSES[name]))
    assert found == pytest.approx(golden(name, tiny_model, other_model), rel=1e-6)


def test_full_consistency_no_likelihood_and_no_weights_are_dpo(
    tiny_model: Path, other_model: Path, tmp_path: Path
) -> None:
    plain, _ = dpo.first_loss(build(tiny_model, other_model, tmp_path / "a", DPO_LOSS))
    same, _ = dpo.first_loss(build(tiny_model, other_model, tmp_path / "b", Loss(nll=1e-12)))
    assert same == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("name", ["scpo", "sppo"])
def test_a_batch_in_parts_teaches_what_the_whole_does(
    name: str, tiny_model: Path, other_model: Path, tmp_path: Path
) -> None:
    gradients = []
    for rows in (len(PAIRS), 2):
        built = build(tiny_model, other_model, tmp_path / str(rows), LOSSES[name], device_batch=rows)
        built.args.max_steps = 1
        norms: list[float] = []
        built.accelerator.clip_grad_norm_ = lambda parameters, *_, norms=norms, **__: norms.append(
            math.sqrt(sum(float((p.grad**2).sum()) for p in parameters if p.grad is not None))
        )
        built.train()
        gradients.append(norms[0])
    assert gradients[1] == pytest.approx(gradients[0], rel=1e-4)


def taught(
    lesson: Lesson, tiny_model: Path, folder: Path, reference: Path | None = None, **changes: Any
) -> list[dict[str, Any]]:
    settings = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 4, "batch": 5, "dropout": 0, "max_tokens": 200, **changes}
    folder.mkdir()
    logged: list[dict[str, Any]] = []
    train(
        lesson, lambda k: str(reference if k == 9 and reference else tiny_model), folder,
        Recipe.of({"name": "x", "dpo": settings}), QuietProgress(), lambda **scalars: logged.append(scalars),
    )  # fmt: skip
    return [line for line in logged if "rewards/margins" in line]


def lesson(loss: Loss, pairs: tuple[Pair, ...] = PAIRS, reference: int = 1) -> Lesson:
    return Lesson(method="dpo", pairs=pairs, start=1, reference=reference, loss=loss)


def test_training_with_full_doubt_turns_the_preference_round(tiny_model: Path, tmp_path: Path) -> None:
    sure = taught(lesson(Loss(consistency=0.9)), tiny_model, tmp_path / "sure")
    turned = taught(lesson(Loss(consistency=0.1)), tiny_model, tmp_path / "turned")
    assert sure[-1]["rewards/margins"] > 0 > turned[-1]["rewards/margins"]


def test_the_likelihood_term_keeps_the_chosen_likely(tiny_model: Path, tmp_path: Path) -> None:
    without = taught(lesson(Loss(nll=1e-9)), tiny_model, tmp_path / "without")
    with_it = taught(lesson(Loss(nll=2.0)), tiny_model, tmp_path / "with")
    assert with_it[-1]["logps/chosen"] > without[-1]["logps/chosen"]


def test_sppo_draws_log_ratios_to_the_win_probabilities(tiny_model: Path, tmp_path: Path) -> None:
    pairs = tuple(pair.model_copy(update={"chosen_score": 0.8, "rejected_score": 0.2}) for pair in PAIRS)
    steps = taught(
        lesson(Loss(kind="sppo"), pairs), tiny_model, tmp_path / "sppo", epochs=20, beta=0.5, lr=1e-4, final_lr=1e-5
    )
    assert steps[-1]["rewards/chosen"] > 0.05 and steps[-1]["rewards/rejected"] < -0.05


def test_a_reference_that_is_not_the_start_is_found_out_with_any_loss(
    tiny_model: Path, other_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dpo, "first_loss", lambda trainer: (0.7, 0.2))
    with pytest.raises(StageFailed, match="reference is not the model"):
        taught(lesson(Loss(nll=1.0)), tiny_model, tmp_path / "wrong")


def test_pairs_that_are_cut_at_a_step_teach_no_end_of_turn(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    whole, cut = (
        data.dpo_rows(tokenizer, [PAIRS[0].model_copy(update={"whole": is_whole})], 200)[0]
        for is_whole in (True, False)
    )
    assert cut["chosen_ids"] == whole["chosen_ids"][:-1] and cut["rejected_ids"] == whole["rejected_ids"][:-1]
