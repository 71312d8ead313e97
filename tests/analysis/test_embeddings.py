"""Embeddings are the model's own states whatever the batch; mixed groups mix and separate ones do not."""

from pathlib import Path

import numpy as np
import pytest

from selfreward.analysis.embeddings import check_map, directions, embed, overlap, project
from selfreward.errors import BadInput
from selfreward.recipe import EngineOptions

TEXTS = ["the cat sees a dog", "a river", "the big red tree is with the dog and the cat", "word", "the cat runs"]


def test_an_embedding_is_the_mean_of_the_last_states_and_the_batch_does_not_enter(tiny_model: Path) -> None:
    import torch

    from selfreward import chat
    from selfreward.engines.local import load_model

    options = EngineOptions(dtype="float32", device="cpu")
    found = embed(str(tiny_model), TEXTS, options)
    model, tokenizer = load_model(tiny_model, "float32", "cpu", False), chat.load_tokenizer(tiny_model)
    for text, vector in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            states = model(torch.tensor([chat.encode_prompt(tokenizer, text)]), output_hidden_states=True).hidden_states
        np.testing.assert_allclose(vector, states[-1][0].mean(0).numpy(), atol=2e-5)
    alone = embed(str(tiny_model), TEXTS, options.model_copy(update={"batch_size": 1}))
    np.testing.assert_allclose(found, alone, atol=2e-5)


def test_a_text_beyond_the_context_is_read_to_its_end(tiny_model: Path) -> None:
    long, longer = ("the cat " * repeats for repeats in (600, 700))
    found = embed(str(tiny_model), [long, longer], EngineOptions(dtype="float32", device="cpu"))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def clusters(apart: float, num: int = 60) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2 * num, 16)).astype("f4")
    vectors[num:, 0] += apart
    return directions(vectors), ["ift"] * num + ["m2"] * num


def test_groups_that_lie_together_have_a_ratio_of_one_and_those_apart_of_zero() -> None:
    mixed = overlap(*clusters(0))
    assert all(abs(ratio - 1) < 0.2 for ratios in mixed.values() for ratio in ratios.values())
    apart = overlap(*clusters(100))
    assert apart["ift"]["m2"] == apart["m2"]["ift"] == 0
    assert apart["ift"]["ift"] == pytest.approx(119 / 59)  # all neighbours, where 59 of 119 would be expected


def test_a_group_of_one_prompt_has_no_ratio_with_itself() -> None:
    vectors, groups = clusters(0, num=3)
    found = overlap(vectors[:4], groups[:4])
    assert found["m2"]["m2"] is None and found["m2"]["ift"] == 1
    assert overlap(vectors[:1], ["ift"]) == {"ift": {"ift": None}}


def test_the_map_keeps_groups_apart_and_is_the_same_each_time() -> None:
    pytest.importorskip("sklearn")
    vectors, _ = clusters(100, num=20)
    places = project(vectors)
    assert places.shape == (40, 2)
    centres = places[:20].mean(0), places[20:].mean(0)
    spread = max(places[:20].std(), places[20:].std())
    assert np.linalg.norm(centres[0] - centres[1]) > spread
    np.testing.assert_array_equal(project(vectors), places)


def test_a_missing_extra_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfreward.analysis.embeddings.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"needs scikit-learn; pip install 'selfreward\[eval\]'"):
        check_map()
