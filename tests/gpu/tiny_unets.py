"""Folders of tiny models of the families with a U-Net, as diffusers' own pipelines save them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from tests.gpu.conftest import EPSILON, V_PREDICTION, save_tokenizer
from tests.gpu.tiny_controls import enlivened

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = 12
EULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}


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


def text_config(width: int = 32, projection: int = 24) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=56,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        projection_dim=projection,
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )


def autoencoder(channels: int, **settings: Any) -> Any:
    """Eight pixels a cell, as all but the embedded model have it."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        **settings,
    )


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


def _save(folder: Path, name: str, unet: Any, scheduler: dict[str, Any], encoders: int) -> None:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    unet.save_pretrained(folder / "unet")
    autoencoder(4).save_pretrained(folder / "vae")
    index: dict[str, Any] = {
        "_class_name": name,
        "_diffusers_version": "0.42.0",
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    classes = (CLIPTextModel, CLIPTextModelWithProjection)
    for cls, end in list(zip(classes, ("", "_2"), strict=True))[:encoders]:
        cls(text_config()).save_pretrained(folder / f"text_encoder{end}")
        save_tokenizer(folder / f"tokenizer{end}", LENGTH)
        index[f"text_encoder{end}"] = ["transformers", cls.__name__]
        index[f"tokenizer{end}"] = ["transformers", "CLIPTokenizer"]
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps(index))
