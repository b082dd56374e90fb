"""Muon for matrices, AdamW for everything else, behind one learning rate.

Muon (https://kellerjordan.github.io/posts/muon/) replaces the momentum of each matrix by the
nearest orthogonal matrix, found by a few Newton-Schulz iterations. Convolutions count as
matrices of (out, in * height * width).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from .replays import repeated

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
        self._by_shape: dict[tuple[int, int], list[int]] = {}
        for i, p in enumerate(self.momenta):
            self._by_shape.setdefault((p.shape[0], p[0].numel()), []).append(i)

    @torch.no_grad()
    def step(self, learning_rate: Tensor | float) -> None:
        parameters: list[Tensor] = [*self.momenta]
        momenta = [*self.momenta.values()]
        gradients = [p.grad for p in parameters if p.grad is not None]
        assert len(gradients) == len(parameters)
        torch._foreach_lerp_(momenta, gradients, 1.0 - _MOMENTUM)
        # Nesterov's look-ahead.
        pushes = torch._foreach_lerp(gradients, momenta, _MOMENTUM)
        torch._foreach_mul_(parameters, 1.0 - learning_rate * self._weight_decay)
        for (rows, columns), alike in self._by_shape.items():
            updates = orthogonalise(torch.stack([pushes[i].reshape(rows, columns) for i in alike]))
            # Keeps the update's root mean square at 0.2, as AdamW's about is, for every shape.
            updates *= -0.2 * max(rows, columns) ** 0.5 * learning_rate
            for i, update in zip(alike, updates, strict=True):
                parameters[i].add_(update.view(parameters[i].shape))


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
        device = self._parameters[0].device
        # Tensors, so that a recorded step finds new ones there.
        self._rate, self._adam_rate = torch.zeros(2, device=device).unbind()
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(
            others,
            lr=self._adam_rate,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            capturable=device.type == "cuda",
        )
        self._update = repeated(self._step, device)

    def step(self, learning_rate: float) -> None:
        self._rate.fill_(learning_rate)
        self._adam_rate.fill_(learning_rate * self._adam_ratio)
        self._update()

    def _step(self) -> None:
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.muon.step(self._rate)
        self.adam.step()
        # Zeroed where they are, since a recorded pass adds to them there.
        torch._foreach_zero_([p.grad for p in self._parameters if p.grad is not None])

    def state_dict(self) -> dict[str, object]:
        return {"momenta": list(self.muon.momenta.values()), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        momenta = state["momenta"]
        assert isinstance(momenta, list)
        for own, saved in zip(self.muon.momenta.values(), momenta, strict=True):
            own.copy_(saved)
        self.adam.load_state_dict(state["adam"])  # type: ignore[arg-type]
        for group in self.adam.param_groups:
            group["lr"] = self._adam_rate


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
