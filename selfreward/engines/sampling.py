"""Drawing a token from logits: temperature, then top-p, from uniforms that belong to one sample alone.

Sample j of a request owns the random stream keyed by (seed, j), and step t of it owns the t-th block of that stream.
No sort of the vocabulary: a token is drawn from all tokens and taken if it lies among the top-p, else drawn once more.
"""

import numpy as np
import torch

TRIES = 4  # draws per step before the vocabulary is sorted after all; at top_p 0.9 one row in ten thousand comes so far


def uniforms(streams: list[tuple[int, int]], num_steps: int) -> torch.Tensor:
    """Uniforms in (0, 1], (rows, steps, TRIES + 1), float32; a row depends on its (seed, sample) alone."""
    draws = np.empty((len(streams), num_steps, TRIES + 1), dtype=np.float32)
    for row, (seed, sample) in enumerate(streams):
        generator = np.random.Generator(np.random.Philox(key=[seed, sample]))
        draws[row] = 1 - generator.random((num_steps, TRIES + 1))  # counter-based: more steps only extend the stream
    return torch.from_numpy(draws)


def draw(logits: torch.Tensor, temperature: float, top_p: float, u: torch.Tensor | None) -> torch.Tensor:
    """One token id per row of logits (rows, vocabulary). `u` is (rows, TRIES + 1); None with temperature 0.

    Tokens exactly as likely as the last of the top-p belong to it.
    """
    if temperature == 0 or u is None:
        return logits.argmax(-1)
    probs = (logits.float() / temperature).softmax(-1)
    cumulative = probs.cumsum(-1)
    candidates = torch.searchsorted(cumulative, u[:, :TRIES] * cumulative[:, -1:])  # (rows, TRIES)
    chosen = candidates[:, 0].clone()
    if top_p >= 1:
        return chosen
    p = probs.gather(1, candidates)
    # A token likelier than 1 - top_p has less than top_p above it: most rows need no look at the rest.
    refused = (p[:, 0] <= 1 - top_p).nonzero()[:, 0]
    for attempt in range(TRIES):
        if attempt:
            chosen[refused] = candidates[refused, attempt]
        rest = probs[refused]
        above = (rest * (rest > p[refused, attempt, None])).sum(-1)
        refused = refused[above >= top_p]
        if not len(refused):
            return chosen
    chosen[refused] = _draw_sorted(probs[refused], top_p, u[refused, TRIES])
    return chosen


def _draw_sorted(probs: torch.Tensor, top_p: float, u: torch.Tensor) -> torch.Tensor:
    """Inverse CDF over the sorted top-p: exact whatever top_p is, and slow."""
    ordered, tokens = probs.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    cumulative = (ordered * (before < top_p)).cumsum(-1)
    return tokens.gather(1, torch.searchsorted(cumulative, u[:, None] * cumulative[:, -1:]))[:, 0]
