"""Training steps as CUDA graphs: one launch instead of two thousand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .devices import Device

# Adds the gradients of the loss of some inputs, and says the loss.
Pass = Callable[..., Tensor]
_WARM_UPS: Final = 3


def replayed(run: Pass, parameters: Sequence[nn.Parameter], device: Device) -> Pass:
    """`run`, recorded for each shape of its first input when that first comes. On CPUs as it is.

    What it reads besides its inputs must stay where it is, the gradients too.
    """
    return _Replays(run, parameters) if device.is_cuda else run


def repeated(run: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`run`, after a few times recorded. On CPUs as it is."""
    return _Repeated(run) if device.type == "cuda" else run


class _Repeated:
    def __init__(self, run: Callable[[], None]) -> None:
        self._run, self._num_runs = run, 0
        self._graph = torch.cuda.CUDAGraph()

    def __call__(self) -> None:
        self._num_runs += 1
        if self._num_runs <= _WARM_UPS:
            # What these leave behind, such as an optimiser's state, stays in use.
            self._run()
            return
        if self._num_runs == _WARM_UPS + 1:
            with torch.cuda.graph(self._graph):
                self._run()
        self._graph.replay()


class _Replays:
    def __init__(self, run: Pass, parameters: Sequence[nn.Parameter]) -> None:
        self._run, self._parameters = run, parameters
        self._recorded: dict[torch.Size, _Recording] = {}
        for p in parameters:
            p.grad = torch.zeros_like(p)

    def __call__(self, *inputs: Tensor) -> Tensor:
        shape = inputs[0].shape
        if shape not in self._recorded:
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            before = [gradient.clone() for gradient in gradients]
            self._recorded[shape] = _Recording(self._run, inputs)
            # The first runs were for the memory and the tuning.
            torch._foreach_copy_(gradients, before)
        return self._recorded[shape].replay(inputs)


class _Recording:
    def __init__(self, run: Pass, inputs: Sequence[Tensor]) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                run(*self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=aside):
            self._loss = run(*self._inputs)

    def replay(self, inputs: Sequence[Tensor]) -> Tensor:
        torch._foreach_copy_(self._inputs, list(inputs))
        self._graph.replay()
        return self._loss.clone()
