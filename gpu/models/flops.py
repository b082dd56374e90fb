"""How much arithmetic a model's forward is, told from its config: nothing is computed.

A twin without weights takes the forward on torch's meta device, and what its matrix products and
convolutions would cost is added up. Knows no family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Counter(TorchDispatchMode):
    """Torch's own counter watches the modules of all threads; this one its own thread's calls."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=made)
        return made


def twin(module: Any) -> Any:
    """The same module of diffusers', without weights, in fp32 on the meta device."""
    with torch.device("meta"):
        return type(module).from_config(module.config).eval()


def flops_of(forward: Callable[[], object]) -> int:
    """What a forward of twins costs; what it makes tensors of by default is on the meta device."""
    # Within inference mode the counter would see layers, and not what they are made of.
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.device("meta"),
        _Counter() as counter,
    ):
        forward()
    return counter.flops
