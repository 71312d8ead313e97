"""The local engine: transformers weights, loaded once, with a batched sampler that reads each prompt once.

transformers' `generate` reads a prompt once per sample, decodes finished rows to the end of the batch and sorts the
vocabulary at each step; this engine does not (benchmarks/local_engine.py measures the difference).
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from selfreward import chat
from selfreward.engines.base import Completion, Probs, Request, Sampling
from selfreward.engines.decoding import CacheReader, Prefilled, Reader, left_pad, survivors
from selfreward.engines.lean_llama import LeanLlama
from selfreward.engines.sampling import draw, uniforms
from selfreward.errors import BadInput
from selfreward.memory import free_memory, halved, with_less
from selfreward.weights import load_weights

log = logging.getLogger(__name__)

MIN_SHARED = 16  # tokens; a shorter common prefix is not worth a forward of its own
MAX_LOGITS = 2**27  # numbers; bounds the memory of one batch of likelihoods

Ids = tuple[int, ...]


class LocalEngine:
    """An `Engine` over the weights of a folder."""

    def __init__(
        self,
        model_folder: str | Path,
        batch_size: int = 64,  # prompts decoded at once, each with all its samples; halved when memory runs out
        dtype: str = "auto",  # auto: bfloat16 on a GPU, float32 on a CPU
        device: str = "auto",  # auto: cuda where there is one
        threads: int | None = None,  # CPU threads of the whole process; None leaves them as they are
        trust_remote_code: bool = False,  # whether Python files in the folder may run
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.batch_size = batch_size
        self.model = load_model(model_folder, dtype, device, trust_remote_code)
        self.tokenizer = chat.load_tokenizer(model_folder, trust_remote_code)
        self.end_ids = chat.end_ids(self.tokenizer, self.model.generation_config)
        self.context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**31
        self.reader: Reader = LeanLlama(self.model) if LeanLlama.supports(self.model) else CacheReader(self.model)

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine`."""
        answers = [[Completion("", 0, False)] * request.num_samples for request in requests]
        rows: dict[Ids, list[tuple[int, int]]] = {}  # distinct prompt -> (request, sample) of its rows
        for i, request in enumerate(requests):
            ids = tuple(chat.encode_prompt(self.tokenizer, request.prompt, request.history))
            if len(ids) >= self.context:
                log.warning(
                    "request %s: %d tokens leave no room in a context of %d", request.id, len(ids), self.context
                )
            elif request.num_samples:
                rows.setdefault(ids, []).extend((i, sample) for sample in range(request.num_samples))

        def answer(batch: list[Ids], prefilled: Prefilled) -> None:
            owners = [owner for ids in batch for owner in rows[ids]]
            limits = [min(sampling.max_tokens, self.context - len(ids)) for ids in batch for _ in rows[ids]]
            streams = [(requests[i].seed, sample) for i, sample in owners]
            source = torch.tensor([k for k, ids in enumerate(batch) for _ in rows[ids]], device=self.model.device)
            completions = self._decode(prefilled, source, streams, limits, sampling)
            for (i, sample), completion in zip(owners, completions, strict=True):
                answers[i][sample] = completion

        self._read(list(rows), answer)
        return answers

    def room(self, prompts: Sequence[str]) -> list[int | None]:
        """See `Engine`."""
        return [self.context - len(chat.encode_prompt(self.tokenizer, prompt)) for prompt in prompts]

    @torch.inference_mode()
    def score_tokens(self, items: Sequence[tuple[str, str]], candidates: Sequence[str]) -> list[Probs]:
        """See `Engine`."""
        asked: list[tuple[Ids, Ids]] = []  # what is read, the candidates' tokens
        for prompt, said in items:
            before, tokens = chat.next_tokens(self.tokenizer, said, candidates)
            asked.append(((*chat.encode_prompt(self.tokenizer, prompt), *before), tuple(tokens)))
        wanted: dict[Ids, set[Ids]] = {}
        for ids, token_ids in asked:
            if len(ids) < self.context:
                wanted.setdefault(ids, set()).add(token_ids)
            else:
                log.warning("%d tokens leave no room in a context of %d", len(ids), self.context)
        scores: dict[tuple[Ids, Ids], tuple[float, ...]] = {}

        def score(batch: list[Ids], prefilled: Prefilled) -> None:
            for ids, probs in zip(batch, prefilled.logits.double().softmax(-1), strict=True):
                scores.update({(ids, tokens): tuple(probs[list(tokens)].tolist()) for tokens in wanted[ids]})

        self._read(list(wanted), score)
        return [scores.get(item) for item in asked]

    @torch.inference_mode()
    def loglik(self, items: Sequence[tuple[str, str]]) -> list[float]:
        """See `Engine`."""
        pairs = [chat.encode_example(self.tokenizer, prompt, response) for prompt, response in items]
        self._check_fits([prompt + response for prompt, response in pairs])
        order = sorted(range(len(pairs)), key=lambda i: (len(pairs[i][1]), len(pairs[i][0])), reverse=True)
        values = [0.0] * len(pairs)
        while order:
            longest = len(pairs[order[0]][1])
            most = max(1, min(self.batch_size, MAX_LOGITS // ((longest + 1) * self.model.config.vocab_size)))
            some = [pairs[i] for i in order[:most]]
            found, size = with_less(partial(self._response_logliks, some, longest), len(some), halved, "likelihoods")
            self._remember(size, len(some))
            for i, value in zip(order[:size], found, strict=True):
                values[i] = value
            order = order[size:]
        return values

    def close(self) -> None:
        """Free the model; the engine cannot be used again."""
        for name in ("model", "reader"):
            vars(self).pop(name, None)
        free_memory()

    def _read(self, prompts: list[Ids], use: Callable[[list[Ids], Prefilled], None]) -> None:
        """Prefill distinct prompts, those of like length together, and use each batch; their prefix is read once.

        A batch that memory is too small for is halved, and later ones with it.
        """
        num_shared, prefix = 0, None
        if len(prompts) > 1:
            # At least one token of each prompt stays outside: the last one's logits are what is asked for.
            num_shared = min(_num_common(min(prompts), max(prompts)), min(map(len, prompts)) - 1)
            prefix = self.reader.read_prefix(prompts[0][:num_shared]) if num_shared > MIN_SHARED else None
        num_shared = 0 if prefix is None else num_shared
        prompts = sorted(prompts, key=len, reverse=True)
        while prompts:
            some = prompts[: self.batch_size]

            def work(size: int, some: list[Ids] = some) -> None:
                use(some[:size], self.reader.read([ids[num_shared:] for ids in some[:size]], prefix))

            _, size = with_less(work, len(some), halved, "prompts with their samples")
            self._remember(size, len(some))
            prompts = prompts[size:]

    def _remember(self, size: int, tried: int) -> None:
        """Later batches are no larger than one that had to be made smaller."""
        if size < tried:
            self.batch_size = size

    def _decode(
        self,
        prefilled: Prefilled,
        source: torch.Tensor,  # (rows,): the prefilled row that each row continues
        streams: list[tuple[int, int]],  # (rows,): seed and sample
        limits: list[int],  # (rows,): tokens
        sampling: Sampling,
    ) -> list[Completion]:
        device, num_steps = source.device, max(limits)
        decoding = self.reader.decode(prefilled, source, num_steps)
        u = uniforms(streams, num_steps).to(device) if sampling.temperature > 0 else None
        ends = torch.tensor(sorted(self.end_ids), device=device)
        limit = torch.tensor(limits, device=device)
        tokens = torch.zeros(len(streams), num_steps, dtype=torch.long, device=device)
        lengths = torch.zeros(len(streams), dtype=torch.long, device=device)
        finished = torch.zeros(len(streams), dtype=torch.bool, device=device)
        live = torch.arange(len(streams), device=device)  # the row that each row of `decoding` is
        logits = prefilled.logits[source]
        for step in range(num_steps):
            chosen = draw(logits, sampling.temperature, sampling.top_p, None if u is None else u[live, step])
            tokens[live, step] = chosen
            ended = torch.isin(chosen, ends)
            done = ended | (limit[live] == step + 1)
            if done.any():
                lengths[live[done]] = step + 1
                finished[live[ended]] = True
                order = survivors(~done)
                if not len(order):
                    break
                decoding.keep(order)
                live, chosen = live[order], chosen[order]
            logits = decoding.step(chosen)
        return [
            Completion(chat.decode(self.tokenizer, ids[: length - end]), length, end)
            for ids, length, end in zip(tokens.tolist(), lengths.tolist(), finished.tolist(), strict=True)
        ]

    def _response_logliks(self, pairs: list[tuple[list[int], list[int]]], longest: int, size: int) -> list[float]:
        """Of the first `size` pairs; no response is longer than `longest`."""
        pairs = pairs[:size]
        ids, mask, positions = left_pad([prompt + response for prompt, response in pairs], self.model.device)
        output = self.model(
            ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=longest + 1
        )
        targets = ids[:, -longest:]
        logits = output.logits[:, -longest - 1 : -1].float()
        per_token = logits.gather(2, targets[..., None])[..., 0] - logits.logsumexp(-1)
        lengths = torch.tensor([len(response) for _, response in pairs], device=ids.device)
        is_response = torch.arange(longest, device=ids.device) >= longest - lengths[:, None]
        values: list[float] = per_token.double().where(is_response, 0.0).sum(1).tolist()
        return values

    def _check_fits(self, rows: Sequence[Sequence[int]]) -> None:
        longest = max(map(len, rows), default=0)
        if longest > self.context:
            raise ValueError(f"{longest} tokens do not fit into the model's context of {self.context}")


def _num_common(first: Ids, last: Ids) -> int:
    """How many tokens two prompts begin with; of the first and the last in order, what all between begin with too."""
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def load_model(
    model_folder: str | Path, dtype: str = "auto", device: str = "auto", trust_remote_code: bool = False
) -> Any:
    """A causal language model in evaluation mode, from safetensors alone. BadInput when the folder holds none that can be used."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
    if dtype == "float16" and device == "cpu":
        raise BadInput("float16 needs a GPU", "engine.dtype", "choose bfloat16 or float32")
    model = load_weights(model_folder, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code)
    return model.to(device).eval()
