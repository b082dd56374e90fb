"""Folders of tiny ControlNets, as diffusers saves them, for the tiny models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path


def save_control(folder: Path, seed: int, **changes: Any) -> None:
    """For the model that is like the embedded one: without attention, as that one's."""
    from diffusers import ControlNetModel

    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "in_channels": 16,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 2,
        "cross_attention_dim": 32,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "mid_block_type": "UNetMidBlock2D",
        "conditioning_embedding_out_channels": (8, 8, 8, 8, 8),
    }
    enlivened(ControlNetModel(**{**settings, **changes})).save_pretrained(folder)


def save_sd3_control(folder: Path, seed: int, **changes: Any) -> None:
    from diffusers import SD3ControlNetModel

    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "sample_size": 16,
        "in_channels": 16,
        "num_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": 72,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 56,
        "pos_embed_max_size": 16,
    }
    enlivened(SD3ControlNetModel(**{**settings, **changes})).save_pretrained(folder)


def save_flux_control(folder: Path, seed: int, **changes: Any) -> None:
    from diffusers import FluxControlNetModel

    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "in_channels": 64,
        "num_layers": 2,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 32,
        "pooled_projection_dim": 32,
        "axes_dims_rope": (4, 4, 8),
    }
    enlivened(FluxControlNetModel(**{**settings, **changes})).save_pretrained(folder)


def save_z_image_control(folder: Path, seed: int, **changes: Any) -> None:
    from diffusers import ZImageControlNetModel

    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "control_layers_places": [0, 1],
        "control_refiner_layers_places": [0],
        "control_in_dim": 16,
        "dim": 32,
        "n_refiner_layers": 1,
        "n_heads": 2,
        "n_kv_heads": 2,
    }
    enlivened(ZImageControlNetModel(**{**settings, **changes})).save_pretrained(folder)


def enlivened(control: Any) -> Any:
    """What is new in a ControlNet starts at zero and would do nothing."""
    with torch.no_grad():
        for parameter in control.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape) / 4)
    return control
