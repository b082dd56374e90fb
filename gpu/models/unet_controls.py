"""ControlNets of the families with a U-Net: which fit, how one is read, and its forward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gpu.errors import ModelError
from gpu.models.controls import require
from gpu.models.family import ControlNet
from gpu.models.flops import flops_of, twin
from gpu.models.parts import load_part, weight_bytes
from gpu.models.quantised import quantise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpu.models.controls import Steered
    from gpu.models.family import LoadOptions, Report

_ALIKE = ("cross_attention_dim", "block_out_channels", "layers_per_block")
_UNSAID = {"conditioning_channels": 3, "global_pool_conditions": False}
_TOKENS = 77


def check_control(path: Path, config: Mapping[str, Any], unet: Any, factor: int) -> None:
    """Raise ModelError unless the control was made for U-Nets like this one; `factor` is the
    pixels along a side of a latent cell."""
    wanted: dict[str, tuple[Any, ...]] = {"_class_name": ("ControlNetModel",)}
    wanted["in_channels"] = (unet.config.out_channels,)
    wanted |= {name: (unet.config.get(name),) for name in _ALIKE}
    wanted |= {name: (value,) for name, value in _UNSAID.items()}
    require(path, config, wanted, _UNSAID)
    channels = config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)
    stride = 2 ** (len(channels) - 1)
    if stride != factor:
        raise ModelError(
            f"{path}: expected it to shrink its picture {factor} times as this model's "
            f"latents, got {stride} times"
        )


def load_control(folder: Path, unet: Any, options: LoadOptions, report: Report) -> ControlNet:
    """Read a control; raises ModelError."""
    from diffusers import ControlNetModel

    module = load_part(ControlNetModel, folder, options.dtype)
    module = module.to(options.device, memory_format=torch.channels_last).eval()
    quantise([module], options, report)
    num_bytes = weight_bytes([module])
    # The picture is the same in all steps: it is embedded before the first.
    embed = module.controlnet_cond_embedding
    module.controlnet_cond_embedding = nn.Identity()
    takes_bgr = module.config.controlnet_conditioning_channel_order == "bgr"
    module.register_to_config(controlnet_conditioning_channel_order="rgb")

    def see(pixels: Tensor, _generator: torch.Generator | None) -> Tensor:
        ordered = pixels.flip(1) if takes_bgr else pixels
        embedded: Tensor = embed(ordered.to(options.dtype, memory_format=torch.channels_last))
        return embedded

    return ControlNet(module, see, control_cost(unet, module), num_bytes)


def control_parts(steered: Steered, inputs: Mapping[str, Any]) -> list[Tensor]:
    """What a control adds to the U-Net's skip connections, and last to its middle; `inputs` are
    what the U-Net is given, latents without a hole."""
    told = inputs["added_cond_kwargs"]
    down, middle = steered.module(
        inputs["sample"][steered.index],
        inputs["timestep"][steered.index],
        encoder_hidden_states=inputs["encoder_hidden_states"][steered.index],
        controlnet_cond=steered.seen,
        conditioning_scale=steered.strengths.reshape(-1, 1, 1, 1),
        added_cond_kwargs=told and {name: value[steered.index] for name, value in told.items()},
        return_dict=False,
    )
    return [*down, middle]


def control_cost(unet: Any, control: Any) -> float:
    """What a control that is shown embedded pictures adds to a step at the U-Net's native size,
    as a part of one without."""
    steering = twin(control)
    steering.controlnet_cond_embedding = nn.Identity()
    cells = int(unet.config.sample_size)

    def steered() -> object:
        seen = torch.empty(1, control.config.block_out_channels[0], cells, cells)
        return steering(**_inputs(control.config, cells), controlnet_cond=seen)

    plain = twin(unet)
    return flops_of(steered) / flops_of(lambda: plain(**_inputs(unet.config, cells)))


def _inputs(config: Any, cells: int) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "sample": torch.empty(1, config.in_channels, cells, cells),
        "timestep": torch.empty(1),
        "encoder_hidden_states": torch.empty(1, _TOKENS, config.cross_attention_dim),
    }
    if config.get("addition_embed_type") == "text_time":
        taken = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        sizes = {"text_embeds": torch.empty(1, taken), "time_ids": torch.empty(1, 6)}
        inputs["added_cond_kwargs"] = sizes
    return inputs
