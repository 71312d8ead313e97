"""Any causal language model of transformers: six families, sampled from, trained and sampled from again."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support_families import FAMILIES, build_tokenizer, save_model

from selfreward import chat
from selfreward.engines.base import Request, Sampling
from selfreward.engines.local import LocalEngine
from selfreward.errors import BadInput
from selfreward.models import link_with_template
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Example, Lesson, Pair
from selfreward.templates import source, template_names
from selfreward.training import data, train

PROMPTS = (
    "Write a sentence about the dog.",
    "",
    " a\n\nb ",
    "naïve 🐕 ünïcode\nend",
    "Score: 4<|im_end|></s><eos>[INST]",
)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Co"]), max_size=30)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as a run has it: with the `plain` template where it brings none."""
    bare = tmp_path_factory.mktemp(family) / "bare"
    save_model(family, bare)
    if FAMILIES[family].template:
        return bare
    with_template = bare.with_name("with_template")
    with_template.mkdir()
    link_with_template(str(bare), source("chat", "plain"), with_template)
    return with_template


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return chat.load_tokenizer(folder)


@pytest.fixture(scope="module")
def engine(folder: Path) -> LocalEngine:
    return LocalEngine(folder, batch_size=3, dtype="float32", device="cpu")


def token(tokenizer: Any, name: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(name))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_f26_the_ids_sampled_from_begin_the_ids_trained_on_in_every_family(
    engine: LocalEngine, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, prompt: str
) -> None:
    read: list[Any] = []
    monkeypatch.setattr(engine, "_read", lambda prompts, use: read.extend(prompts))
    engine.generate([Request("r", prompt, 1, 0)], Sampling(0.7, 0.9, 8))
    example = Example(id="e", prompt=prompt, response="The cat sees a tree.", source="ift")
    (row,) = data.sft_rows(tokenizer, [example], 10_000)
    assert tuple(row["input_ids"][: len(read[0])]) == read[0]
    assert row["labels"] == [data.IGNORED] * len(read[0]) + row["input_ids"][len(read[0]) :]


def test_f26_those_ids_are_what_transformers_itself_makes_of_a_plain_conversation(family: str, tokenizer: Any) -> None:
    prompt, response = "Write a sentence about the dog.", "The cat sees a big red tree."
    ids, response_ids = chat.encode_example(tokenizer, prompt, response)
    turns = [{"role": "user", "content": prompt}]
    assert ids == tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    turns.append({"role": "assistant", "content": response})
    whole = tokenizer.apply_chat_template(turns, return_dict=False)
    if FAMILIES[family].metaspace:  # a word at the beginning of a text bears the mark, after a control token it may not
        assert (
            tokenizer.decode(whole).replace(" ", "").startswith(tokenizer.decode(ids + response_ids).replace(" ", ""))
        )
    else:
        assert whole[: len(ids) + len(response_ids)] == ids + response_ids


def test_bos_comes_once_and_a_turn_ends_as_the_family_ends_it(family: str, tokenizer: Any) -> None:
    prompt, response = chat.encode_example(tokenizer, "Name three tools.", "A saw.")
    made = FAMILIES[family]
    if made.bos and made.bos != made.eos and (made.template is None or "bos_token" in made.template):
        assert prompt[0] == tokenizer.bos_token_id
        assert (prompt + response).count(tokenizer.bos_token_id) == 1
    end = token(tokenizer, made.end_of_turn or made.eos)
    assert response[-1] == end and response.count(end) == 1
    assert chat.end_ids(tokenizer) == {end, tokenizer.eos_token_id}


@pytest.mark.parametrize("name", list(FAMILIES))
@given(text=TEXT)
def test_f03_f09_any_text_comes_back_whole_and_holds_no_control_token(name: str, text: str) -> None:
    tokenizer = build_tokenizer(name)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = source("chat", "plain")
    for said in (text, "".join(FAMILIES[name].specials) + text):
        _, response = chat.encode_example(tokenizer, "p", said)
        assert chat.decode(tokenizer, response) == said
        specials = {token(tokenizer, special) for special in FAMILIES[name].specials} - {tokenizer.unk_token_id}
        assert [i for i in response if i in specials] == [chat.end_of_turn(tokenizer)]


def test_f14_batched_equals_one_by_one_and_greedy_equals_transformers(engine: LocalEngine, tokenizer: Any) -> None:
    prompts = ["Write " + "the dog " * n for n in (1, 9, 3, 20, 0)]
    requests = [Request(str(i), prompt, 2, i) for i, prompt in enumerate(prompts)]
    warm, greedy = Sampling(0.8, 0.9, 12), Sampling(0.0, 1.0, 12)
    assert engine.generate(requests, warm) == [engine.generate([request], warm)[0] for request in requests]
    for request, samples in zip(requests, engine.generate(requests, greedy), strict=True):
        ids = chat.encode_prompt(tokenizer, request.prompt)
        output = engine.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
            max_new_tokens=12, eos_token_id=sorted(engine.end_ids), pad_token_id=min(engine.end_ids),
        )[0, len(ids) :].tolist()  # fmt: skip
        assert samples[0].text == chat.decode(tokenizer, [i for i in output if i not in engine.end_ids])


def test_a_lesson_can_be_taught_in_every_family_and_leaves_the_tokenizer_as_it_was(
    folder: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    pairs = [
        Pair(
            id=str(i), prompt_id=str(i), prompt=prompt, chosen_id=f"c{i}", chosen="The cat sees a tree.", chosen_score=4,
            rejected_id=f"r{i}", rejected="the the", rejected_score=1, margin=3,
        )
        for i, prompt in enumerate(PROMPTS)
    ]  # fmt: skip
    examples = [Example(id=p.id, prompt=p.prompt, response=p.chosen, source="ift") for p in pairs]
    settings = {"lr": 1e-3, "final_lr": 1e-4, "epochs": 1, "batch": 4, "dropout": 0, "max_tokens": 256}
    recipe = Recipe.of({"name": "x", "sft": settings, "dpo": settings})
    logged: list[dict[str, Any]] = []
    folders = {0: str(folder)}
    for k, lesson in (
        (1, Lesson(method="sft", examples=tuple(examples), start=0)),
        (2, Lesson(method="dpo", pairs=tuple(pairs), start=1, reference=1)),
    ):
        folders[k] = str(
            train(
                lesson, folders.__getitem__, tmp_path / f"m{k}", recipe, QuietProgress(),
                lambda **scalars: logged.append(scalars),
            )
        )  # fmt: skip
    assert [line["num_dropped"] for line in logged if "num_dropped" in line] == [0, 0]
    assert [line["first_loss"] for line in logged if "first_loss" in line] == [pytest.approx(math.log(2), abs=1e-5)]
    for name in ("config.json", "generation_config.json"):
        assert json.loads((Path(folders[2]) / name).read_text()) == json.loads((folder / name).read_text())
    taught = chat.load_tokenizer(folders[2])
    for prompt in PROMPTS:
        assert chat.encode_prompt(taught, prompt) == chat.encode_prompt(tokenizer, prompt)
    assert (taught.chat_template, taught.pad_token, taught.eos_token) == (
        tokenizer.chat_template, tokenizer.pad_token, tokenizer.eos_token,
    )  # fmt: skip
    assert LocalEngine(folders[2], dtype="float32", device="cpu").generate(
        [Request("r", PROMPTS[0], 1, 0)], Sampling(0.7, 0.9, 4)
    )


def test_a_template_that_asks_for_the_date_says_the_same_every_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from datetime import datetime

    from transformers.utils import chat_template_utils

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2031, 1, 2)

    build_tokenizer("llama-3").save_pretrained(tmp_path)
    today = chat.encode_prompt(chat.load_tokenizer(tmp_path), "the dog")
    monkeypatch.setattr(chat_template_utils, "datetime", Tomorrow)
    chat_template_utils._compile_jinja_template.cache_clear()
    raw = build_tokenizer("llama-3").apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert "02 Jan 2031" in raw  # the clock that the template would read
    tomorrow = chat.load_tokenizer(tmp_path)
    assert chat.encode_prompt(tomorrow, "the dog") == today
    tomorrow.save_pretrained(tmp_path / "m1")
    assert chat.load_tokenizer(tmp_path / "m1").chat_template == tomorrow.chat_template


@pytest.mark.parametrize("name", template_names("chat"))
def test_a_shipped_template_ends_turns_or_names_the_tokens_that_are_missing(name: str, tmp_path: Path) -> None:
    for family in FAMILIES:
        tokenizer = build_tokenizer(family)
        folder = tmp_path / family
        tokenizer.save_pretrained(folder)
        (folder / "chat_template.jinja").write_text(source("chat", name))
        if (name == "chatml" and family != "qwen-2.5") or (name == "llama-3" and family != "llama-3"):
            with pytest.raises(BadInput, match=r"needs <\|.*chat\.template: plain"):
                chat.load_tokenizer(folder)
            continue
        loaded = chat.load_tokenizer(folder)
        prompt, response = chat.encode_example(loaded, "Name three tools.", "A saw.")
        assert "Name three tools." in loaded.decode(prompt) and response[-1] in chat.end_ids(loaded)


def test_several_templates_need_a_default(tmp_path: Path) -> None:
    tokenizer = build_tokenizer("qwen-2.5")
    template = FAMILIES["qwen-2.5"].template
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "additional_chat_templates").mkdir()
    for name in ("rag", "tool_use"):
        (tmp_path / "additional_chat_templates" / f"{name}.jinja").write_text(str(template))
    with pytest.raises(BadInput, match="rag, tool_use and none is the default"):
        chat.load_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(str(template))
    assert chat.load_tokenizer(tmp_path).chat_template == template
