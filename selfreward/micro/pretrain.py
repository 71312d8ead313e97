"""How M0 was made: `python -m selfreward.micro.pretrain --out FOLDER`, scripted, seeded and resumable.

The corpus is written shard by shard as it is read; shard i is a function of the seed and i. A shard's documents are
batched by length, so that nothing but a few paddings at the right is wasted and no document sees another. The state
after every shard is kept, so a killed pretraining goes on from its last whole shard, bit for bit.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from selfreward.micro import tokenizer as micro_tokenizer
from selfreward.micro.corpus import CLEAN, NATURAL, Document, draw_document
from selfreward.micro.optimizer import MuonAdamW

SHARD_DOCUMENTS = 16_384
MICRO_BATCH_TOKENS = 4096
MICRO_BATCHES = 2  # per step: documents of two lengths in every update
SMALL_STEP_SHARDS = range(
    15, 22
)  # one per step: an attempt to speed copying up that only added noise (docs/notebook.md)
DECAY_FROM_SHARD = (
    24  # Muon's weight decay; before it the weights had grown until attention saturated (docs/notebook.md)
)
WEIGHT_DECAY = 0.1
WARM_UP_SHARDS = 0.48


@dataclass(frozen=True)
class Leg:
    """A stretch of shards: clean documents, then the natural mixture; a plateau of the learning rate, then its fall."""

    shards: int
    clean: int  # of its shards, the first
    plateau: float  # of its shards, before the learning rate falls in a straight line
    high: float  # learning rate of the plateau, as a share of the highest


# The first leg ended while copying was still improving fast; the second takes it up again.
LEGS = (Leg(shards=44, clean=33, plateau=26.4, high=1.0), Leg(shards=14, clean=10, plateau=0.0, high=0.6))
MUON_LR, ADAM_LR, FINAL_SCALE = 0.02, 2e-3, 0.02  # the last is where a leg's learning rate ends, as a share


def new_model(vocab_size: int) -> Any:
    """A Llama of 0.7 M parameters with tied embeddings, randomly initialised."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    config._attn_implementation = "eager"  # twice as fast as sdpa at this size
    return LlamaForCausalLM(config)


def place_of(shard: int, legs: Sequence[Leg]) -> tuple[Leg, int]:
    """The leg a shard belongs to, and its place there; ValueError beyond the last."""
    place = shard
    for leg in legs:
        if place < leg.shards:
            return leg, place
        place -= leg.shards
    raise ValueError(f"there is no shard {shard}")


def documents(seed: int, shard: int, legs: Sequence[Leg] = LEGS) -> list[Document]:
    """The documents of a shard."""
    rng = Random(f"{seed}/{shard}")
    leg, place = place_of(shard, legs)
    mixture = CLEAN if place < leg.clean else NATURAL
    return [draw_document(mixture, rng) for _ in range(SHARD_DOCUMENTS)]


def encode(tokenizer: Any, docs: list[Document]) -> list[tuple[list[int], int]]:
    """Each document as (token ids, number of leading ids that are not learned)."""
    end, user, assistant = tokenizer.convert_tokens_to_ids(["<|end|>", "<|user|>", "<|assistant|>"])
    backend = tokenizer.backend_tokenizer
    questions = backend.encode_batch([doc.question for doc in docs], add_special_tokens=False)
    answers = backend.encode_batch([doc.answer for doc in docs], add_special_tokens=False)
    rows = []
    for doc, question, answer in zip(docs, questions, answers, strict=True):
        asked = [user, *question.ids, end, assistant]
        rows.append(([*asked, *answer.ids, end], 1 if doc.learn_question else len(asked)))
    return rows


def batches(rows: list[tuple[list[int], int]], rng: Random) -> Iterator[tuple[Tensor, Tensor]]:
    """Micro-batches (ids, learned) of rows of similar length, each about MICRO_BATCH_TOKENS, in random order."""
    rng.shuffle(rows)
    rows.sort(key=lambda row: len(row[0]))
    groups: list[list[tuple[list[int], int]]] = [[]]
    for row in rows:
        if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > MICRO_BATCH_TOKENS:
            groups.append([])
        groups[-1].append(row)
    rng.shuffle(groups)
    for group in groups:
        width = max(len(ids) for ids, _ in group)
        ids = torch.zeros(len(group), width, dtype=torch.long)
        learned = torch.zeros(len(group), width, dtype=torch.bool)
        for i, (document, skipped) in enumerate(group):
            ids[i, : len(document)] = torch.tensor(document)
            learned[i, skipped : len(document)] = True
        yield ids, learned


def summed_loss(model: Any, ids: Tensor, learned: Tensor) -> tuple[Tensor, int]:
    """Cross-entropy in nats, summed over the learned tokens, and their number."""
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    wanted = learned[:, 1:]
    logits = model.lm_head(hidden[wanted])  # the head runs only where there is something to learn
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:][wanted], reduction="sum"), int(wanted.sum())


def scale_at(shard: int, share: float, legs: Sequence[Leg] = LEGS) -> float:
    """Learning rate as a share of its highest, `share` (0..1) of the way through a shard."""
    leg, place = place_of(shard, legs)
    if shard + share < WARM_UP_SHARDS:
        return (shard + share) / WARM_UP_SHARDS
    fallen = max(0.0, place + share - leg.plateau) / (leg.shards - leg.plateau)
    return leg.high - (leg.high - FINAL_SCALE) * fallen


def pretrain(out: Path, seed: int, keep_every: int, legs: Sequence[Leg] = LEGS) -> None:
    """Train from scratch, or from where `out` stands, to the last shard; the model is then in out/model."""
    from transformers import AutoTokenizer

    torch.manual_seed(seed)
    num_shards = sum(leg.shards for leg in legs)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "tokenizer" / "tokenizer.json").exists():
        micro_tokenizer.build(out / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
    model = new_model(len(tokenizer)).train()
    optimizer = MuonAdamW(model, MUON_LR, ADAM_LR)
    done, tokens, seconds = _resume(out, model, optimizer)
    for shard in range(done, num_shards):
        start = time.perf_counter()
        entry, shard_tokens = _train_shard(model, optimizer, tokenizer, seed, shard, legs)
        tokens += shard_tokens
        seconds += time.perf_counter() - start
        entry |= {"shard": shard, "tokens": tokens, "seconds": round(seconds, 1)}
        _keep_state(out, model, optimizer, {"shard": shard + 1, "tokens": tokens, "seconds": seconds})
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)
        if (shard + 1) % keep_every == 0 or shard + 1 == num_shards:
            _save_model(model, tokenizer, out / f"checkpoint-{shard + 1:04d}")
    _save_model(model, tokenizer, out / "model")


def _train_shard(
    model: Any, optimizer: MuonAdamW, tokenizer: Any, seed: int, shard: int, legs: Sequence[Leg]
) -> tuple[dict[str, Any], int]:
    rows = encode(tokenizer, documents(seed, shard, legs))
    micro = list(batches(rows, Random(f"{seed}/{shard}/order")))
    total, learned_tokens = 0.0, 0
    num_micro = 1 if shard in SMALL_STEP_SHARDS else MICRO_BATCHES
    decay = WEIGHT_DECAY if shard >= DECAY_FROM_SHARD else 0.0
    steps = range(0, len(micro), num_micro)
    for step in steps:
        parts = [summed_loss(model, ids, learned) for ids, learned in micro[step : step + num_micro]]
        learned_here = sum(count for _, count in parts)
        loss = torch.stack([part for part, _ in parts]).sum() / learned_here
        loss.backward()
        optimizer.step(scale_at(shard, step / len(micro), legs), decay)
        total += loss.item() * learned_here
        learned_tokens += learned_here
    return {"loss": round(total / learned_tokens, 4), "steps": len(steps)}, sum(len(ids) for ids, _ in rows)


def _keep_state(out: Path, model: Any, optimizer: MuonAdamW, progress: dict[str, float]) -> None:
    tensors = {f"model.{name}": p.detach().clone() for name, p in model.named_parameters()} | optimizer.state()
    save_file(tensors, out / "state.tmp", metadata={"progress": json.dumps(progress)})
    os.replace(out / "state.tmp", out / "state.safetensors")


def _resume(out: Path, model: Any, optimizer: MuonAdamW) -> tuple[int, int, float]:
    from safetensors import safe_open

    path = out / "state.safetensors"
    if not path.exists():
        return 0, 0, 0.0
    with safe_open(path, "pt") as file:
        progress = json.loads(file.metadata()["progress"])
    tensors = load_file(path)
    for name, p in model.named_parameters():
        p.data.copy_(tensors[f"model.{name}"])
    optimizer.load(tensors)
    return int(progress["shard"]), int(progress["tokens"]), float(progress["seconds"])


def _save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the pretraining; an unfinished one is continued"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep-every", type=int, default=5, help="shards between two kept checkpoints")
    options = parser.parse_args()
    pretrain(options.out, options.seed, options.keep_every)


if __name__ == "__main__":
    main()
