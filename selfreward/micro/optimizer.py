"""Muon for the hidden matrices and AdamW for the rest, in one object whose state is a flat dict of tensors.

Muon (K. Jordan et al., 2024) orthogonalises the momentum of every matrix by Newton-Schulz steps. PyTorch's own
version takes these steps in bfloat16, which processors without bfloat16 units emulate at a hundredth of the speed;
here they are float32, and matrices of one shape are orthogonalised together.
"""

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: (count, rows, columns) in, the same shape out."""
    a, b, c = _QUINTIC
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def gradient(p: torch.nn.Parameter) -> Tensor:
    """The gradient of a parameter that has one."""
    assert p.grad is not None
    return p.grad


class MuonAdamW:
    """`step` updates all parameters with the base learning rates times `scale`, and clears their gradients.

    `decay` is the decoupled weight decay of the hidden matrices; as in PyTorch's Muon a step shrinks them by lr * decay.
    """

    def __init__(self, model: torch.nn.Module, muon_lr: float, adam_lr: float) -> None:
        self.muon_lr, self.muon_momentum = muon_lr, 0.95
        named = dict(model.named_parameters())
        hidden = {name: p for name, p in named.items() if p.ndim == 2 and "embed" not in name and "lm_head" not in name}
        shapes = sorted({tuple(p.shape) for p in hidden.values()})
        self.groups = [[(name, p) for name, p in hidden.items() if tuple(p.shape) == shape] for shape in shapes]
        self.momenta = {name: torch.zeros_like(p) for name, p in hidden.items()}
        self.rest = {name: p for name, p in named.items() if name not in hidden}
        self.adam_lr = adam_lr
        self.adam = torch.optim.AdamW(self.rest.values(), lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0)

    @torch.no_grad()
    def step(self, scale: float, decay: float = 0.0) -> None:
        for group in self.groups:
            for name, p in group:
                self.momenta[name].lerp_(gradient(p), 1 - self.muon_momentum)
            nesterov = torch.stack(
                [torch.lerp(gradient(p), self.momenta[name], self.muon_momentum) for name, p in group]
            )
            updates = orthogonalise(nesterov)
            factor = max(1.0, updates.size(-2) / updates.size(-1)) ** 0.5
            for (_, p), update in zip(group, updates, strict=True):
                p.mul_(1 - scale * self.muon_lr * decay).sub_(update, alpha=scale * self.muon_lr * factor)
                p.grad = None
        for parameters in self.adam.param_groups:
            parameters["lr"] = scale * self.adam_lr
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Everything the optimizer remembers."""
        flat = {f"muon.{name}": momentum for name, momentum in self.momenta.items()}
        for name, p in self.rest.items():
            flat |= {f"adam.{key}.{name}": value for key, value in self.adam.state[p].items()}
        return flat

    def load(self, flat: dict[str, Tensor]) -> None:
        """Take over what `state` returned."""
        for name in self.momenta:
            self.momenta[name].copy_(flat[f"muon.{name}"])
        for name, p in self.rest.items():
            self.adam.state[p] = {key: flat[f"adam.{key}.{name}"].clone() for key in ("step", "exp_avg", "exp_avg_sq")}
