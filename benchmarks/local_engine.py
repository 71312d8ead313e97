"""The local engine against transformers' `generate` at the same work, in tokens per second.

Judging: the recipe's judge prompt over ranked responses of the micro-world, three votes each, ends heeded. Sampling: four
responses to each held-out prompt. Long judging: prompts of about 200 random words that begin with the same 50, three
samples of exactly 40 tokens. `generate` is called as one would call it: prompts sorted by length, left-padded batches of
the same size, `num_return_sequences`. The two are paired: each pair back to back in one process, the first in turn.

    python benchmarks/local_engine.py
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import write_results

from selfreward import chat
from selfreward.engines.base import Request, Sampling
from selfreward.engines.local import LocalEngine
from selfreward.evaluation import micro
from selfreward.judges.shown import judge_prompt
from selfreward.micro import people
from selfreward.recipe import load_recipe
from selfreward.responses import ranked_responses

ROOT = Path(__file__).parents[1]
GREEDY_TOKENS, JUDGE_TOKENS = 40, 40


def random_text(tokenizer: Any, words: list[str], num_tokens: int, rng: random.Random) -> str:
    """Words of the model's own vocabulary that make about so many tokens."""
    text = ""
    while len(tokenizer.encode(text, add_special_tokens=False)) < num_tokens:
        text += ("" if not text else " ") + " ".join(rng.choices(words, k=4))
    return text


def micro_requests(num_judged: int, num_prompts: int) -> tuple[list[Request], list[Request]]:
    """(judging, sampling) requests of the micro-world, as the loop makes them."""
    recipe = load_recipe("micro", [f"evaluation.num_prompts={num_prompts}", "evaluation.split=dev"])
    responses = ranked_responses(people.rank_responses(num_judged // 3, 3, 0, "dev", set()))
    judging = [
        Request(r.id, judge_prompt(recipe.judge.template, r.prompt, r.text), 3, i) for i, r in enumerate(responses)
    ]
    return judging, [Request(p.id, p.text, 4, i) for i, p in enumerate(micro.held_out_prompts(recipe))]


def long_judging(tokenizer: Any, num: int) -> list[Request]:
    """Prompts of about 200 random words of the vocabulary that share their first 50."""
    rng = random.Random(0)
    words = sorted({token.strip(" Ġ▁") for token in tokenizer.get_vocab()})
    words = [word for word in words if word.isalpha() and word.isascii() and len(word) > 1]
    rubric = random_text(tokenizer, words, 50, rng)
    return [
        Request(f"long{i}", f"{rubric} {random_text(tokenizer, words, rng.randint(130, 165), rng)}", 3, i)
        for i in range(num)
    ]


def transformers_generate(
    engine: LocalEngine, requests: list[Request], sampling: Sampling
) -> dict[str, list[list[int]]]:
    """Token ids of each request's completions, the end token included; the engine lends model and tokenizer."""
    tokenizer, answers = engine.tokenizer, {}
    tokenizer.padding_side = "left"
    prompts = sorted(((chat.encode_prompt(tokenizer, r.prompt), r) for r in requests), key=lambda p: -len(p[0]))
    settings: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        settings = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    for start in range(0, len(prompts), engine.batch_size):
        batch = prompts[start : start + engine.batch_size]
        num_samples = batch[0][1].num_samples
        inputs = tokenizer.pad({"input_ids": [ids for ids, _ in batch]}, return_tensors="pt").to(engine.model.device)
        with torch.inference_mode():
            output = engine.model.generate(
                **inputs,
                max_new_tokens=sampling.max_tokens,
                num_return_sequences=num_samples,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=sorted(engine.end_ids) or None,
                **settings,
            )
        rows = [to_end(row, engine.end_ids) for row in output[:, inputs["input_ids"].shape[1] :].tolist()]
        for i, (_, request) in enumerate(batch):
            answers[request.id] = rows[i * num_samples : (i + 1) * num_samples]
    return answers


def to_end(ids: list[int], end_ids: set[int]) -> list[int]:
    """The ids up to the first that ends a completion, itself included."""
    ends = [i for i, token in enumerate(ids) if token in end_ids]
    return ids[: ends[0] + 1] if ends else ids


def count_greedy_equal(engine: LocalEngine, requests: list[Request]) -> int:
    """How many greedy completions equal those of transformers in text and in number of tokens."""
    requests = [Request(r.id, r.prompt, 1, 0) for r in requests]
    sampling = Sampling(0.0, 1.0, GREEDY_TOKENS)
    reference = transformers_generate(engine, requests, sampling)
    equal = 0
    for request, (completion,) in zip(requests, engine.generate(requests, sampling), strict=True):
        (ids,) = reference[request.id]
        text = chat.decode(engine.tokenizer, [token for token in ids if token not in engine.end_ids])
        equal += (completion.text, completion.num_tokens) == (text, len(ids))
    return equal


def paired_runs(
    engine: LocalEngine, requests: list[Request], sampling: Sampling, num_runs: int
) -> list[dict[str, Any]]:
    """One dict per pair: seconds, CPU seconds and tokens of each side, and the ratio of tokens per second."""

    def ours() -> int:
        return sum(completion.num_tokens for row in engine.generate(requests, sampling) for completion in row)

    def theirs() -> int:
        return sum(len(ids) for rows in transformers_generate(engine, requests, sampling).values() for ids in rows)

    sides: list[tuple[str, Callable[[], int]]] = [("local_engine", ours), ("transformers", theirs)]
    runs = []
    for k in range(-1, num_runs):  # run -1 warms up and is not kept
        run: dict[str, Any] = {}
        for name, side in sides if k % 2 else sides[::-1]:
            wall, cpu = time.perf_counter(), time.process_time()
            tokens = side()
            run[name] = {"s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "tokens": tokens}
        for clock, key in (("s", "ratio"), ("cpu_s", "cpu_ratio")):
            a, b = run["local_engine"], run["transformers"]
            run[key] = (a["tokens"] / a[clock]) / (b["tokens"] / b[clock])
        runs.append(run)
    return runs[1:]


def main() -> None:
    """Run the workloads and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "selfreward" / "micro" / "m0")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--num-judged", type=int, default=192)
    parser.add_argument("--num-prompts", type=int, default=256)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()

    engine = LocalEngine(args.model, args.batch_size, args.dtype, args.device, args.threads)
    judging, sampling = micro_requests(args.num_judged, args.num_prompts)
    longer = long_judging(engine.tokenizer, 32)
    compared = judging[:64] + sampling[:128] + longer[:8]
    num_equal = count_greedy_equal(engine, compared)
    sampled = paired_runs(engine, sampling, Sampling(0.7, 0.9, 24), args.runs)
    judged = paired_runs(engine, judging, Sampling(0.7, 0.9, 64), args.runs)
    engine.end_ids, engine.model.generation_config.eos_token_id = set(), None
    judged_long = paired_runs(engine, longer, Sampling(0.7, 0.9, JUDGE_TOKENS), args.runs)
    work = {"judging": judged, "sampling": sampled, "long_judging": judged_long}
    results: dict[str, Any] = {
        f"{name}_{key}": statistics.median(run[key] for run in runs)
        for key in ("ratio", "cpu_ratio")
        for name, runs in work.items()
    }
    results |= {
        "greedy_tokens_equal": num_equal == len(compared),
        "greedy_num_equal": num_equal,
        "greedy_num_compared": len(compared),
        "unit": "tokens per second of the local engine over those of transformers.generate; medians of paired runs",
        "num_threads": torch.get_num_threads(),
        "runs": work,
    }
    write_results("local_engine", results)


if __name__ == "__main__":
    main()
