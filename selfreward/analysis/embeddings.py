"""Where prompts lie among one another: a model's own states of them, a map in two dimensions, and how far groups mix.

An embedding is the mean of the last hidden states over a prompt's tokens, the prompt as the model reads it. In the paper's map
the prompts that models wrote lie among those of the IFT seed, and the EFT seed lies apart (section 3.2).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfreward.errors import BadInput
from selfreward.memory import halved, with_less
from selfreward.recipe import EngineOptions

NUM_NEIGHBOURS = 10
_MAX_COMPONENTS = 50  # of the principal components that t-SNE is given: more cost time and add noise


def check_map() -> None:
    """BadInput where scikit-learn, which draws the map, is not installed."""
    if find_spec("sklearn") is None:
        todo = "pip install 'selfreward[eval]', or leave embeddings out with --texts-only"
        raise BadInput("a map of prompts needs scikit-learn", todo=todo)


def embed(model_folder: str, texts: Sequence[str], options: EngineOptions) -> NDArray[np.float32]:
    """The embedding of each text: (texts, width). Texts beyond the model's context are read to its end."""
    import torch

    from selfreward import chat
    from selfreward.engines.local import load_model

    local = options if options.name == "local" else EngineOptions()
    model = load_model(model_folder, local.dtype, local.device, options.trust_remote_code)
    tokenizer = chat.load_tokenizer(model_folder, options.trust_remote_code)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31
    ids = [chat.encode_prompt(tokenizer, text)[:context] for text in texts]
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    found = np.zeros((len(ids), model.config.get_text_config().hidden_size), dtype=np.float32)

    @torch.inference_mode()
    def states(remaining: Sequence[int], size: int) -> NDArray[np.float32]:
        some = [ids[i] for i in remaining[:size]]
        width = len(some[0])
        tokens = torch.tensor([one + [0] * (width - len(one)) for one in some], device=model.device)
        mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in some], device=model.device)
        hidden = model.base_model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state.float()
        return ((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).cpu().numpy()

    size = local.batch_size
    while order:
        made, size = with_less(partial(states, order), size, halved, "embeddings")
        found[order[:size]] = made
        order = order[size:]
    return found


def directions(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embeddings (n, width) less their mean, each of length 1: what all prompts share says nothing about any."""
    centred = embeddings - embeddings.mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def project(vectors: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """The t-SNE map (van der Maaten and Hinton 2008) of vectors (n, width): (n, 2), all zeros for fewer than four."""
    if len(vectors) < 4:
        return np.zeros((len(vectors), 2), dtype=np.float32)
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    components = min(_MAX_COMPONENTS, *vectors.shape)
    reduced = PCA(components, random_state=seed).fit_transform(vectors)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced))


def overlap(vectors: NDArray[np.float32], groups: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """How often a prompt of one group has neighbours in another: `{group: {other: ratio}}`.

    The share of its NUM_NEIGHBOURS nearest (by direction) that belong to the other, over the share that it would be if
    groups did not matter: 1 is mixed, 0 apart. None for a group of one prompt with itself.
    """
    names = list(dict.fromkeys(groups))
    labels = np.array([names.index(group) for group in groups])
    counts = np.bincount(labels, minlength=len(names))
    num = min(NUM_NEIGHBOURS, len(vectors) - 1)
    shares = np.zeros((len(names), len(names)))
    for start in range(0, len(vectors), 1024) if num > 0 else ():
        rows = np.arange(start, min(start + 1024, len(vectors)))
        near = vectors[rows] @ vectors.T
        near[np.arange(len(rows)), rows] = -np.inf
        nearest = labels[np.argpartition(-near, num - 1, axis=1)[:, :num]]
        for row, found in zip(rows, nearest, strict=True):
            shares[labels[row]] += np.bincount(found, minlength=len(names)) / num
    ratios: dict[str, dict[str, Any]] = {}
    for a, name in enumerate(names):
        expected = (counts - (np.arange(len(names)) == a)) / max(1, len(vectors) - 1)
        ratios[name] = {
            other: float(shares[a, b] / counts[a] / expected[b]) if expected[b] > 0 else None
            for b, other in enumerate(names)
        }
    return ratios
