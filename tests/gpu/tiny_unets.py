"""Folders of tiny models of the families with a U-Net, as diffusers' own pipelines save them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from tests.gpu.tiny_controls import enlivened
from tests.gpu.tiny_parts import (
    EPSILON,
    EULER,
    V_PREDICTION,
    autoencoder,
    save_pipeline,
    text_config,
)

if TYPE_CHECKING:
    from pathlib import Path

_ABSENT = ("safety_checker", "feature_extractor")


def save_like_embedded(folder: Path) -> None:
    """16 pixels a cell, 16 channels, v-prediction, zero-terminal SNR."""
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    vae: Any = AutoencoderTiny(
        latent_channels=16,
        encoder_block_out_channels=(8, 8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1, 1),
    )
    told = {"addition_embed_type": "text", "addition_embed_type_num_heads": 4}
    _save_small(folder, vae, V_PREDICTION, sample_size=8, channels=16, **told)


def save_like_sd1(folder: Path) -> None:
    """Four pixels a cell, 4 channels, predicts noise; its autoencoder has a posterior."""
    torch.manual_seed(0)
    _save_small(folder, autoencoder(4, num_levels=3), EPSILON, sample_size=16, channels=4)


def _save_small(
    folder: Path, vae: Any, scheduler: dict[str, Any], *, channels: int, **settings: Any
) -> None:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=2,
        cross_attention_dim=32,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **settings,
    )
    encoder = CLIPTextModel(text_config(num_layers=2))
    parts = {"unet": unet, "vae": vae, "text_encoder": encoder}
    save_pipeline(folder, "StableDiffusionPipeline", parts, scheduler, _ABSENT)


def save_sd(folder: Path, *, seed: int, v_prediction: bool, fills: bool = False) -> None:
    """Like Stable Diffusion 2.x: heads by level, linear projections."""
    torch.manual_seed(seed)
    unet = _unet(9 if fills else 4, text_width=32)
    _save(folder, "StableDiffusionPipeline", unet, V_PREDICTION if v_prediction else EPSILON, 1)


def save_sdxl(folder: Path, *, seed: int, fills: bool = False, consistency: bool = False) -> None:
    """Like Stable Diffusion XL, or an LCM of it, which takes guidance as an input."""
    torch.manual_seed(seed)
    unet = _unet(
        9 if fills else 4,
        text_width=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        layers_per_block=2,
        projection_class_embeddings_input_dim=8 * 6 + 24,
        time_cond_proj_dim=16 if consistency else None,
    )
    _save(folder, "StableDiffusionXLPipeline", unet, EULER, 2)


def save_xl_extras(folder: Path) -> None:
    """An adapter under kohya-ss's names, one under PEFT's, and a control."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    (folder / "loras").mkdir()
    stem = "input_blocks_1_1_transformer_blocks_0_attn1_to_q"
    kohya = _branch(f"lora_unet_{stem}", "lora_down", "lora_up", 16)
    kohya |= _branch("lora_unet_middle_block_1_proj_in", "lora_down", "lora_up", 32)
    kohya |= _branch("lora_te2_text_model_encoder_layers_0_mlp_fc1", "lora_down", "lora_up", 32, 64)
    alphas = {f"{name.split('.')[0]}.alpha": torch.tensor(2.0) for name in kohya}
    save_file(kohya | alphas, folder / "loras" / "kohya.safetensors")
    query = "text_model.encoder.layers.1.self_attn.q_proj"
    peft = _branch(f"text_encoder.{query}", "lora_A", "lora_B", 32)
    peft |= _branch(f"text_encoder_2.{query}", "lora_A", "lora_B", 32)
    peft |= _branch("unet.up_blocks.0.attentions.1.proj_out", "lora_A", "lora_B", 32)
    save_file(peft, folder / "loras" / "peft.safetensors")
    torch.manual_seed(5)
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet")
    enlivened(ControlNetModel.from_unet(unet)).save_pretrained(folder / "controlnet")


def _branch(stem: str, down: str, up: str, taken: int, given: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(taken + len(stem))
    return {
        f"{stem}.{down}.weight": torch.randn(4, taken, generator=generator) / taken**0.5,
        f"{stem}.{up}.weight": torch.randn(given or taken, 4, generator=generator) / 2,
    }


def _unet(in_channels: int, *, text_width: int, **settings: Any) -> Any:
    from diffusers import UNet2DConditionModel

    usual: dict[str, Any] = {
        "sample_size": 16,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": (2, 4),
        "use_linear_projection": True,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    }
    return UNet2DConditionModel(
        in_channels=in_channels, cross_attention_dim=text_width, **{**usual, **settings}
    )


def _save(folder: Path, name: str, unet: Any, scheduler: dict[str, Any], num_encoders: int) -> None:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    parts: dict[str, Any] = {"unet": unet, "vae": autoencoder(4)}
    encoders = (("text_encoder", CLIPTextModel), ("text_encoder_2", CLIPTextModelWithProjection))
    parts |= {part: cls(text_config()) for part, cls in encoders[:num_encoders]}
    save_pipeline(folder, name, parts, scheduler, _ABSENT)
