"""M0 as it is shipped: small, plain safetensors, the tokenizer of the code, and a model that has learned to read."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from selfreward import chat
from selfreward.micro import oracle
from selfreward.micro.corpus import TASKS_REQUEST
from selfreward.micro.people import draw_held_out
from selfreward.micro.pretrain import new_model
from selfreward.micro.tasks import draw_instruction, read_instruction
from selfreward.models import resolve_model

MAX_BYTES = 12 * 2**20


@pytest.fixture(scope="module")
def m0() -> Path:
    return Path(resolve_model("micro-m0"))


@pytest.fixture(scope="module")
def engine(m0: Path) -> Any:
    from selfreward.engines.local import LocalEngine

    return LocalEngine(m0, batch_size=64, dtype="float32", device="cpu")


def test_its_folder_is_small_and_holds_no_weights_but_safetensors(m0: Path) -> None:
    files = [path for path in m0.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".jinja", ".md", ".jsonl"}
    assert [path.name for path in files if path.suffix == ".safetensors"] == ["model.safetensors"]


def test_its_tokenizer_is_the_one_that_the_code_builds(m0: Path, micro_tokenizer_folder: Path) -> None:
    for name in ("tokenizer.json",):
        assert json.loads((m0 / name).read_text()) == json.loads((micro_tokenizer_folder / name).read_text())
    shipped, built = chat.load_tokenizer(m0), chat.load_tokenizer(micro_tokenizer_folder)
    assert shipped.chat_template == built.chat_template
    assert shipped.model_max_length == built.model_max_length == 512


def test_its_shape_is_the_one_that_the_code_makes(m0: Path) -> None:
    from transformers import AutoModelForCausalLM

    made, shipped = new_model(len(chat.load_tokenizer(m0))), AutoModelForCausalLM.from_pretrained(m0)
    assert {n: p.shape for n, p in made.named_parameters()} == {n: p.shape for n, p in shipped.named_parameters()}


def test_its_answers_are_far_above_chance(engine: Any) -> None:
    """A bound against a broken file, not a figure: those are in docs/micro-world.md."""
    from selfreward.engines.base import Request, Sampling

    tasks = draw_held_out(64, seed=1, split="dev")
    requests = [Request(text, text, 1, i) for i, (_, text) in enumerate(tasks)]
    answers = engine.generate(requests, Sampling(0.0, 1.0, 24))
    scores = [oracle.score(task, answer[0].text) for (task, _), answer in zip(tasks, answers, strict=True)]
    assert sum(scores) / len(scores) > 3
    assert sum(answer[0].finished for answer in answers) > 60


def test_it_writes_new_instructions_when_it_reads_some(engine: Any) -> None:
    from selfreward.engines.base import Request, Sampling

    rng = Random(0)
    shown = [[draw_instruction(rng)[1] for _ in range(8)] for _ in range(32)]
    prompts = ["\n".join((TASKS_REQUEST, *(f"Task: {text}" for text in texts))) for texts in shown]
    written = engine.generate([Request(str(i), p, 1, i) for i, p in enumerate(prompts)], Sampling(0.6, 0.9, 48))
    texts = [completions[0].text for completions in written]
    assert sum(read_instruction(text) is not None for text in texts) >= 24
    assert sum(text in seen for text, seen in zip(texts, shown, strict=True)) <= 8


def test_its_card_names_what_it_was_made_of(m0: Path) -> None:
    card = (m0 / "README.md").read_text()
    for word in ("tokens", "seed", "loss", "reviews", "-m selfreward.micro.pretrain"):
        assert word in card
