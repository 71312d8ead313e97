"""SFT: what is trained on, what comes out, and that the same lesson gives the same model."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from selfreward.chat import encode_prompt, end_of_turn, load_tokenizer
from selfreward.errors import BadInput, StageFailed
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Example, Lesson
from selfreward.training import data, sft, train, trainer

RESPONSES = ("the cat sees the river.", "a red dog runs.", "the tree is big.", "a cat was red.\n\nthe dog runs.")
EXAMPLES = tuple(
    Example(id=str(i), prompt=f"write about {i} " + "the dog " * (i % 5), response=RESPONSES[i % 4], source="ift")
    for i in range(22)
)
LESSON = Lesson(method="sft", examples=EXAMPLES, start=0)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL's and transformers' about each other's fields


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Float32 and no GPU, wherever the tests run: the golden numbers are finer than bfloat16."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield


def recipe(seed: int = 0, sections: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """2 epochs of 6 steps."""
    settings = {"lr": 3e-3, "final_lr": 3e-4, "epochs": 2, "batch": 4, "dropout": 0.1, "max_tokens": 100}
    return Recipe.of({"name": "x", "seed": seed, "sft": {**settings, **changes}, **(sections or {})})


@pytest.fixture
def taught(tiny_model: Path, tmp_path: Path) -> Callable[..., tuple[Path, list[dict[str, Any]]]]:
    """Trains a lesson in a fresh folder; returns the model folder and what was logged."""

    def teach(lesson: Lesson = LESSON, name: str = "m1", **changes: Any) -> tuple[Path, list[dict[str, Any]]]:
        folder = tmp_path / name
        folder.mkdir()
        logged: list[dict[str, Any]] = []
        model = train(
            lesson, lambda k: str(tiny_model), folder, recipe(**changes), QuietProgress(),
            lambda **scalars: logged.append(scalars),
        )  # fmt: skip
        return model, logged

    return teach


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def test_f12_only_the_response_and_its_end_token_carry_loss(tokenizer: Any) -> None:
    for example, row in zip(EXAMPLES, data.sft_rows(tokenizer, EXAMPLES, 100), strict=True):
        prompt = encode_prompt(tokenizer, example.prompt)
        assert row["input_ids"][: len(prompt)] == prompt
        assert row["labels"][: len(prompt)] == [data.IGNORED] * len(prompt)
        assert row["labels"][len(prompt) :] == row["input_ids"][len(prompt) :]
        assert tokenizer.decode(row["labels"][len(prompt) : -1]) == example.response
        assert row["labels"][-1] == end_of_turn(tokenizer)


def test_f12_the_batch_that_reaches_the_model_has_the_same_mask(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    rows = data.sft_rows(tokenizer, EXAMPLES[:5], 100)
    trained = sft.sft_trainer(trainer.load_model(str(tiny_model)), tokenizer, rows, recipe().sft, tmp_path, 0)
    batches = list(trained.get_train_dataloader())
    seen = [
        (ids[mask.bool()].tolist(), labels[mask.bool()].tolist())
        for batch in batches
        for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True)
    ]
    assert sorted(seen) == sorted((row["input_ids"], row["labels"]) for row in rows)
    assert all((batch["labels"][batch["attention_mask"] == 0] == data.IGNORED).all() for batch in batches)


def test_the_loss_is_the_mean_over_response_tokens_as_computed_by_hand_in_float64(
    tiny_model: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    rows = data.sft_rows(tokenizer, EXAMPLES[:4], 100)
    by_hand, num_tokens = 0.0, 0
    exact = trainer.load_model(str(tiny_model)).double().eval()
    for row in rows:
        with torch.no_grad():
            log_probs = exact(torch.tensor([row["input_ids"]])).logits[0].log_softmax(-1)
        for at, label in enumerate(row["labels"]):
            if label != data.IGNORED:
                by_hand, num_tokens = by_hand - log_probs[at - 1, label].item(), num_tokens + 1
    for scoring in (trainer.scoring_labels_only, torch.no_grad):  # with our short cut, and as TRL does it
        trained = sft.sft_trainer(trainer.load_model(str(tiny_model)), tokenizer, rows, recipe().sft, tmp_path, 0)
        with scoring():
            batch = trained.data_collator([trained.train_dataset[i] for i in range(4)])
            assert trained.compute_loss(trained.model.eval(), batch).item() == pytest.approx(
                by_hand / num_tokens, abs=1e-5
            )


def test_rows_come_once_an_epoch_in_batches_of_like_length_and_in_another_order_next_time() -> None:
    lengths = [(7 * i) % 61 for i in range(103)]
    sampler = data.LikeLengths(lengths, batch=8, seed=3)
    first = list(sampler)
    assert list(sampler) == first  # nothing is drawn from the global generator
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(103))
    assert first != second
    assert list(data.LikeLengths(lengths, batch=8, seed=4)) != first
    batches = [[lengths[i] for i in first[at : at + 8]] for at in range(0, 103, 8)]
    # Of 64 rows sorted together and cut in 8, no batch spans more than a fair part of the 61 lengths.
    assert max(max(batch) - min(batch) for batch in batches) < 30
    assert [max(batch) for batch in batches] != sorted(max(batch) for batch in batches)


def test_each_epoch_of_a_training_has_an_order_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    rows = data.sft_rows(tokenizer, EXAMPLES, 100)
    trained = sft.sft_trainer(trainer.load_model(str(tiny_model)), tokenizer, rows, recipe().sft, tmp_path, 0)
    batches: list[Any] = []
    collate = trained.data_collator

    def watched(few: list[dict[str, list[int]]]) -> Any:
        batches.append([row["input_ids"] for row in few])
        return collate(few)

    trained.data_collator = watched
    trained.train()
    first, second = ([ids for batch in half for ids in batch] for half in (batches[:6], batches[6:]))
    assert sorted(first) == sorted(second) == sorted(row["input_ids"] for row in rows)
    assert first != second


def test_training_lowers_the_loss_and_the_rate_falls_from_lr_to_final_lr(taught: Any, tiny_model: Path) -> None:
    model, logged = taught(epochs=6, dropout=0.0)
    steps = [line for line in logged if "loss" in line]
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"]
    rates = [line["learning_rate"] for line in steps]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(3e-3, rel=0.05)
    # The last rate logged is the one before the last step of a cosine, a hair above its end.
    assert 3e-4 <= rates[-1] < 3.3e-4
    assert weights(model) != weights(tiny_model)
    assert {line["model"] for line in logged} == {"m1"}
    assert {line["method"] for line in logged} == {"sft"}


def test_the_same_lesson_and_seed_give_the_same_weights_to_the_bit(taught: Any) -> None:
    first, _ = taught(name="a")
    second, _ = taught(name="b")
    other, _ = taught(name="c", seed=1)
    assert weights(first) == weights(second)
    assert weights(first) != weights(other)


def test_a_finished_model_is_returned_without_touching_anything(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is to be loaded or logged")

    assert train(LESSON, fail, tmp_path, recipe(), QuietProgress(), fail) == tmp_path / "model"


def test_what_a_kill_left_beside_a_finished_model_is_cleared_away(tmp_path: Path) -> None:
    for name in ("model", "checkpoints/stamp/checkpoint-3", "order"):
        (tmp_path / name).mkdir(parents=True)
    train(LESSON, str, tmp_path, recipe(), QuietProgress(), print)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_model_folder_holds_safetensors_a_usable_tokenizer_and_the_settings_of_its_start(
    taught: Any, tiny_model: Path, tokenizer: Any
) -> None:
    model, _ = taught(dropout=0.25)
    assert {path.suffix for path in model.iterdir()} <= {".safetensors", ".json", ".jinja"}
    assert sorted(path.name for path in model.parent.iterdir()) == ["model"]  # no checkpoint is left, nothing half done
    for name in ("config.json", "generation_config.json"):
        assert json.loads((model / name).read_text()) == json.loads((tiny_model / name).read_text())
    text = EXAMPLES[3].prompt
    assert encode_prompt(load_tokenizer(model), text) == encode_prompt(tokenizer, text)


def test_dropout_reaches_the_attention_of_a_llama(tiny_model: Path) -> None:
    model = trainer.load_model(str(tiny_model), dropout=0.25)
    assert {layer.self_attn.attention_dropout for layer in model.model.layers} == {0.25}
    ids = torch.tensor([[5, 6, 7, 8]])
    assert not torch.equal(model.train()(ids).logits, model(ids).logits)
    assert torch.equal(model.eval()(ids).logits, model(ids).logits)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_dropout_reaches_the_layers_of_an_opt_whose_own_is_a_tenth(tmp_path: Path, dropout: float) -> None:
    from transformers import OPTConfig, OPTForCausalLM

    small = OPTConfig(vocab_size=16, hidden_size=8, word_embed_proj_dim=8, ffn_dim=8, num_hidden_layers=1,
                      num_attention_heads=1, max_position_embeddings=8)  # fmt: skip
    OPTForCausalLM(small).save_pretrained(tmp_path)
    model = trainer.load_model(str(tmp_path), dropout=dropout)
    assert {layer.dropout for layer in model.model.decoder.layers} == {dropout}


def test_dropout_of_an_architecture_that_has_none_is_refused_not_ignored(tmp_path: Path) -> None:
    from transformers import MambaConfig

    MambaConfig().save_pretrained(tmp_path)
    with pytest.raises(StageFailed, match="has no dropout"):
        trainer.load_model(str(tmp_path), dropout=0.1)


def test_an_overlong_example_is_left_out_and_counted_never_cut(taught: Any, tokenizer: Any) -> None:
    long = Example(id="long", prompt="write", response="the cat " * 100, source="ift")
    _, logged = taught(Lesson(method="sft", examples=(*EXAMPLES, long), start=0))
    assert logged[0]["num_rows"] == 22
    assert logged[0]["num_dropped"] == 1
    limit = len(data.sft_rows(tokenizer, [long], 10_000)[0]["input_ids"])
    assert len(data.sft_rows(tokenizer, [long], limit)) == 1
    assert data.sft_rows(tokenizer, [long], limit - 1) == []


def test_a_lesson_with_nothing_to_learn_fails_in_words(taught: Any) -> None:
    with pytest.raises(StageFailed, match="the lesson is empty"):
        taught(Lesson(method="sft", start=0), name="empty")
    with pytest.raises(StageFailed, match="none of 22 sft rows has at most 3 tokens"):
        taught(name="long", max_tokens=3)


def test_weights_that_blow_up_are_not_saved(taught: Any, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="lower the learning rate"):
        taught(lr=1e30)
    assert not (tmp_path / "m1" / "model").exists()


@pytest.mark.parametrize("loss", [float("nan"), float("inf")], ids=str)
def test_a_loss_that_is_no_number_ends_the_training_at_its_step_whatever_the_guards_say(
    taught: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    step = sft.Trainer.training_step

    def spoiled(self: Any, *args: Any) -> Any:
        return step(self, *args) * (loss if self.state.global_step == 2 else 1)

    monkeypatch.setattr(sft.Trainer, "training_step", spoiled)
    with pytest.raises(StageFailed, match=f"the loss is {loss} at step 3; lower the learning rate"):
        taught(sections={"guards": {"loss": {"action": "off"}}})
    assert not (tmp_path / "m1" / "model").exists()


def test_a_loss_that_explodes_ends_the_training_where_the_guard_says_so(taught: Any, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"^m1: the loss is .* at first; .*guards\.loss\.action=warn"):
        taught(lr=1.0)
    assert not (tmp_path / "m1" / "model").exists()


def test_several_processes_are_refused_rather_than_each_trained_alone(
    taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="one process"):
        taught()


def test_f23_training_prints_nothing_and_tells_nobody(
    taught: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Any] = []
    monkeypatch.delenv("CI", raising=False)  # TRL is silent there by itself
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda *args, **kwargs: told.append(kwargs))
    taught()
    assert told == []
    assert capsys.readouterr().out == ""


def test_each_step_advances_the_progress(tiny_model: Path, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    train(
        LESSON, lambda k: str(tiny_model), tmp_path, recipe(), QuietProgress(lambda **line: lines.append(line)),
        lambda **_: None,
    )  # fmt: skip
    assert [line["items"] for line in lines] == [2 * math.ceil(22 / 4)]
