"""What a GPU is used for: decoding and judging against `transformers.generate`, and the share of its peak in training.

    python benchmarks/gpu.py [--layers 22 --width 2048 ...] [--peak-flops 989e12]

The model is a Llama with random weights, of 1.1 billion parameters by default, bfloat16 while generating; what is written
always has its full length. A ratio is of tokens per second, the local engine over transformers, median of paired runs; a
judgement is all votes on one response.

MFU = model FLOPs / (seconds x peak FLOP/s), of the steps after the first. Model FLOPs are 6 N a token (2 N forward, 4 N
backward, N all parameters, attention not counted, nor what gradient checkpointing computes twice). DPO trains on the tokens
of both sides, prompt included; its reference, 2 N a token, is read once before the first step and is in neither number.
The peak is dense bfloat16 from the maker's data sheet (`selfreward/planning/hardware.py`: H100 and H200 as SXM, A100, L4); for any
other device it is to be given.
"""

import argparse
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import torch
from common import write_results
from local_engine import paired_runs, random_text
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from selfreward.chat import load_tokenizer
from selfreward.engines.base import Request, Sampling
from selfreward.engines.local import LocalEngine
from selfreward.models import resolve_model
from selfreward.planning import HARDWARE
from selfreward.recipe import Dpo, Sft, Training
from selfreward.training import dpo, sft, trainer
from selfreward.training.teach import quiet_libraries

MODEL_FLOPS = 6  # a parameter and token that is trained on


def build(folder: Path, options: argparse.Namespace) -> int:
    """Writes the model, with M0's tokenizer, into a folder; returns its number of parameters."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(resolve_model("micro-m0"))
    config = LlamaConfig(
        vocab_size=max(options.vocabulary, len(tokenizer)), hidden_size=options.width, intermediate_size=options.mlp,
        num_hidden_layers=options.layers, num_attention_heads=options.heads, num_key_value_heads=options.kv_heads,
        max_position_embeddings=4096, pad_token_id=tokenizer.pad_token_id, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    with torch.device(options.device):
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def generating(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Rates of both sides and their ratio: decoding `samples` responses a prompt, and judging behind a shared rubric."""
    engine = LocalEngine(folder, options.batch, "bfloat16" if options.device == "cuda" else "float32", options.device)
    engine.end_ids, engine.model.generation_config.eos_token_id = set(), None
    rng, words = Random(0), [word for word in engine.tokenizer.get_vocab() if word.isalpha()]
    rubric = random_text(engine.tokenizer, words, options.rubric_tokens, rng)

    def requests(before: str, num_samples: int) -> list[Request]:
        texts = (random_text(engine.tokenizer, words, options.prompt_tokens, rng) for _ in range(options.prompts))
        return [Request(str(i), before + text, num_samples, i) for i, text in enumerate(texts)]

    found: dict[str, Any] = {}
    for name, asked in (("decode", requests("", options.samples)), ("judging", requests(rubric + " ", options.votes))):
        runs = paired_runs(engine, asked, Sampling(0.7, 0.9, options.new_tokens), options.runs)
        found[f"{name}_ratio"] = statistics.median(run["ratio"] for run in runs)
        for side in ("local_engine", "transformers"):
            rate = statistics.median(run[side]["tokens"] / run[side]["s"] for run in runs)
            tokens_each = asked[0].num_samples * options.new_tokens
            key = f"{name}_tokens_per_s" if name == "decode" else "judgements_per_s"
            found.setdefault(key, {})[side] = rate if name == "decode" else rate / tokens_each
        found[f"{name}_runs"] = runs
    engine.close()
    return found


class Clock(TrainerCallback):
    """When each step ended, with all its work done."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def step_s(self) -> float:
        """Mean seconds of the steps after the first."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def training(folder: Path, parameters: int, peak: float, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step, tokens per second and MFU of SFT and of DPO, on rows of one length."""
    rng, tokenizer = Random(0), load_tokenizer(folder)
    length, num_rows = options.row_tokens, options.steps * options.rows
    machine = Training(device_batch=options.device_batch)
    found: dict[str, Any] = {}

    def ids(num: int) -> list[int]:
        return [rng.randrange(len(tokenizer)) for _ in range(num)]

    for method in ("sft", "dpo"):
        clock, model = Clock(), trainer.load_model(str(folder))
        with quiet_libraries(), trainer.scoring_labels_only(), tempfile.TemporaryDirectory() as work:
            settings: dict[str, Any] = {"batch": options.rows, "epochs": 1, "dropout": 0.0}
            if method == "sft":
                texts = [ids(length) for _ in range(num_rows)]
                rows = [{"input_ids": text, "labels": text} for text in texts]
                made = sft.sft_trainer(model, tokenizer, rows, Sft(**settings), Path(work), 0, machine)
            else:
                names, half = ("prompt_ids", "chosen_ids", "rejected_ids"), length // 2
                rows = [{name: ids(half) for name in names} for _ in range(num_rows)]
                reference = trainer.load_model(str(folder))
                made = dpo.dpo_trainer(model, reference, tokenizer, rows, Dpo(**settings), Path(work), 0, machine)
                del reference
            trainer.attach(made, clock)
            made.train()
        tokens = options.rows * (length if method == "sft" else 4 * (length // 2))
        found |= {
            f"{method}_step_s": clock.step_s(),
            f"{method}_tokens_per_s": tokens / clock.step_s(),
            f"{method}_mfu": MODEL_FLOPS * parameters * tokens / (clock.step_s() * peak),
        }
        del made, model
        torch.cuda.empty_cache()
    return found


def peak_flops(device: str) -> float:
    """That of a device's data sheet; SystemExit for one that is not in the table."""
    name = torch.cuda.get_device_name() if device == "cuda" else "processor"
    for known, hardware in HARDWARE.items():
        if re.search(rf"\b{known}\b", name.lower()):
            return hardware.flops
    sys.exit(f"the peak of a {name} is not known: give --peak-flops")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures; `peak_bytes` is the most memory that was taken at once, on a processor by the whole process."""
    cuda = torch.cuda.is_available()
    if cuda != (options.device == "cuda"):
        sys.exit("there is no CUDA device" if not cuda else "hide the GPUs: CUDA_VISIBLE_DEVICES=")
    peak = options.peak_flops or peak_flops(options.device)
    with tempfile.TemporaryDirectory() as work:
        parameters = build(Path(work), options)
        found = generating(Path(work), options) | training(Path(work), parameters, peak, options)
    process_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "model_parameters": parameters,
        "peak_flops": peak,
        "peak_bytes": torch.cuda.max_memory_allocated() if cuda else process_bytes,
        "model_flops": {"sft": "6 N a token", "dpo": "6 N a token of both sides; the reference is read before"},
        "options": {name: value for name, value in vars(options).items() if name != "peak_flops"},
        **found,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--peak-flops", type=float, help="dense FLOP/s in bfloat16  [default: of the data sheet]")
    sizes = {
        "layers": 22, "width": 2048, "mlp": 5632, "heads": 32, "kv-heads": 4, "vocabulary": 32000,
        "runs": 5, "batch": 64, "prompts": 64, "samples": 4, "votes": 3, "rubric-tokens": 300, "prompt-tokens": 200,
        "new-tokens": 128, "row-tokens": 1024, "rows": 16, "device-batch": 8, "steps": 12,
    }  # fmt: skip
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    write_results("gpu", measure(parse()))
