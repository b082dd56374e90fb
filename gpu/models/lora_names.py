"""Modules under the names that their authors trained them with, told in diffusers' names.

Trainers such as kohya-ss's write a LoRA for the model as it was published, where one matrix makes
queries, keys and values; diffusers has them apart. Names are flat here: underscores for dots.
"""

from __future__ import annotations

import re

_QKV = ("attn_to_q", "attn_to_k", "attn_to_v")
_ADDED_QKV = ("attn_add_q_proj", "attn_add_k_proj", "attn_add_v_proj")
_FLUX_DOUBLE = {
    "img_attn_qkv": _QKV,
    "img_attn_proj": ("attn_to_out_0",),
    "img_mlp_0": ("ff_net_0_proj",),
    "img_mlp_2": ("ff_net_2",),
    "img_mod_lin": ("norm1_linear",),
    "txt_attn_qkv": _ADDED_QKV,
    "txt_attn_proj": ("attn_to_add_out",),
    "txt_mlp_0": ("ff_context_net_0_proj",),
    "txt_mlp_2": ("ff_context_net_2",),
    "txt_mod_lin": ("norm1_context_linear",),
}
_FLUX_SINGLE = {
    "linear1": (*_QKV, "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation_lin": ("norm_linear",),
}
_SD3_JOINT = {
    "x_block_attn_qkv": _QKV,
    "x_block_attn_proj": ("attn_to_out_0",),
    "x_block_mlp_fc1": ("ff_net_0_proj",),
    "x_block_mlp_fc2": ("ff_net_2",),
    "x_block_adaLN_modulation_1": ("norm1_linear",),
    "context_block_attn_qkv": _ADDED_QKV,
    "context_block_attn_proj": ("attn_to_add_out",),
    "context_block_mlp_fc1": ("ff_context_net_0_proj",),
    "context_block_mlp_fc2": ("ff_context_net_2",),
}
_Z_IMAGE = {
    "attention_qkv": ("attention_to_q", "attention_to_k", "attention_to_v"),
    "attention_out": ("attention_to_out_0",),
}
_BLOCKS = {
    "double_blocks": ("transformer_blocks", _FLUX_DOUBLE),
    "single_blocks": ("single_transformer_blocks", _FLUX_SINGLE),
    "joint_blocks": ("transformer_blocks", _SD3_JOINT),
    "layers": ("layers", _Z_IMAGE),
}


def of_transformer(name: str) -> tuple[str, ...]:
    """The modules that share one matrix of a transformer as it was published, in the order in
    which their outputs lie in it; none if the name is unknown."""
    match = re.fullmatch(r"(double_blocks|single_blocks|joint_blocks|layers)_(\d+)_(.+)", name)
    if match is None:
        return ()
    kind, number, rest = match.groups()
    blocks, names = _BLOCKS[kind]
    return tuple(f"{blocks}_{number}_{part}" for part in names.get(rest, ()))


def of_unet(name: str) -> str:
    """Stable Diffusion XL's attention: three places a level, of which the first two hold it."""
    match = re.match(r"(input|output)_blocks_(\d+)_1_(.*)", name)
    if match is None:
        return name.replace("middle_block_1_", "mid_block_attentions_0_")
    way, number, rest = match.groups()
    level, layer = divmod(int(number) - (way == "input"), 3)
    return f"{'down' if way == 'input' else 'up'}_blocks_{level}_attentions_{layer}_{rest}"
