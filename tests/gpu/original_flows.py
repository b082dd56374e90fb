"""Weights of diffusers' flow-matching transformers under the names that they were trained with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

Names = list[tuple[str, str]]
"""Patterns of diffusers' names, and what each is called; tensors that get one name are stacked."""


def _ways(ours: Sequence[str], theirs: str) -> Names:
    return [(name, theirs) for name in ours]


_BLOCK = r"^transformer_blocks\.(\d+)\."
_QKV = tuple(rf"{_BLOCK}attn\.to_{way}\." for way in "qkv")
_ADDED = tuple(rf"{_BLOCK}attn\.add_{way}_proj\." for way in "qkv")
_SINGLE = r"^single_transformer_blocks\.(\d+)\."
_SD3: Names = [
    (r"^pos_embed\.pos_embed", "pos_embed"),
    (r"^pos_embed\.proj\.", "x_embedder.proj."),
    (r"^time_text_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^time_text_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"^time_text_embed\.text_embedder\.linear_1", "y_embedder.mlp.0"),
    (r"^time_text_embed\.text_embedder\.linear_2", "y_embedder.mlp.2"),
    *_ways(_QKV, r"joint_blocks.\1.x_block.attn.qkv."),
    *_ways(_ADDED, r"joint_blocks.\1.context_block.attn.qkv."),
    (_BLOCK + r"attn\.to_out\.0", r"joint_blocks.\1.x_block.attn.proj"),
    (_BLOCK + r"attn\.to_add_out", r"joint_blocks.\1.context_block.attn.proj"),
    (_BLOCK + r"norm1\.linear", r"joint_blocks.\1.x_block.adaLN_modulation.1"),
    (_BLOCK + r"norm1_context\.linear", r"joint_blocks.\1.context_block.adaLN_modulation.1"),
    (_BLOCK + r"ff\.net\.0\.proj", r"joint_blocks.\1.x_block.mlp.fc1"),
    (_BLOCK + r"ff\.net\.2", r"joint_blocks.\1.x_block.mlp.fc2"),
    (_BLOCK + r"ff_context\.net\.0\.proj", r"joint_blocks.\1.context_block.mlp.fc1"),
    (_BLOCK + r"ff_context\.net\.2", r"joint_blocks.\1.context_block.mlp.fc2"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
]
_FLUX: Names = [
    (r"^time_text_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
    (r"^time_text_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
    (r"^time_text_embed\.text_embedder\.linear_1", "vector_in.in_layer"),
    (r"^time_text_embed\.text_embedder\.linear_2", "vector_in.out_layer"),
    (r"^time_text_embed\.guidance_embedder\.linear_1", "guidance_in.in_layer"),
    (r"^time_text_embed\.guidance_embedder\.linear_2", "guidance_in.out_layer"),
    (r"^context_embedder", "txt_in"),
    (r"^x_embedder", "img_in"),
    *_ways(_QKV, r"double_blocks.\1.img_attn.qkv."),
    *_ways(_ADDED, r"double_blocks.\1.txt_attn.qkv."),
    (_BLOCK + r"attn\.norm_q\.weight", r"double_blocks.\1.img_attn.norm.query_norm.scale"),
    (_BLOCK + r"attn\.norm_k\.weight", r"double_blocks.\1.img_attn.norm.key_norm.scale"),
    (_BLOCK + r"attn\.norm_added_q\.weight", r"double_blocks.\1.txt_attn.norm.query_norm.scale"),
    (_BLOCK + r"attn\.norm_added_k\.weight", r"double_blocks.\1.txt_attn.norm.key_norm.scale"),
    (_BLOCK + r"attn\.to_out\.0", r"double_blocks.\1.img_attn.proj"),
    (_BLOCK + r"attn\.to_add_out", r"double_blocks.\1.txt_attn.proj"),
    (_BLOCK + r"norm1\.linear", r"double_blocks.\1.img_mod.lin"),
    (_BLOCK + r"norm1_context\.linear", r"double_blocks.\1.txt_mod.lin"),
    (_BLOCK + r"ff\.net\.0\.proj", r"double_blocks.\1.img_mlp.0"),
    (_BLOCK + r"ff\.net\.2", r"double_blocks.\1.img_mlp.2"),
    (_BLOCK + r"ff_context\.net\.0\.proj", r"double_blocks.\1.txt_mlp.0"),
    (_BLOCK + r"ff_context\.net\.2", r"double_blocks.\1.txt_mlp.2"),
    *_ways([rf"{_SINGLE}attn\.to_{way}\." for way in "qkv"], r"single_blocks.\1.linear1."),
    (_SINGLE + r"proj_mlp\.", r"single_blocks.\1.linear1."),
    (_SINGLE + r"norm\.linear", r"single_blocks.\1.modulation.lin"),
    (_SINGLE + r"attn\.norm_q\.weight", r"single_blocks.\1.norm.query_norm.scale"),
    (_SINGLE + r"attn\.norm_k\.weight", r"single_blocks.\1.norm.key_norm.scale"),
    (_SINGLE + r"proj_out", r"single_blocks.\1.linear2"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
]


def sd3(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("transformer_blocks"))
    return _renamed(tensors, _SD3, ("norm_out", f"transformer_blocks.{last}.norm1_context"))


def flux(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return _renamed(tensors, _FLUX, ("norm_out",))


def _renamed(
    tensors: Mapping[str, Tensor], names: Names, swapped: tuple[str, ...]
) -> dict[str, Tensor]:
    """`swapped` are modules that make shift and scale in the other order."""
    found: dict[str, list[tuple[int, Tensor]]] = {}
    for name, tensor in tensors.items():
        if name.startswith(swapped):
            tensor = torch.cat(tensor.chunk(2)[::-1])
        order, (ours, theirs) = next(
            (each for each in enumerate(names) if re.match(each[1][0], name)), (0, ("$", ""))
        )
        original = f"model.diffusion_model.{re.sub(ours, theirs, name)}"
        found.setdefault(original, []).append((order, tensor))
    return {
        name: torch.cat([tensor for _, tensor in sorted(parts, key=lambda part: part[0])])
        for name, parts in found.items()
    }
