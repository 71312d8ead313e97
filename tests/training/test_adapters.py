"""Adapters: what is trained, what it is measured against, and that M_k on disk is what was trained (fault F6)."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from support_lessons import Killed, KilledAfter

from selfreward.chat import encode_example, load_tokenizer
from selfreward.errors import BadInput, StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Adapter, Recipe
from selfreward.records import Example, Lesson, Pair
from selfreward.training import adapters, data, dpo, sft, train, trainer

pytest.importorskip("peft", reason="adapters need the extra [peft]", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:peft")

WORDS = ("the cat sees the river.", "a red dog runs about the big tree.", "the tree is big.")
PAIRS = tuple(
    Pair(
        id=str(i), prompt_id=str(i), prompt=f"write about {i} " + "the dog " * (i % 5), chosen_id=f"c{i}",
        chosen=WORDS[i % 3], chosen_score=4, rejected_id=f"r{i}", rejected="the the the", rejected_score=1, margin=3,
    )
    for i in range(18)
)  # fmt: skip
EXAMPLES = tuple(Example(id=p.id, prompt=p.prompt, response=p.chosen, source="ift") for p in PAIRS)
SFT = Lesson(method="sft", examples=EXAMPLES, start=0)
DPO = Lesson(method="dpo", pairs=PAIRS, start=1, reference=1)
LORA = {"kind": "lora", "rank": 4, "alpha": 8}
IDS = torch.tensor([[7, 8, 9, 10, 11, 12]])


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def recipe(adapter: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """2 epochs of 5 steps."""
    settings = {"lr": 1e-2, "final_lr": 1e-3, "epochs": 2, "batch": 4, "dropout": 0.1, "max_tokens": 100}
    return Recipe.of({"name": "x", "adapter": adapter or LORA, "sft": settings, "dpo": settings, **changes})


@pytest.fixture
def taught(tiny_model: Path, tmp_path: Path) -> Callable[..., tuple[Path, list[dict[str, Any]]]]:
    """Trains a lesson in a folder; returns the model folder and what was logged."""

    def teach(
        lesson: Lesson, name: str = "m", folders: dict[int, Path] | None = None, progress: Any = None, **changes: Any
    ) -> tuple[Path, list[dict[str, Any]]]:
        logged: list[dict[str, Any]] = []
        models = folders or {0: tiny_model, 1: tiny_model}
        model = train(
            lesson, lambda k: str(models[k]), tmp_path / name, recipe(**changes), progress or QuietProgress(),
            lambda **scalars: logged.append(scalars),
        )  # fmt: skip
        return model, logged

    return teach


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(IDS).logits.float()


def of(folder: Path) -> torch.Tensor:
    return logits(trainer.load_model(str(folder)))


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("lesson", [SFT, DPO], ids=["sft", "dpo"])
def test_f06_the_model_on_disk_is_the_trained_one_with_its_adapter_and_not_its_start(
    taught: Any, lesson: Lesson, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, in_memory = adapters.merged, []
    monkeypatch.setattr(adapters, "merged", lambda t, start: in_memory.append(logits(t)) or merge(t, start))
    folder, _ = taught(lesson)
    assert torch.allclose(of(folder), in_memory[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(of(folder), of(tiny_model), atol=1e-2)


def test_f06_an_engine_loads_it_as_any_model_and_no_adapter_lies_about(
    taught: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfreward.engines.local import LocalEngine

    folder, _ = taught(SFT)
    assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".json", ".jinja"}
    assert not any("adapter" in path.name for path in folder.rglob("*"))
    assert (folder / "config.json").read_text() == (tiny_model / "config.json").read_text()
    assert {name: values.dtype for name, values in tensors(folder).items()} == dict.fromkeys(
        tensors(tiny_model), torch.float32
    )
    assert torch.equal(logits(LocalEngine(folder, device="cpu").model), of(folder))


def test_only_the_targets_change(taught: Any, tiny_model: Path) -> None:
    folder, _ = taught(SFT, adapter={**LORA, "targets": ["q_proj", "down_proj"]})
    before, after = tensors(tiny_model), tensors(folder)
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"q_proj", "down_proj"}
    ranks = [torch.linalg.matrix_rank((after[n] - before[n]).double(), rtol=1e-4) for n in before if "q_proj" in n]
    assert ranks == [4, 4]


def test_f25_every_round_starts_at_ln_2_and_is_anchored_to_the_model_before(
    taught: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M1 by SFT, M2 and M3 by DPO: the reference's log-probs in the rows are those of M_{k-1} on disk."""
    folders = {0: tiny_model}
    rows_seen: list[Any] = []
    build = dpo.dpo_trainer
    monkeypatch.setattr(
        dpo, "dpo_trainer", lambda *a, **o: rows_seen.append(t := build(*a, **o)) or t
    )  # the trainer, with its rows
    for k in (1, 2, 3):
        lesson = SFT if k == 1 else DPO.model_copy(update={"start": k - 1, "reference": k - 1})
        folders[k], logged = taught(lesson, name=f"m{k}", folders=dict(folders))
        if k > 1:
            assert [line["first_loss"] for line in logged if "first_loss" in line] == [
                pytest.approx(math.log(2), abs=1e-6)
            ]
            exact = trainer.load_model(str(folders[k - 1])).double().eval()
            tokenizer = load_tokenizer(folders[k - 1])
            for pair, row in zip(PAIRS, rows_seen[-1].train_dataset, strict=True):
                ids, chosen = encode_example(tokenizer, pair.prompt, pair.chosen)
                assert row["ref_chosen_logps"] == pytest.approx(log_prob(exact, ids, chosen), abs=1e-3)
    different = [of(folders[k]) for k in range(4)]
    assert all(not torch.allclose(a, b, atol=1e-3) for a, b in pairwise(different))


def log_prob(model: Any, prompt: list[int], response: list[int]) -> float:
    with torch.no_grad():
        log_probs = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    return sum(log_probs[len(prompt) + at - 1, token].item() for at, token in enumerate(response))


def test_f25_a_reference_other_than_the_start_is_the_one_used(taught: Any, tiny_model: Path) -> None:
    other, _ = taught(SFT, name="other")
    _, logged = taught(DPO.model_copy(update={"reference": 0}), name="m2", folders={0: other, 1: tiny_model})
    policy, reference = (trainer.load_model(str(folder)).double().eval() for folder in (tiny_model, other))
    tokenizer, losses = load_tokenizer(tiny_model), []
    for pair in PAIRS[:4]:
        prompt, chosen = encode_example(tokenizer, pair.prompt, pair.chosen)
        _, rejected = encode_example(tokenizer, pair.prompt, pair.rejected)
        up, down = (log_prob(policy, prompt, r) - log_prob(reference, prompt, r) for r in (chosen, rejected))
        losses.append(math.log1p(math.exp(-0.1 * (up - down))))
    golden = sum(losses) / 4
    assert abs(golden - math.log(2)) > 0.01
    assert next(line["first_loss"] for line in logged if "first_loss" in line) == pytest.approx(golden, abs=1e-4)


def test_training_with_an_adapter_lowers_the_loss(taught: Any) -> None:
    _, logged = taught(SFT)
    losses = [line["loss"] for line in logged if "loss" in line]
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_lesson_and_seed_give_the_same_weights_to_the_bit(taught: Any) -> None:
    one, same, other = (taught(SFT, name=name, seed=seed)[0] for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert (one / "model.safetensors").read_bytes() == (same / "model.safetensors").read_bytes()
    assert (one / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()


@pytest.mark.parametrize("lesson", [SFT, DPO], ids=["sft", "dpo"])
def test_an_interrupted_training_goes_on_to_the_same_weights(
    taught: Any, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, _ = taught(lesson, name="straight")
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY_S", 0.0)
    with pytest.raises(Killed):
        taught(lesson, name="killed", progress=KilledAfter(6))
    again = KilledAfter(None)
    resumed, _ = taught(lesson, name="killed", progress=again)
    assert again.done == 6
    assert (resumed / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


def test_weights_that_stay_may_be_bfloat16_and_the_model_on_disk_is_still_exact(taught: Any, tiny_model: Path) -> None:
    folder, logged = taught(DPO, training={"dtype": "bfloat16"}, adapter={**LORA, "targets": ["q_proj"]})
    assert next(line["first_loss"] for line in logged if "first_loss" in line) == pytest.approx(math.log(2), abs=1e-3)
    before, after = tensors(tiny_model), tensors(folder)
    assert all(torch.equal(before[name], after[name]) for name in before if "q_proj" not in name)
    assert not torch.equal(of(folder), of(tiny_model))


def trained_adapter(tiny_model: Path, tmp_path: Path) -> Any:
    """A model with an adapter that has learnt for one epoch, as TRL leaves it."""
    tokenizer = load_tokenizer(tiny_model)
    model = trainer.load_model(str(tiny_model))
    settings = recipe().sft.model_copy(update={"epochs": 1})
    made = Adapter.model_validate(LORA)
    rows = data.sft_rows(tokenizer, EXAMPLES, 100)
    trained = sft.sft_trainer(model, tokenizer, rows, settings, tmp_path, 0, adapter=adapters.lora_config(made, model))
    trained.train()
    return trained.model


def test_f06_an_adapter_that_was_not_loaded_stops_the_run(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = trained_adapter(tiny_model, tmp_path)
    monkeypatch.setattr("peft.set_peft_model_state_dict", lambda model, state: None)
    with pytest.raises(StageFailed, match="not the one that was trained"):
        adapters.merged(trained, trainer.load_model(str(tiny_model)))


def test_f06_an_adapter_that_changes_nothing_stops_the_run(tiny_model: Path) -> None:
    from peft import get_peft_model

    start = trainer.load_model(str(tiny_model))
    untrained = get_peft_model(start, adapters.lora_config(Adapter.model_validate(LORA), start))
    with pytest.raises(StageFailed, match="changes nothing"):
        adapters.merged(untrained, trainer.load_model(str(tiny_model)))


def test_f06_weights_that_say_something_else_once_merged_stop_the_run(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a target whose weights are tied to others: merging changes more than the adapter did."""
    from peft.tuners.lora import LoraModel

    trained = trained_adapter(tiny_model, tmp_path)
    unload = LoraModel.merge_and_unload
    monkeypatch.setattr(LoraModel, "merge_and_unload", lambda self, *a, **o: _nudged(unload(self, *a, **o)))
    with pytest.raises(StageFailed, match=r"merged model does not say .* adapter\.targets"):
        adapters.merged(trained, trainer.load_model(str(tiny_model)))


@torch.no_grad()
def _nudged(model: Any) -> Any:
    model.get_input_embeddings().weight.mul_(1.01)
    return model


def test_a_target_that_is_no_module_is_refused_with_the_nearest_name(taught: Any) -> None:
    with pytest.raises(BadInput, match=r"adapter\.targets: the model has no module 'q_prj'; did you mean q_proj\?"):
        taught(SFT, adapter={**LORA, "targets": ["v_proj", "q_prj"]})


def test_qlora_without_a_gpu_and_an_adapter_without_peft_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapters.check_adapter(Adapter())
    adapters.check_adapter(Adapter(kind="lora"))
    with pytest.raises(BadInput, match="qlora needs a CUDA GPU"):
        adapters.check_adapter(Adapter(kind="qlora"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(adapters, "find_spec", lambda name: None if name == "bitsandbytes" else object())
    with pytest.raises(BadInput, match=r"needs bitsandbytes.*selfreward\[qlora\]"):
        adapters.check_adapter(Adapter(kind="qlora"))
    monkeypatch.setattr(adapters, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"lora needs peft.*selfreward\[peft\]"):
        adapters.check_adapter(Adapter(kind="lora"))


def test_qlora_holds_weights_in_four_bits_as_published() -> None:
    assert adapters.quantization(Adapter(kind="lora"), torch.bfloat16) is None
    made = adapters.quantization(Adapter(kind="qlora"), torch.bfloat16)
    assert (made.load_in_4bit, made.bnb_4bit_quant_type, made.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert made.bnb_4bit_compute_dtype is torch.bfloat16


@pytest.mark.filterwarnings("ignore::UserWarning")  # bitsandbytes' kernels for processors are not made for training
def test_f06_with_qlora_the_model_on_disk_is_the_one_in_four_bits_that_was_trained(
    taught: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes", reason="QLoRA needs the extra [qlora]", exc_type=ImportError)
    merge, in_memory = adapters.merged, []
    monkeypatch.setattr(adapters, "merged", lambda t, start: in_memory.append(logits(t)) or merge(t, start))
    folder, logged = taught(DPO, adapter={**LORA, "kind": "qlora"})
    assert next(line["first_loss"] for line in logged if "first_loss" in line) == pytest.approx(math.log(2), abs=1e-3)
    apart = (of(folder) - in_memory[0]).abs().max() / in_memory[0].abs().max()
    assert apart < 0.05  # the adapter is trained in bfloat16; weights that were not rounded to 4 bits are further off
    assert "quantization_config" not in (folder / "config.json").read_text()
