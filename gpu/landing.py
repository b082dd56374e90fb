"""Tensors on their way to the CPU, while their stream goes on. Knows nothing of what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Landing:
    """Copies that hold what they should once `wait` has returned them."""

    _tensors: tuple[Tensor, ...]
    _landed: Any = None

    def wait(self) -> tuple[Tensor, ...]:
        if self._landed is not None:
            self._landed.synchronize()
        return self._tensors


def land(*tensors: Tensor) -> Landing:
    """Begin to bring tensors to the CPU; they may be let go at once. Those on a CPU stay as they
    are."""
    if not tensors[0].is_cuda:
        return Landing(tensors)
    copies = tuple(
        torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(
            tensor, non_blocking=True
        )
        for tensor in tensors
    )
    return Landing(copies, torch.cuda.current_stream().record_event())
