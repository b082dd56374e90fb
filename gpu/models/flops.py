"""How much arithmetic a denoiser's forward is, told from its config: nothing is computed.

A twin without weights takes the forward on torch's meta device, and what its matrix products and
convolutions would cost is added up. Knows no family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKENS = 77


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


def control_cost(unet: Any, control: Any, factor: int) -> float:
    """A ControlNet's forward as a part of its U-Net's, at the U-Net's native size; `factor` is the
    pixels along a side of a latent cell."""
    cells = int(unet.config.sample_size)
    side = cells * factor
    with torch.device("meta"):
        seen = torch.empty(1, 3, side, side)
    return _forward_flops(control, cells, controlnet_cond=seen) / _forward_flops(unet, cells)


def _forward_flops(module: Any, cells: int, **inputs: Any) -> int:
    config = module.config
    with torch.device("meta"):
        twin = type(module).from_config(config).eval()
        inputs["sample"] = torch.empty(1, config.in_channels, cells, cells)
        inputs["timestep"] = torch.empty(1)
        inputs["encoder_hidden_states"] = torch.empty(1, _TOKENS, config.cross_attention_dim)
        if config.get("addition_embed_type") == "text_time":
            taken = (
                config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            )
            sizes = {"text_embeds": torch.empty(1, taken), "time_ids": torch.empty(1, 6)}
            inputs["added_cond_kwargs"] = sizes
    # Within inference mode the counter would see layers, and not what they are made of.
    with torch.inference_mode(False), torch.no_grad(), _Counter() as counter:
        twin(**inputs)
    return counter.flops
