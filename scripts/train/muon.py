"""Muon for matrices, AdamW for everything else, behind one learning rate.

Muon (https://kellerjordan.github.io/posts/muon/) replaces the momentum of each matrix by the
nearest orthogonal matrix, found by a few Newton-Schulz iterations. Convolutions count as
matrices of (out, in * height * width).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_MOMENTUM: Final = 0.95


@torch.no_grad()
def orthogonalise(matrices: Tensor, iterations: int = 4) -> Tensor:
    """Singular values of (batch, rows, columns) pushed to about 1; float32 of that shape."""
    a, b, c = _COEFFICIENTS
    x = matrices.bfloat16()
    is_tall = x.size(-2) > x.size(-1)
    if is_tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if is_tall else x).float()


class Muon:
    """Momentum, orthogonalised. Matrices of one shape are handled in one batch."""

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float = 0.01) -> None:
        self.momenta = {p: torch.zeros_like(p) for p in parameters}
        self._weight_decay = weight_decay
        self._by_shape: dict[tuple[int, int], list[nn.Parameter]] = {}
        for p in self.momenta:
            self._by_shape.setdefault((p.shape[0], p[0].numel()), []).append(p)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for (rows, columns), parameters in self._by_shape.items():
            updates = orthogonalise(torch.stack([self._push(p) for p in parameters]))
            # Keeps the update's root mean square at 0.2, as AdamW's about is, for every shape.
            scale = 0.2 * max(rows, columns) ** 0.5 * learning_rate
            for p, update in zip(parameters, updates, strict=True):
                p.mul_(1.0 - learning_rate * self._weight_decay)
                p.add_(update.reshape(p.shape), alpha=-scale)

    def _push(self, p: nn.Parameter) -> Tensor:
        """Adds the gradient to the momentum; the Nesterov look-ahead as (rows, columns)."""
        assert p.grad is not None
        momentum = self.momenta[p]
        momentum.lerp_(p.grad, 1.0 - _MOMENTUM)
        return p.grad.lerp(momentum, _MOMENTUM).reshape(p.shape[0], -1)


class Optimiser:
    """Muon and AdamW over one model: `step` clips, updates both and clears the gradients."""

    def __init__(
        self, model: nn.Module, excluded: tuple[str, ...], adam_ratio: float = 0.6
    ) -> None:
        """Matrices whose names contain one of `excluded` (embeddings, first, last) go to AdamW."""
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        matrices = [p for n, p in named if p.ndim >= 2 and not any(e in n for e in excluded)]
        rest = set(map(id, matrices))
        others = [p for _, p in named if id(p) not in rest]
        self._parameters = [p for _, p in named]
        self._adam_ratio = adam_ratio
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(others, lr=1.0, betas=(0.9, 0.98), weight_decay=0.01)

    def step(self, learning_rate: float) -> float:
        """One update; the gradient's norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = learning_rate * self._adam_ratio
        self.muon.step(learning_rate)
        self.adam.step()
        for p in self._parameters:
            p.grad = None
        return float(norm)

    def state_dict(self) -> dict[str, object]:
        return {"momenta": list(self.muon.momenta.values()), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        momenta = state["momenta"]
        assert isinstance(momenta, list)
        for own, saved in zip(self.muon.momenta.values(), momenta, strict=True):
            own.copy_(saved)
        self.adam.load_state_dict(state["adam"])  # type: ignore[arg-type]


class Average:
    """An exponential moving average of a model's parameters, quick to start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        self._decay = decay
        self.values = {n: p.detach().clone() for n, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        weight = 1.0 - min(self._decay, (step + 1) / (step + 15))
        own = list(self.values.values())
        torch._foreach_lerp_(own, [p.detach() for p in self._parameters.values()], weight)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the averaged and the trained parameters; a second call undoes it."""
        for name, p in self._parameters.items():
            trained = p.detach().clone()
            p.copy_(self.values[name])
            self.values[name].copy_(trained)
