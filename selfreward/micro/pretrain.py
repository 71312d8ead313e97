"""How M0 was made: scripted, seeded and resumable.

    torchrun --nproc-per-node 2 -m selfreward.micro.pretrain --out FOLDER [--bf16]

The corpus is written shard by shard as it is read; shard i is two halves, each a function of the seed and i. A half's
documents are batched by length, so that nothing but a few paddings at the right is wasted and no document sees another. A
step takes a micro-batch of each half: two processes take one each and add their gradients, one process takes both. The
state after every shard is kept, so a killed pretraining goes on from its last whole shard, bit for bit.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.distributed
from safetensors.torch import load_file, save_file
from torch import Tensor

from selfreward.micro import tokenizer as micro_tokenizer
from selfreward.micro.corpus import CLEAN, NATURAL, VERDICTS, Document, draw_document
from selfreward.micro.forward import final_states
from selfreward.micro.optimizer import MuonAdamW, gradient

HALF_DOCUMENTS = 8192  # in each half of a shard
MICRO_BATCH_TOKENS = 4096
VERDICT_WEIGHT = 4.0  # of a verdict's token in the loss: a review has five, among forty tokens that any reader foresees
MUON_LR, ADAM_LR, WEIGHT_DECAY = 0.01, 2e-3, 0.1


@dataclass(frozen=True)
class Schedule:
    """Clean documents, then the natural mixture; a rise of the learning rate, a plateau, and its fall to nothing."""

    shards: int
    clean: int  # of the shards, the first
    rise: float  # shards
    plateau: float  # the shard up to which the learning rate stays at its highest


SCHEDULE = Schedule(shards=165, clean=130, rise=0.5, plateau=35.0)


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
    model = LlamaForCausalLM(config)
    # Embeddings as large as what the layers add to them: small ones are drowned, and matching words then takes ten times
    # the tokens (docs/notebook.md). They are the head too, so the last norm is small.
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=1.0)
    torch.nn.init.constant_(model.model.norm.weight, 0.1)
    return model


def documents(seed: int, shard: int, half: int, schedule: Schedule) -> list[Document]:
    """The documents of half a shard."""
    rng = Random(f"{seed}/{shard}/{half}")
    mixture = CLEAN if shard < schedule.clean else NATURAL
    return [draw_document(mixture, rng) for _ in range(HALF_DOCUMENTS)]


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
    """Micro-batches (ids, learned) of rows of similar length, each about MICRO_BATCH_TOKENS, in random order.

    Widths are multiples of 8 and all batches of a width but the last have as many rows: kernels are made for few shapes.
    """
    rng.shuffle(rows)
    rows.sort(key=lambda row: -len(row[0]))
    groups = []
    while rows:
        width = -(-len(rows[0][0]) // 8) * 8
        num = max(1, MICRO_BATCH_TOKENS // width)
        groups.append((width, rows[:num]))
        rows = rows[num:]
    rng.shuffle(groups)
    for width, group in groups:
        ids = torch.zeros(len(group), width + 1, dtype=torch.long)  # the last is only ever a target
        learned = torch.zeros(len(group), width + 1, dtype=torch.bool)
        for i, (document, skipped) in enumerate(group):
            ids[i, : len(document)] = torch.tensor(document)
            learned[i, skipped : len(document)] = True
        yield ids, learned


def summed_losses(model: Any, ids: Tensor, learned: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats summed over the learned tokens, weighted by token id and plain."""
    wanted = learned[:, 1:]
    states = final_states(model, ids[:, :-1])[wanted]  # the head runs only where there is something to learn
    targets = ids[:, 1:][wanted]
    with torch.autocast("cpu", enabled=False):
        losses = torch.nn.functional.cross_entropy(model.lm_head(states.float()), targets, reduction="none")
    return (losses * weights[targets]).sum(), losses.detach().sum()


def scale_at(place: float, schedule: Schedule) -> float:
    """Learning rate as a share of its highest, `place` shards after the start."""
    fall = (schedule.shards - place) / (schedule.shards - schedule.plateau)
    return max(0.0, min(1.0, place / schedule.rise, fall))


def pretrain(out: Path, seed: int, keep_every: int, schedule: Schedule, bf16: bool = False) -> None:
    """Train from scratch, or from where `out` stands, to the last shard; the model is then in out/model."""
    from transformers import AutoTokenizer

    torch.manual_seed(seed)
    first = 0 in _halves()  # the process that writes
    if first and not (out / "tokenizer" / "tokenizer.json").exists():
        micro_tokenizer.build(out / "tokenizer")
    _wait()
    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
    model = new_model(len(tokenizer)).train()
    optimizer = MuonAdamW(model, MUON_LR, ADAM_LR)
    done, tokens, seconds = _resume(out, model, optimizer)
    for shard in range(done, schedule.shards):
        start = time.perf_counter()
        entry, shard_tokens = _train_shard(model, optimizer, tokenizer, seed, shard, schedule, bf16)
        tokens += shard_tokens
        seconds += time.perf_counter() - start
        _wait()
        if not first:
            continue
        entry |= {"shard": shard, "tokens": tokens, "seconds": round(seconds, 1)}
        _keep_state(out, model, optimizer, {"shard": shard + 1, "tokens": tokens, "seconds": seconds})
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)
        if (shard + 1) % keep_every == 0 or shard + 1 == schedule.shards:
            _save_model(model, tokenizer, out / f"checkpoint-{shard + 1:04d}")
    if first:
        _save_model(model, tokenizer, out / "model")


def _halves() -> tuple[int, ...]:
    """The halves of a step that this process takes."""
    processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if processes > 2:
        raise SystemExit("a step has two halves: start one process, or two")
    return (0, 1) if processes == 1 else (torch.distributed.get_rank(),)


def _wait() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def _train_shard(
    model: Any, optimizer: MuonAdamW, tokenizer: Any, seed: int, shard: int, schedule: Schedule, bf16: bool
) -> tuple[dict[str, Any], int]:
    halves = []
    for half in _halves():
        rows = encode(tokenizer, documents(seed, shard, half, schedule))
        halves.append(list(batches(rows, Random(f"{seed}/{shard}/{half}/order"))))
    num_steps = _least(min(len(half) for half in halves))  # a batch or two of the longer half are left over
    weights = torch.ones(len(tokenizer))
    weights[tokenizer.convert_tokens_to_ids(list(VERDICTS))] = VERDICT_WEIGHT
    totals = torch.zeros(4)
    for step, micro_batches in enumerate(zip(*(half[:num_steps] for half in halves), strict=True)):
        sums = torch.zeros(4)  # weights, plain loss, tokens learned, tokens read
        for ids, learned in micro_batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):  # per batch: it keeps its casts of the weights
                loss, plain = summed_losses(model, ids, learned, weights)
            loss.backward()
            targets = ids[:, 1:][learned[:, 1:]]
            sums += torch.stack([weights[targets].sum(), plain, learned.sum(), (ids != 0).sum()])
        _add_up(model, sums)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            optimizer.step(scale_at(shard + step / num_steps, schedule), WEIGHT_DECAY)
        totals += sums
    _, plain_total, num_learned, num_read = totals.tolist()
    return {"loss": round(plain_total / num_learned, 4), "steps": num_steps}, int(num_read)


def _least(number: int) -> int:
    """The smallest of all processes' numbers."""
    shared = torch.tensor(number)
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MIN)
    return int(shared)


def _add_up(model: Any, sums: Tensor) -> None:
    """Make `sums` those of all processes, and the gradients those of the mean weighted loss over all of them."""
    parameters = list(model.parameters())
    flat = torch.cat([sums, *(gradient(p).flatten() for p in parameters)])
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(flat)
    sums.copy_(flat[: len(sums)])
    parts = (flat[len(sums) :] / sums[0]).split([p.numel() for p in parameters])
    for p, part in zip(parameters, parts, strict=True):
        p.grad = part.view_as(p)


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
    parser.add_argument(
        "--bf16", action="store_true", help="products in bfloat16: twice as fast on processors with bfloat16 units"
    )
    options = parser.parse_args()
    if "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group("gloo")
    pretrain(options.out, options.seed, options.keep_every, SCHEDULE, options.bf16)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
