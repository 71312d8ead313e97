"""How M0 was made: a killed pretraining goes on bit for bit, two processes are as one, and Muon does what it promises."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from selfreward.micro import pretrain
from selfreward.micro.corpus import VERDICTS
from selfreward.micro.forward import final_states
from selfreward.micro.optimizer import MuonAdamW, orthogonalise
from selfreward.micro.pretrain import Schedule

SCHEDULE = Schedule(shards=3, clean=2, rise=0.5, plateau=1.0)
ONE_SHARD = Schedule(shards=1, clean=1, rise=0.5, plateau=0.5)
NUM_DOCUMENTS, NUM_TOKENS = 24, 512  # in half a shard; in a micro-batch


class Killed(Exception):
    """Stands for a process that ends."""


def tiny_model(vocab_size: int, heads: int = 2) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocab_size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=heads // 2, max_position_embeddings=512, tie_word_embeddings=True, pad_token_id=0,
        bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, micro_tokenizer_folder: Path) -> None:
    """Few documents, small batches, a small model, and the tokenizer that is built already."""
    monkeypatch.setattr(pretrain, "HALF_DOCUMENTS", NUM_DOCUMENTS)
    monkeypatch.setattr(pretrain, "MICRO_BATCH_TOKENS", NUM_TOKENS)
    monkeypatch.setattr(pretrain, "new_model", tiny_model)
    monkeypatch.setattr(
        pretrain.micro_tokenizer, "build", lambda folder: shutil.copytree(micro_tokenizer_folder, folder)
    )


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


def test_killed_in_any_shard_and_resumed_equals_straight_through_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrain.pretrain(tmp_path / "straight", seed=7, keep_every=2, schedule=SCHEDULE)
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
            pretrain.pretrain(tmp_path / "killed", seed=7, keep_every=2, schedule=SCHEDULE)
    monkeypatch.setattr(pretrain, "_train_shard", train_shard)
    pretrain.pretrain(tmp_path / "killed", seed=7, keep_every=2, schedule=SCHEDULE)

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
    pretrain.pretrain(tmp_path, seed=0, keep_every=1, schedule=ONE_SHARD)
    before = weights(tmp_path)
    monkeypatch.setattr(pretrain, "_train_shard", lambda *_: pytest.fail("trained again"))
    pretrain.pretrain(tmp_path, seed=0, keep_every=1, schedule=ONE_SHARD)
    assert weights(tmp_path) == before


def test_another_seed_is_another_model(tmp_path: Path) -> None:
    for seed in (0, 1):
        pretrain.pretrain(tmp_path / str(seed), seed, keep_every=1, schedule=ONE_SHARD)
    assert weights(tmp_path / "0") != weights(tmp_path / "1")


def test_in_bfloat16_it_learns_the_same_and_the_weights_stay_float32(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    losses = []
    for bf16 in (False, True):
        out = tmp_path / str(bf16)
        pretrain.pretrain(out, seed=0, keep_every=9, schedule=SCHEDULE, bf16=bf16)
        losses.append([json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()])
        assert {p.dtype for p in load_file(out / "model" / "model.safetensors").values()} == {torch.float32}
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.02)


def pretrain_in_processes(num: int, out: Path, tokenizer: Path, worker: Path) -> subprocess.CompletedProcess[str]:
    shutil.copytree(tokenizer, out / "tokenizer")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num),
        str(worker), "--out", str(out),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    """A script that pretrains in small."""
    path = tmp_path / "worker.py"
    path.write_text(
        f"""
import sys
from pathlib import Path

sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_pretrain import NUM_DOCUMENTS, NUM_TOKENS, SCHEDULE, pretrain, tiny_model

pretrain.HALF_DOCUMENTS, pretrain.MICRO_BATCH_TOKENS = NUM_DOCUMENTS, NUM_TOKENS
pretrain.SCHEDULE, pretrain.new_model = SCHEDULE, tiny_model
pretrain.main()
"""
    )
    return path


def test_two_processes_are_as_one_and_three_are_refused(
    tmp_path: Path, micro_tokenizer_folder: Path, worker: Path
) -> None:
    for num in (1, 2):
        done = pretrain_in_processes(num, tmp_path / str(num), micro_tokenizer_folder, worker)
        assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "1") == weights(tmp_path / "2")
    first, second = ((tmp_path / num / "log.jsonl").read_text().splitlines() for num in ("1", "2"))
    for a, b in zip(map(json.loads, first), map(json.loads, second), strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    refused = pretrain_in_processes(3, tmp_path / "3", micro_tokenizer_folder, worker)
    assert refused.returncode != 0 and "start one process, or two" in refused.stderr


def test_half_a_shard_is_a_function_of_its_seed_and_number() -> None:
    assert pretrain.documents(0, 2, 1, SCHEDULE) == pretrain.documents(0, 2, 1, SCHEDULE)
    others = [pretrain.documents(*place, SCHEDULE) for place in ((0, 1, 1), (1, 2, 1), (0, 2, 0))]
    assert pretrain.documents(0, 2, 1, SCHEDULE) not in others


def test_clean_documents_come_first() -> None:
    kept, natural = (pretrain.documents(0, shard, 0, SCHEDULE) for shard in (1, 2))
    exercises = [sum(d.kind in ("copy", "find", "twice") for d in docs) for docs in (kept, natural)]
    assert exercises[0] > exercises[1]


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    schedule = Schedule(shards=20, clean=10, rise=0.5, plateau=12.0)
    scales = [pretrain.scale_at(place / 20, schedule) for place in range(401)]
    assert scales[0] == scales[-1] == 0
    assert scales[:11] == sorted(scales[:11]) and set(scales[10:241]) == {1.0}
    assert scales[240:] == sorted(scales[240:], reverse=True) and scales[320] == pytest.approx(0.5)


def test_every_row_is_in_one_batch_whole_and_learned_from_where_it_says() -> None:
    rng = Random(0)
    rows = [([i + 1] * rng.randint(2, 90), rng.choice((1, 2))) for i in range(60)]
    wanted = {ids[0]: (len(ids), len(ids) - skipped) for ids, skipped in rows}
    found = {}
    for ids, learned in pretrain.batches(list(rows), Random(1)):
        assert ids[:, :-1].numel() <= NUM_TOKENS and ids[:, :-1].size(1) % 8 == 0
        for row, mask in zip(ids, learned, strict=True):
            found[int(row[0])] = (int((row != 0).sum()), int(mask.sum()))
            assert not mask[row == 0].any() and not mask[0]
    assert found == wanted


def test_a_row_longer_than_a_batch_stands_alone_in_one() -> None:
    ((ids, learned),) = pretrain.batches([([3] * (NUM_TOKENS + 88), 1)], Random(0))
    assert ids.shape == (1, NUM_TOKENS + 89) and int(learned.sum()) == NUM_TOKENS + 87


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 33)])
def test_the_lean_forward_equals_transformers(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    for model in (tiny_model(50), tiny_model(50, heads=4)):
        ids = torch.randint(1, 50, shape)
        found, expected = final_states(model, ids), model.model(ids).last_hidden_state
        assert torch.allclose(found, expected, atol=2e-5)
        gradients = [
            torch.autograd.grad(states.square().sum(), model.model.layers[0].self_attn.k_proj.weight)[0]
            for states in (found, expected)
        ]
        assert torch.allclose(*gradients, atol=1e-4, rtol=1e-3)


def test_f12_f13_the_loss_is_the_cross_entropy_of_the_learned_tokens_shifted_by_one() -> None:
    torch.manual_seed(0)
    model = tiny_model(50)
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])
    learned = torch.tensor([[False, False, True, True], [False, True, True, False]])
    token_weights = torch.ones(50)
    token_weights[8] = 3
    weighted, plain = pretrain.summed_losses(model, ids, learned, token_weights)
    log_probs = model(ids).logits.log_softmax(-1)
    terms = [log_probs[0, 1, 7], 3 * log_probs[0, 2, 8], log_probs[1, 0, 10], log_probs[1, 1, 11]]
    assert weighted.item() == pytest.approx(-sum(terms).item(), rel=1e-5)
    assert plain.item() == pytest.approx(-(sum(terms) - 2 * log_probs[0, 2, 8]).item(), rel=1e-5)


def test_a_verdict_is_one_token(micro_tokenizer_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(micro_tokenizer_folder)
    for verdict in VERDICTS:
        (token,) = tokenizer(verdict, add_special_tokens=False)["input_ids"]
        assert tokenizer.convert_tokens_to_ids(verdict) == token
        assert tokenizer(f"Content:{verdict}.", add_special_tokens=False)["input_ids"].count(token) == 1


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
    model = tiny_model(50)
    optimizer = MuonAdamW(model, 0.02, 2e-3)
    assert {name.split(".")[-2] for name in optimizer.momenta} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip
    assert "model.embed_tokens.weight" in optimizer.rest
    assert optimizer.momenta.keys() | optimizer.rest.keys() == dict(model.named_parameters()).keys()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    ids = torch.tensor([[5, 6, 7, 8]])
    pretrain.summed_losses(model, ids, torch.ones_like(ids, dtype=torch.bool), torch.ones(50))[0].backward()
    optimizer.step(0.5)
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())
