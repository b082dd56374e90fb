"""Weights of diffusers' classes under the names that Stable Diffusion was trained with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

Tensors = dict[str, "Tensor"]
_UNET = [
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
    (r"^add_embedding\.linear_1\.", "label_emb.0.0."),
    (r"^add_embedding\.linear_2\.", "label_emb.0.2."),
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"^mid_block\.attentions\.0\.", "middle_block.1."),
]
_RESNET = [
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
]
_OPEN_CLIP = [
    (r"^encoder\.layers\.", "transformer.resblocks."),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"layer_norm1", "ln_1"),
    (r"layer_norm2", "ln_2"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"^embeddings\.token_embedding", "token_embedding"),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^final_layer_norm", "ln_final"),
]


def unet(tensors: Mapping[str, Tensor]) -> Tensors:
    attended = {name[: name.index(".a")] for name in tensors if re.match(r"up.*\.attentions", name)}
    return {_unet_name(name, attended): tensor for name, tensor in tensors.items()}


def _unet_name(name: str, attended: Collection[str]) -> str:
    if match := re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        way, block, kind, layer, rest = match.groups()
        number = 3 * int(block) + int(layer) + (way == "down")
        place = "input_blocks" if way == "down" else "output_blocks"
        name = f"{place}.{number}.{0 if kind == 'resnets' else 1}.{rest}"
    elif match := re.match(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.*)", name):
        name = f"input_blocks.{3 * int(match[1]) + 3}.0.op.{match[2]}"
    elif match := re.match(r"(up_blocks\.(\d))\.upsamplers\.0\.(.*)", name):
        name = f"output_blocks.{3 * int(match[2]) + 2}.{1 + (match[1] in attended)}.{match[3]}"
    elif match := re.match(r"mid_block\.resnets\.(\d)\.(.*)", name):
        name = f"middle_block.{2 * int(match[1])}.{match[2]}"
    for pattern, original in _UNET:
        name = re.sub(pattern, original, name)
    if re.match(r"(input|output|middle)_block", name) and "transformer" not in name:
        for ours, original in _RESNET:
            name = name.replace(f".{ours}.", f".{original}.")
    return "model.diffusion_model." + name


def autoencoder(tensors: Mapping[str, Tensor]) -> Tensors:
    named = ((_autoencoder_name(name), tensor) for name, tensor in tensors.items())
    return {name: _as_convolution(name, tensor) for name, tensor in named}


def _autoencoder_name(name: str) -> str:
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", name
    )
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1")
    for ours, original in (
        ("group_norm", "norm"),
        ("to_q", "q"),
        ("to_k", "k"),
        ("to_v", "v"),
        ("to_out.0", "proj_out"),
    ):
        name = name.replace(f"attn_1.{ours}.", f"attn_1.{original}.")
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    return "first_stage_model." + name


def _as_convolution(name: str, tensor: Tensor) -> Tensor:
    """The original's attention is made of 1x1 convolutions."""
    is_matrix = "attn_1" in name and name.endswith("weight") and tensor.ndim == 2
    return tensor[..., None, None] if is_matrix else tensor


def clip(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """OpenAI's, as transformers names it."""
    return {
        f"{prefix}transformer.text_model.{name.removeprefix('text_model.')}": tensor
        for name, tensor in tensors.items()
    }


def open_clip(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """OpenCLIP's, which has queries, keys and values in one matrix."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("text_model.")
        if name == "text_projection.weight":
            found["text_projection"] = tensor.t()
        elif match := re.match(r"(encoder\.layers\.\d+\.self_attn)\.q_proj\.(.*)", name):
            parts = [
                value
                for letter in "qkv"
                for other, value in tensors.items()
                if other.endswith(f"{match[1]}.{letter}_proj.{match[2]}")
            ]
            place = match[1].replace("encoder.layers", "transformer.resblocks")
            place = place.replace("self_attn", "attn")
            found[f"{place}.in_proj_{match[2]}"] = torch.cat(parts)
        elif not re.search(r"\.[kv]_proj\.", name):
            for ours, original in _OPEN_CLIP:
                name = re.sub(ours, original, name)
            found[name] = tensor
    return {prefix + name: tensor for name, tensor in found.items()}
