"""The numbers of a model's weights: one that is nan or infinite is found before anything is made, wherever it stands."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from selfreward import loop
from selfreward.errors import BadInput
from selfreward.models import weight_files
from selfreward.recipe import Recipe
from selfreward.weights import check_numbers

STRANGE = [float("nan"), float("inf"), -float("inf")]
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def save(file: Path, **tensors: torch.Tensor) -> None:
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("number", STRANGE, ids=str)
def test_one_number_that_is_none_is_found_in_any_type_and_place(
    number: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    for place in (0, 31, 64, 998, 999):
        tensor = torch.linspace(-60000, 60000, 1000).to(dtype)
        tensor[place] = number
        save(tmp_path / "model.safetensors", fine=torch.ones(3), spoiled=tensor.reshape(10, 100))
        with pytest.raises(BadInput, match="1 of its weights hold numbers that are nan or infinite, such as spoiled;"):
            check_numbers(tmp_path)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_largest_numbers_of_a_type_whole_numbers_and_nothing_pass(dtype: torch.dtype, tmp_path: Path) -> None:
    most = torch.finfo(dtype).max
    save(
        tmp_path / "model.safetensors", most=torch.tensor([most, -most, 0.0, -0.0], dtype=dtype),
        none=torch.empty(0, dtype=dtype), whole=torch.tensor([2**31 - 1]), small=torch.zeros(2, dtype=torch.float8_e5m2),
    )  # fmt: skip
    check_numbers(tmp_path)


def test_shards_are_all_read_and_files_that_no_loader_reads_are_not(tmp_path: Path) -> None:
    fine, spoiled = torch.zeros(4), torch.full((4,), float("nan"))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save(tmp_path / "model-1.safetensors", a=fine)
    save(tmp_path / "model-2.safetensors", b=fine)
    save(tmp_path / "left-over.safetensors", c=spoiled)
    assert [file.name for file in weight_files(tmp_path)] == ["model-1.safetensors", "model-2.safetensors"]
    check_numbers(tmp_path)
    save(tmp_path / "model-2.safetensors", b=spoiled)
    with pytest.raises(BadInput, match="such as b"):
        check_numbers(tmp_path)
    save(tmp_path / "model.safetensors", a=fine, b=fine.clone())  # transformers prefers it to shards
    check_numbers(tmp_path)


def test_a_run_that_goes_on_does_not_read_the_weights_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.yaml").touch()
    monkeypatch.setattr(loop, "check_numbers", lambda _: pytest.fail("read"))
    loop.check_model(Recipe(name="x"), tmp_path)
