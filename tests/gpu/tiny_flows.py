"""Folders of tiny models of the flow-matching families, as diffusers' own pipelines save them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tests.gpu.tiny_parts import FLOW, autoencoder, save_pipeline, t5, text_config

if TYPE_CHECKING:
    from pathlib import Path

_DYNAMIC = {**FLOW, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}


def save_sd3(folder: Path, *, has_t5: bool) -> None:
    from diffusers import SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(1)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        in_channels=16,
        num_layers=4,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=72,
        caption_projection_dim=32,
        pooled_projection_dim=56,
        pos_embed_max_size=16,
    )
    parts: dict[str, Any] = {"transformer": transformer, "vae": _autoencoder()}
    for end, config in (("", text_config(32, 32)), ("_2", text_config(40))):
        parts[f"text_encoder{end}"] = CLIPTextModelWithProjection(config)
    # OpenAI's CLIP has none of its own there.
    torch.nn.init.eye_(parts["text_encoder"].text_projection.weight)
    absent = ["image_encoder", "feature_extractor"]
    if has_t5:
        parts["text_encoder_3"] = t5(72)
    else:
        absent += ["text_encoder_3", "tokenizer_3"]
    save_pipeline(folder, "StableDiffusion3Pipeline", parts, {**FLOW, "shift": 3.0}, absent)


def save_flux(folder: Path, *, guided: bool) -> None:
    from diffusers import FluxTransformer2DModel
    from transformers import CLIPTextModel

    torch.manual_seed(2)
    transformer = FluxTransformer2DModel(
        in_channels=64,
        num_layers=3,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )
    parts = {
        "transformer": transformer,
        "vae": _autoencoder(),
        "text_encoder": CLIPTextModel(text_config()),
        "text_encoder_2": t5(32),
    }
    scheduler = _DYNAMIC if guided else {**FLOW, "shift": 1.0}
    save_pipeline(folder, "FluxPipeline", parts, scheduler, ("image_encoder", "feature_extractor"))


def save_z_image(folder: Path) -> None:
    from diffusers import ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(3)
    transformer = ZImageTransformer2DModel(
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=32,
        axes_dims=[4, 4, 8],
        axes_lens=[256, 32, 32],
    )
    with torch.no_grad():
        for token in (transformer.x_pad_token, transformer.cap_pad_token):
            # What fills up is trained; as it is made it may hold anything.
            token.normal_()
    encoder = Qwen3Model(
        Qwen3Config(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=600,
        )
    )
    parts = {"transformer": transformer, "vae": _autoencoder(), "text_encoder": encoder}
    save_pipeline(folder, "ZImagePipeline", parts, {**FLOW, "shift": 3.0})


def _autoencoder() -> Any:
    return autoencoder(
        16,
        scaling_factor=1.5,
        shift_factor=0.06,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
