"""Shared fixtures: a tiny random model with a tokenizer that loses no text, and a run of the smallest recipe."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support_runs import SMALL
from support_tokenizer import CONTROLS, build_tokenizer

# The same examples each time, however busy the machine is.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The tokenizer of `tiny_model`."""
    return build_tokenizer()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Folder of a random Llama (2 layers, d 64, 4 heads on 2 key heads), with `tokenizer`.

    Weights are drawn wide, so that its distributions have peaks, and the end token is likely, so that lengths vary.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        states = model.model(torch.randint(len(CONTROLS), len(tokenizer), (32, 32))).last_hidden_state
        mean = states.mean((0, 1))
        others = model.lm_head(states).logsumexp(-1).mean()
        model.lm_head.weight[tokenizer.eos_token_id] = (others - 3) * mean / (mean @ mean)
    folder = tmp_path_factory.mktemp("tiny_model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def other_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model` with every weight a little off."""
    import torch

    from selfreward.chat import load_tokenizer
    from selfreward.training import trainer

    folder = tmp_path_factory.mktemp("other_model")
    model = trainer.load_model(str(tiny_model))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    load_tokenizer(tiny_model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def micro_tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the micro-world's tokenizer, built from its words."""
    from selfreward.micro import tokenizer

    folder = tmp_path_factory.mktemp("micro") / "tokenizer"
    tokenizer.build(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_m0(tmp_path_factory: pytest.TempPathFactory, micro_tokenizer_folder: Path) -> Path:
    """A random Llama of one layer that can read the micro-world; people stand in for what it would say."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from selfreward.chat import load_tokenizer

    torch.manual_seed(0)
    tokenizer = load_tokenizer(micro_tokenizer_folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny_m0") / "model"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_reward_model(tiny_m0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The body of `tiny_m0` with a random head of one number, which nobody trained."""
    from selfreward.chat import load_tokenizer
    from selfreward.training.reward_model import new_reward_model

    folder = tmp_path_factory.mktemp("tiny_reward_model") / "model"
    new_reward_model(str(tiny_m0), seed=0).save_pretrained(folder)
    load_tokenizer(tiny_m0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, tiny_m0: Path) -> Path:
    """A finished run of two rounds, for what is done with runs; copy it before you change it."""
    from selfreward.loop import run
    from selfreward.progress import QuietProgress
    from selfreward.recipe import load_recipe

    folder = tmp_path_factory.mktemp("small_run") / "run"
    changes = {**SMALL, "model": tiny_m0}
    run(load_recipe("micro-fast", [f"{key}={value}" for key, value in changes.items()]), folder, QuietProgress())
    return folder


@pytest.fixture(scope="session")
def micro_fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `selfreward run micro-fast` was run, with what that printed as printed.txt; for reading alone.

    It takes a minute, so that it is made once, however many processes test.
    """
    from filelock import FileLock
    from typer.testing import CliRunner

    from selfreward.cli import app

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "micro-fast"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "printed.txt").exists():
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                result = CliRunner().invoke(app, ["run", "micro-fast"])
            assert result.exit_code == 0, result.stderr
            (folder / "printed.txt").write_text(result.stdout)
    return folder
