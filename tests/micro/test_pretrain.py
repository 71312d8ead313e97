"""How M0 was made: a killed pretraining goes on bit for bit, and its optimizer does what Muon promises."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from selfreward.micro import pretrain
from selfreward.micro.optimizer import MuonAdamW, orthogonalise
from selfreward.micro.pretrain import Leg

LEGS = (Leg(shards=2, clean=1, plateau=1.0, high=1.0), Leg(shards=1, clean=1, plateau=0.0, high=0.5))


class Killed(Exception):
    """Stands for a process that ends."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, micro_tokenizer_folder: Path) -> None:
    """Few documents, small batches, a small model, and the tokenizer that is built already."""

    def tiny_model(vocab_size: int) -> Any:
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=vocab_size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True, pad_token_id=0,
            bos_token_id=None, eos_token_id=1,
        )  # fmt: skip
        return LlamaForCausalLM(config)

    monkeypatch.setattr(pretrain, "SHARD_DOCUMENTS", 48)
    monkeypatch.setattr(pretrain, "MICRO_BATCH_TOKENS", 512)
    monkeypatch.setattr(pretrain, "new_model", tiny_model)
    monkeypatch.setattr(
        pretrain.micro_tokenizer, "build", lambda folder: shutil.copytree(micro_tokenizer_folder, folder)
    )


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


def test_killed_in_any_shard_and_resumed_equals_straight_through_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrain.pretrain(tmp_path / "straight", seed=7, keep_every=2, legs=LEGS)
    train_shard = pretrain._train_shard

    def until(last: int) -> Callable[..., Any]:
        def killed(*args: Any) -> Any:
            done = train_shard(*args)
            if args[4] == last:
                raise Killed  # after the work of a shard, before it is kept
            return done

        return killed

    for last in (1, 2):
        monkeypatch.setattr(pretrain, "_train_shard", until(last))
        with pytest.raises(Killed):
            pretrain.pretrain(tmp_path / "killed", seed=7, keep_every=2, legs=LEGS)
    monkeypatch.setattr(pretrain, "_train_shard", train_shard)
    pretrain.pretrain(tmp_path / "killed", seed=7, keep_every=2, legs=LEGS)

    assert weights(tmp_path / "killed") == weights(tmp_path / "straight")
    for out in ("killed", "straight"):
        lines = [json.loads(line) for line in (tmp_path / out / "log.jsonl").read_text().splitlines()]
        assert [line["shard"] for line in lines] == [0, 1, 2]
        assert [path.name for path in sorted((tmp_path / out).glob("checkpoint-*"))] == [
            "checkpoint-0002",
            "checkpoint-0003",
        ]
    assert lines[-1]["tokens"] > lines[0]["tokens"] > 0


def test_a_finished_pretraining_trains_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrain.pretrain(tmp_path, seed=0, keep_every=1, legs=LEGS[1:])
    before = weights(tmp_path)
    monkeypatch.setattr(pretrain, "_train_shard", lambda *_: pytest.fail("trained again"))
    pretrain.pretrain(tmp_path, seed=0, keep_every=1, legs=LEGS[1:])
    assert weights(tmp_path) == before


def test_another_seed_is_another_model(tmp_path: Path) -> None:
    for seed in (0, 1):
        pretrain.pretrain(tmp_path / str(seed), seed, keep_every=1, legs=LEGS[1:])
    assert weights(tmp_path / "0") != weights(tmp_path / "1")


def test_a_shard_is_a_function_of_its_seed_and_number() -> None:
    assert pretrain.documents(0, 2) == pretrain.documents(0, 2)
    assert pretrain.documents(0, 1) != pretrain.documents(0, 2) != pretrain.documents(1, 2)


def test_every_shard_has_a_place_in_one_leg_and_there_is_none_beyond() -> None:
    assert [pretrain.place_of(shard, LEGS) for shard in range(3)] == [(LEGS[0], 0), (LEGS[0], 1), (LEGS[1], 0)]
    with pytest.raises(ValueError, match="there is no shard 3"):
        pretrain.place_of(3, LEGS)


def test_the_learning_rate_rises_stays_and_falls_in_every_leg() -> None:
    legs = (Leg(shards=20, clean=10, plateau=12.0, high=1.0), Leg(shards=5, clean=3, plateau=0.0, high=0.5))
    scales = [pretrain.scale_at(shard, part / 20, legs) for shard in range(25) for part in range(20)]
    assert scales[0] == 0 and max(scales) == 1.0
    risen = scales.index(1.0)
    assert scales[:risen] == sorted(scales[:risen]) and risen / 20 < 1
    assert set(scales[risen : 12 * 20 + 1]) == {1.0}
    for fall, high in ((scales[12 * 20 : 400], 1.0), (scales[400:], 0.5)):
        assert fall == sorted(fall, reverse=True)
        assert fall[0] == high and fall[-1] == pytest.approx(pretrain.FINAL_SCALE, abs=0.02)


def test_every_row_is_in_one_batch_whole_and_learned_from_where_it_says() -> None:
    rng = Random(0)
    rows = [([i + 1] * rng.randint(2, 90), rng.choice((1, 2))) for i in range(60)]
    wanted = {ids[0]: (len(ids), len(ids) - skipped) for ids, skipped in rows}
    found = {}
    for ids, learned in pretrain.batches(list(rows), Random(1)):
        assert ids.numel() <= pretrain.MICRO_BATCH_TOKENS
        for row, mask in zip(ids, learned, strict=True):
            found[int(row[0])] = (int((row != 0).sum()), int(mask.sum()))
            assert not mask[row == 0].any() and not mask[0]
    assert found == wanted


def test_f12_f13_the_loss_is_the_cross_entropy_of_the_learned_tokens_shifted_by_one() -> None:
    torch.manual_seed(0)
    model = pretrain.new_model(50)
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])
    learned = torch.tensor([[False, False, True, True], [False, True, True, False]])
    loss, count = pretrain.summed_loss(model, ids, learned)
    log_probs = model(ids).logits.log_softmax(-1)
    by_hand = -(log_probs[0, 1, 7] + log_probs[0, 2, 8] + log_probs[1, 0, 10] + log_probs[1, 1, 11])
    assert count == 4
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 8), (2, 8, 40)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    found = orthogonalise(matrices)
    assert found.shape == shape
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.5 and values.max() < 1.3
    one_by_one = torch.cat([orthogonalise(matrix[None]) for matrix in matrices])
    assert torch.allclose(found, one_by_one, atol=1e-5)


def test_muon_moves_hidden_matrices_and_adamw_the_rest() -> None:
    model = pretrain.new_model(50)
    optimizer = MuonAdamW(model, 0.02, 2e-3)
    assert {name.split(".")[-2] for name in optimizer.momenta} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip
    assert "model.embed_tokens.weight" in optimizer.rest
    assert optimizer.momenta.keys() | optimizer.rest.keys() == dict(model.named_parameters()).keys()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    ids = torch.tensor([[5, 6, 7, 8]])
    pretrain.summed_loss(model, ids, torch.ones_like(ids, dtype=torch.bool))[0].backward()
    optimizer.step(0.5)
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())
