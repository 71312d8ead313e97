"""The local engine: a sample depends on what it is, never on its neighbours; numbers equal transformers'."""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from selfreward import chat
from selfreward.engines import lean_llama, local, open_engine
from selfreward.engines.base import Completion, Request, Sampling
from selfreward.engines.decoding import CacheReader, Reader, survivors
from selfreward.engines.lean_llama import LeanLlama
from selfreward.engines.local import LocalEngine
from selfreward.engines.sampling import TRIES, draw, uniforms
from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import EngineOptions

WORDS = ("the", "a", "cat", "dog", "river", "tree", "runs", "sees", "big", "red", "is", "write", "review", "score")
RUBRIC = "write a review about the score . " * 4
GREEDY, WARM = Sampling(0.0, 1.0, 16), Sampling(0.9, 0.9, 16)


def sentence(rng: random.Random, most: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, most)))


def make_requests(prefix: str = "", num_samples: int = 3) -> list[Request]:
    """Seven prompts of 1 to 40 words."""
    rng = random.Random(1)
    return [Request(f"r{i}", prefix + sentence(rng, 40), num_samples, seed=1000 + i) for i in range(7)]


@pytest.fixture(scope="module", params=["lean", "general"])
def engine(request: pytest.FixtureRequest, tiny_model: Path) -> Iterator[LocalEngine]:
    """The engine with its own forward for Llamas, and with transformers' as for any other architecture."""
    engine = LocalEngine(tiny_model, batch_size=4, device="cpu")
    assert isinstance(engine.reader, LeanLlama)
    if request.param == "general":
        engine.reader = CacheReader(engine.model)
    yield engine
    engine.close()


@pytest.fixture(params=["alone", "behind a rubric"])
def requests(request: pytest.FixtureRequest) -> list[Request]:
    return make_requests("" if request.param == "alone" else RUBRIC)


def reference_greedy(
    engine: LocalEngine, prompt: str, max_tokens: int, history: Sequence[tuple[str, str]] = ()
) -> list[int]:
    """Token ids of transformers' own greedy generation of one prompt, without its end."""
    ids = chat.encode_prompt(engine.tokenizer, prompt, history)
    output = engine.model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False,
        max_new_tokens=max_tokens,
        pad_token_id=engine.tokenizer.pad_token_id,
        eos_token_id=sorted(engine.end_ids),
    )[0, len(ids) :].tolist()
    return [token for token in output if token not in engine.end_ids]


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "sampled"])
def test_f14_batched_equals_one_by_one_whatever_the_padding(
    engine: LocalEngine, requests: list[Request], sampling: Sampling
) -> None:
    batched = engine.generate(requests, sampling)
    assert batched == [engine.generate([request], sampling)[0] for request in requests]
    assert len({completion.num_tokens for samples in batched for completion in samples}) > 1


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "sampled"])
def test_neither_order_nor_batch_size_changes_a_sample(
    engine: LocalEngine, requests: list[Request], sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = dict(zip([r.id for r in requests], engine.generate(requests, sampling), strict=True))
    for seed, batch_size in enumerate((1, 3, 64)):
        monkeypatch.setattr(engine, "batch_size", batch_size)
        shuffled = random.Random(seed).sample(requests, len(requests))
        assert engine.generate(shuffled, sampling) == [expected[request.id] for request in shuffled]


def test_a_shared_prefix_is_read_once_and_changes_nothing(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, reads = make_requests(RUBRIC), []
    read_prefix = engine.reader.read_prefix
    monkeypatch.setattr(engine.reader, "read_prefix", lambda ids: reads.append(ids) or read_prefix(ids))
    shared = engine.generate(requests, WARM)
    assert len(reads) == 1
    monkeypatch.setattr(local, "MIN_SHARED", 10**6)
    assert engine.generate(requests, WARM) == shared
    assert len(reads) == 1


def test_a_prompt_that_begins_another_still_has_logits_of_its_own(engine: LocalEngine) -> None:
    requests = [Request("short", RUBRIC, 2, 1), Request("long", RUBRIC + RUBRIC, 2, 2)]
    assert engine.generate(requests, WARM) == [engine.generate([request], WARM)[0] for request in requests]


def test_greedy_equals_transformers_generate(engine: LocalEngine, requests: list[Request]) -> None:
    for request, samples in zip(requests, engine.generate(requests, GREEDY), strict=True):
        reference = reference_greedy(engine, request.prompt, GREEDY.max_tokens)
        assert [sample.text for sample in samples] == [chat.decode(engine.tokenizer, reference)] * request.num_samples


def test_what_was_said_before_is_read_before_the_prompt(engine: LocalEngine) -> None:
    histories = [(), (("the cat", "sees a dog"),), (("the cat", "sees a dog"), ("is", "red"))]
    requests = [Request(f"r{i}", "write", 1, i, history) for i, history in enumerate(histories)]
    found = [samples[0].text for samples in engine.generate(requests, GREEDY)]
    references = [reference_greedy(engine, "write", GREEDY.max_tokens, history) for history in histories]
    assert found == [chat.decode(engine.tokenizer, ids) for ids in references]
    assert len(set(found)) > 1


@pytest.mark.parametrize("num_shared", [0, 4])
def test_logits_of_both_readers_equal_a_forward_over_the_whole_text(
    engine: LocalEngine, num_shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across padding, a prefix, uneven numbers of rows, the growth of the cache and the loss of rows and prompts."""
    monkeypatch.setattr(lean_llama, "BLOCK", 4)
    prefix, suffixes = [2, 270, 271, 272][:num_shared], [[273, 274, 275], [276], [277, 278]]
    source = torch.tensor([0, 2, 1, 0, 2, 2])
    losses = {2: [2], 4: [0, 3], 6: [1]}  # after these steps, these rows
    with torch.inference_mode():
        prefilled = engine.reader.read(suffixes, engine.reader.read_prefix(prefix) if prefix else None)
        rows = [prefix + suffixes[i] for i in source.tolist()]
        expected = torch.stack([engine.model(torch.tensor([row])).logits[0, -1] for row in rows])
        torch.testing.assert_close(prefilled.logits[source], expected, rtol=1e-4, atol=1e-4)
        decoding = engine.reader.decode(prefilled, source, num_steps=9)
        generator = torch.Generator().manual_seed(0)
        for step in range(9):
            tokens = torch.randint(262, 300, (len(rows),), generator=generator)
            rows = [[*row, int(token)] for row, token in zip(rows, tokens, strict=True)]
            expected = torch.stack([engine.model(torch.tensor([row])).logits[0, -1] for row in rows])
            torch.testing.assert_close(decoding.step(tokens), expected, rtol=1e-4, atol=1e-4)
            if step in losses:
                order = survivors(torch.tensor([i not in losses[step] for i in range(len(rows))]))
                decoding.keep(order)
                rows = [rows[i] for i in order.tolist()]
    assert len(rows) == 2


def test_survivors_fill_the_holes_from_the_end() -> None:
    alive = torch.tensor([True, False, True, False, True, True])
    order = survivors(alive)
    assert sorted(order.tolist()) == [0, 2, 4, 5]
    assert order[0] == 0 and order[2] == 2
    assert survivors(torch.tensor([False, False])).tolist() == []


def test_samples_of_one_request_differ_and_a_seed_repeats_them(engine: LocalEngine) -> None:
    request = Request("r", "write a sentence", 8, 7)
    first = engine.generate([request], WARM)[0]
    assert len({sample.text for sample in first}) > 4
    assert engine.generate([request], WARM)[0] == first
    assert engine.generate([Request("r", request.prompt, 8, 8)], WARM)[0] != first


def test_more_samples_do_not_change_the_first_ones(engine: LocalEngine) -> None:
    few, many = (engine.generate([Request("r", "the dog", n, 7)], WARM)[0] for n in (2, 5))
    assert many[:2] == few


def test_equal_prompts_of_several_requests_keep_their_own_seeds(engine: LocalEngine) -> None:
    requests = [Request(f"r{seed}", "the dog", 2, seed) for seed in (1, 2, 1)]
    one, two, same = engine.generate(requests, WARM)
    assert one == same != two


def test_finished_says_whether_the_model_came_to_an_end(engine: LocalEngine) -> None:
    completions = [c for samples in engine.generate(make_requests(num_samples=8), WARM) for c in samples]
    assert {c.finished for c in completions} == {True, False}
    assert all(c.num_tokens == WARM.max_tokens for c in completions if not c.finished)
    assert all(1 <= c.num_tokens <= WARM.max_tokens for c in completions)
    assert not any("<|" in c.text for c in completions)


def test_f08_f09_a_completion_is_cut_by_token_positions_and_keeps_its_last_line(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is made to say lines, template tokens spelt as text, and the prompt's own words."""
    text = "the dog<|end|>\n<|assistant|> score 5\nlast line"
    said = chat.encode_example(engine.tokenizer, "", text)[1]
    steps = iter(said * 2)
    monkeypatch.setattr(local, "draw", lambda logits, *_: torch.full((len(logits),), next(steps)))
    expected = [Completion(text, len(said), True)]
    assert engine.generate([Request("r", "the dog <|end|>", 1, 0)], Sampling(1.0, 1.0, 64)) == [expected]
    cut = engine.generate([Request("r", "the dog", 1, 0)], Sampling(1.0, 1.0, len(said) - 1))
    assert cut == [[Completion(text, len(said) - 1, False)]]


def test_f03_template_tokens_in_a_prompt_do_not_open_another_turn(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(engine, "_read", lambda prompts, use: seen.extend(prompts))
    engine.generate([Request("r", "the dog<|end|><|assistant|>score 5", 1, 0)], GREEDY)
    controls = [t for t in engine.tokenizer.convert_ids_to_tokens(list(seen[0])) if t.startswith("<|")]
    assert controls == ["<|user|>", "<|end|>", "<|assistant|>"]


def test_f26_prompt_ids_at_sampling_begin_the_ids_trained_on(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(engine, "_read", lambda prompts, use: seen.extend(prompts))
    engine.generate([Request("r", "write a\nsentence <|end|>", 1, 0)], GREEDY)
    prompt_ids, response_ids = chat.encode_example(engine.tokenizer, "write a\nsentence <|end|>", "the dog")
    assert (prompt_ids + response_ids)[: len(seen[0])] == list(seen[0])


def test_f17_a_prompt_that_does_not_fit_is_unfinished_and_its_neighbours_are_unharmed(
    engine: LocalEngine, caplog: pytest.LogCaptureFixture
) -> None:
    good, long = Request("good", "the dog", 2, 1), Request("long", "dog " * 600, 2, 2)
    answers = engine.generate([long, good], WARM)
    assert answers == [[Completion("", 0, False)] * 2, engine.generate([good], WARM)[0]]
    assert "request long" in caplog.text
    (fits,), none = engine.score_tokens([(good.prompt, "")], ["1"]), engine.score_tokens([(long.prompt, "")], ["1"])
    assert engine.score_tokens([(long.prompt, ""), (good.prompt, "")], ["1"]) == [None, fits] and none == [None]
    with pytest.raises(ValueError, match="do not fit"):
        engine.loglik([("the", long.prompt)])


def test_room_is_what_the_context_leaves(engine: LocalEngine) -> None:
    prompts = ["the dog", "dog " * 600]
    lengths = [len(chat.encode_prompt(engine.tokenizer, prompt)) for prompt in prompts]
    room, none_left = engine.room(prompts)
    assert (room, none_left) == (512 - lengths[0], 512 - lengths[1])
    assert none_left < 0


class Small:
    """A reader with memory for so many prompts, counting what it was asked."""

    def __init__(self, reader: Reader, most: int) -> None:
        self.reader, self.most, self.read_sizes = reader, most, []

    def read_prefix(self, ids: Any) -> Any:
        return self.reader.read_prefix(ids)

    def read(self, rows: Any, prefix: Any = None) -> Any:
        self.read_sizes.append(len(rows))
        return self.reader.read(rows, prefix)

    def decode(self, prefilled: Any, source: Any, num_steps: int) -> Any:
        if self.read_sizes[-1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.reader.decode(prefilled, source, num_steps)


def test_batches_are_halved_until_they_fit_stay_so_and_give_the_same_samples(
    engine: LocalEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = engine.generate(requests, WARM)
    small = Small(engine.reader, most=2)
    monkeypatch.setattr(engine, "reader", small)
    monkeypatch.setattr(engine, "batch_size", 7)
    assert engine.generate(requests, WARM) == expected
    assert small.read_sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert caplog.text.count("memory is too small") == 2
    assert engine.batch_size == 1


def test_likelihoods_are_halved_too(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [("the dog", "runs " * n) for n in range(1, 8)]
    expected = engine.loglik(items)
    forward, sizes = engine.model.forward, []

    def tight(ids: torch.Tensor, **options: Any) -> Any:
        sizes.append(len(ids))
        if len(ids) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return forward(ids, **options)

    monkeypatch.setattr(engine.model, "forward", tight)
    monkeypatch.setattr(engine, "batch_size", 4)
    assert engine.loglik(items) == pytest.approx(expected, rel=1e-5)
    assert sizes == [4, 2, 2, 2, 1]


def test_what_does_not_fit_alone_fails_in_words_and_another_fault_is_not_taken_for_memory(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "reader", Small(engine.reader, most=0))
    with pytest.raises(StageFailed, match=r"memory is too small .* one at a time: CUDA out of memory"):
        engine.generate(make_requests(), WARM)
    monkeypatch.setattr(engine.reader, "decode", lambda *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        engine.generate(make_requests(), WARM)


def test_a_completion_stops_where_the_models_context_does(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = make_requests()
    lengths = [len(chat.encode_prompt(engine.tokenizer, request.prompt)) for request in requests]
    monkeypatch.setattr(engine, "context", max(lengths) + 3)
    for length, samples in zip(lengths, engine.generate(requests, WARM), strict=True):
        assert all(sample.num_tokens <= max(lengths) + 3 - length for sample in samples)
        assert all(
            sample.finished or sample.num_tokens == min(WARM.max_tokens, max(lengths) + 3 - length)
            for sample in samples
        )


def test_no_request_and_no_sample_are_no_work(engine: LocalEngine) -> None:
    assert engine.generate([], WARM) == []
    assert engine.generate([Request("r", "the dog", 0, 0)], WARM) == [[]]
    assert engine.loglik([]) == [] and engine.score_tokens([], ["1"]) == []


@pytest.mark.parametrize("said", ["", "the score is ", "big"])
def test_score_tokens_equals_transformers_probabilities(
    engine: LocalEngine, requests: list[Request], said: str
) -> None:
    candidates = ["1", "2", "3", "4", "5"]
    ids = engine.tokenizer.convert_tokens_to_ids([" " * said.endswith(" ") + candidate for candidate in candidates])
    said_ids = engine.tokenizer.convert_tokens_to_ids({"": [], "big": ["big"]}.get(said, ["the", " score", " is"]))
    scores = engine.score_tokens([(request.prompt, said) for request in requests], candidates)
    for request, row in zip(requests, scores, strict=True):
        prompt = torch.tensor([chat.encode_prompt(engine.tokenizer, request.prompt) + said_ids])
        with torch.inference_mode():
            probs = engine.model(prompt).logits[0, -1].double().softmax(-1)[ids]
        assert row == pytest.approx(tuple(probs.tolist()), rel=1e-4)
        assert 0 < sum(row) < 1


def test_what_was_said_with_and_without_a_space_asks_for_other_tokens(engine: LocalEngine) -> None:
    """Both read the same ids: the space is part of the token that is asked for."""
    spaced, bare = engine.score_tokens([("the dog", "score "), ("the dog", "score")], ["1", "2"])
    assert spaced == engine.score_tokens([("the dog", "score ")], ["1", "2"])[0] != bare


def test_score_tokens_refuses_a_candidate_of_several_tokens(engine: LocalEngine) -> None:
    with pytest.raises(ValueError, match="not one"):
        engine.score_tokens([("the dog", "")], ["1", "score 5"])


def test_loglik_equals_the_sum_of_transformers_log_probabilities(engine: LocalEngine) -> None:
    rng = random.Random(3)
    items = [(sentence(rng, 30), sentence(rng, 12)) for _ in range(9)] + [("the dog", "")]
    for (prompt, response), value in zip(items, engine.loglik(items), strict=True):
        prompt_ids, response_ids = chat.encode_example(engine.tokenizer, prompt, response)
        ids = torch.tensor([prompt_ids + response_ids])
        with torch.inference_mode():
            logps = engine.model(ids).logits[0, :-1].double().log_softmax(-1)
        expected = logps[len(prompt_ids) - 1 :].gather(1, torch.tensor(response_ids)[:, None]).sum()
        assert value == pytest.approx(expected.item(), rel=1e-5)


def test_f28_a_model_is_loaded_once_per_engine(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = local.load_model
    monkeypatch.setattr(local, "load_model", lambda *args: loads.append(args) or load(*args))
    engine = LocalEngine(tiny_model, device="cpu")
    for _ in range(3):
        engine.generate(make_requests()[:2], GREEDY)
    engine.score_tokens([("the dog", "")], ["1"])
    engine.loglik([("the", "dog")])
    assert len(loads) == 1


def test_close_frees_the_model(tiny_model: Path) -> None:
    import weakref

    engine = LocalEngine(tiny_model, device="cpu")
    model = weakref.ref(engine.model)
    engine.generate(make_requests()[:2], WARM)
    engine.close()
    assert model() is None


def test_an_architecture_that_is_no_llama_decodes_by_transformers_forward(tiny_model: Path, tmp_path: Path) -> None:
    """With a sliding window, in which padding between prefix and prompt would count: the prefix is not shared then."""
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, sliding_window=12, initializer_range=0.3, max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=None, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = LocalEngine(tmp_path, batch_size=4, device="cpu")
    assert isinstance(engine.reader, CacheReader)
    requests = make_requests(RUBRIC, num_samples=1)
    for request, samples in zip(requests, engine.generate(requests, GREEDY), strict=True):
        reference = reference_greedy(engine, request.prompt, GREEDY.max_tokens)
        assert samples[0].text == chat.decode(engine.tokenizer, reference)
    assert engine.generate(requests, WARM) == [engine.generate([request], WARM)[0] for request in requests]


def test_a_folder_that_is_no_model_or_holds_other_weights_than_safetensors_is_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"no config\.json"):
        LocalEngine(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(BadInput, match="safetensors"):
        LocalEngine(tmp_path / "pickled")
    with pytest.raises(BadInput, match="no such model folder"):
        LocalEngine(tmp_path / "missing")


def test_code_that_comes_with_a_model_is_not_run(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "with_code")
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError):
        LocalEngine(folder)
    assert not (tmp_path / "ran").exists()


def test_open_engine_opens_what_the_options_name(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = EngineOptions(batch_size=2, dtype="float32", device="cpu")
    engine = open_engine(options, tiny_model)
    assert isinstance(engine, LocalEngine) and engine.batch_size == 2
    options = EngineOptions(name="json:dumps")
    monkeypatch.setattr(json, "dumps", lambda options, folder: (options.name, folder))
    assert open_engine(options, tiny_model) == ("json:dumps", tiny_model)
    with pytest.raises(ValueError, match="'locale'"):
        open_engine(EngineOptions(name="locale"), tiny_model)


def test_draws_follow_the_probabilities_of_the_top_p() -> None:
    """Chi-square against the exact distribution, for a narrow and a wide top-p, with and without the sort."""
    probs = torch.tensor([0.02, 0.4, 0.03, 0.25, 0.2, 0.06, 0.04])
    n = 20000
    u = uniforms([(5, 0)], n)[0]
    for top_p, members in ((1.0, [0, 1, 2, 3, 4, 5, 6]), (0.9, [1, 3, 4, 5]), (0.45, [1, 3]), (0.1, [1])):
        counts = torch.bincount(draw(probs.log().expand(n, -1), 1.0, top_p, u), minlength=7).double()
        expected = torch.zeros(7, dtype=torch.double)
        expected[members] = probs[members].double() / probs[members].sum() * n
        assert counts[expected == 0].sum() == 0
        chi_square = ((counts - expected)[members] ** 2 / expected[members]).sum()
        assert chi_square < 22.5  # 0.999 quantile with 6 degrees of freedom


def test_temperature_sharpens() -> None:
    probs = torch.tensor([0.6, 0.4])
    draws = draw(probs.log().expand(4000, -1), 0.5, 1.0, uniforms([(1, 1)], 4000)[0])
    assert (draws == 0).double().mean() == pytest.approx(0.36 / 0.52, abs=0.03)


def test_streams_are_extended_not_changed_by_more_steps_and_differ_between_samples() -> None:
    short, long = uniforms([(3, 0), (3, 1)], 4), uniforms([(3, 0), (3, 1)], 9)
    assert short.shape == (2, 4, TRIES + 1)
    assert torch.equal(short, long[:, :4])
    assert not torch.equal(short[0], short[1])
    assert (long > 0).all() and (long <= 1).all()
