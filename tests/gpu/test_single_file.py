"""A single-file checkpoint, under the names that Stable Diffusion 1.x was trained with."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gpu.models import stable_diffusion
from gpu.models.family import LoadOptions
from gpu.models.stable_diffusion import load

if TYPE_CHECKING:
    from pathlib import Path

_UNET = [
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
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


def unet_name(name: str) -> str:
    if match := re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        way, block, kind, layer, rest = match.groups()
        per_block, offset = (3, 1) if way == "down" else (3, 0)
        number = per_block * int(block) + int(layer) + offset
        place = "input_blocks" if way == "down" else "output_blocks"
        name = f"{place}.{number}.{0 if kind == 'resnets' else 1}.{rest}"
    elif match := re.match(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.*)", name):
        name = f"input_blocks.{3 * int(match[1]) + 3}.0.op.{match[2]}"
    elif match := re.match(r"up_blocks\.(\d)\.upsamplers\.0\.(.*)", name):
        name = f"output_blocks.{3 * int(match[1]) + 2}.{1 if match[1] == '0' else 2}.{match[2]}"
    elif match := re.match(r"mid_block\.resnets\.(\d)\.(.*)", name):
        name = f"middle_block.{2 * int(match[1])}.{match[2]}"
    for pattern, original in _UNET:
        name = re.sub(pattern, original, name)
    if re.match(r"(input|output|middle)_block", name) and "transformer" not in name:
        for ours, original in _RESNET:
            name = name.replace(f".{ours}.", f".{original}.")
    return "model.diffusion_model." + name


def vae_name(name: str) -> str:
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


def vae_tensor(name: str, tensor: Tensor) -> Tensor:
    """The original's attention is made of 1x1 convolutions."""
    is_matrix = "attn_1" in name and name.endswith("weight") and tensor.ndim == 2
    return tensor[..., None, None] if is_matrix else tensor


def text_name(name: str) -> str:
    prefix = "" if name.startswith("text_model.") else "text_model."
    return "cond_stage_model.transformer." + prefix + name


@pytest.fixture
def small_sd1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configs, narrowed, so that a whole checkpoint is a few megabytes."""
    folder = tmp_path / "sd1"
    changes: dict[str, dict[str, Any]] = {
        "unet": {"block_out_channels": [16] * 4, "norm_num_groups": 8, "attention_head_dim": 2},
        "vae": {"block_out_channels": [8] * 4, "norm_num_groups": 4},
        "text_encoder": {"num_hidden_layers": 1, "intermediate_size": 32, "vocab_size": 515},
    }
    for source in sorted(stable_diffusion._SD1.rglob("*.json")):
        target = folder / source.relative_to(stable_diffusion._SD1)
        target.parent.mkdir(parents=True, exist_ok=True)
        config = json.loads(source.read_text()) | changes.get(source.parent.name, {})
        target.write_text(json.dumps(config))
    (folder / "tokenizer").mkdir()
    with gzip.open(folder / "tokenizer" / "merges.txt.gz", "wt") as file:
        file.write("#version\nr e")
    monkeypatch.setattr(stable_diffusion, "_SD1", folder)
    return folder


def test_m3_a_single_file_loads_without_network_and_holds_the_same_weights(
    small_sd1: Path, tmp_path: Path
) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    unet: Any = UNet2DConditionModel.from_config(
        UNet2DConditionModel.load_config(small_sd1 / "unet")
    )
    vae: Any = AutoencoderKL.from_config(AutoencoderKL.load_config(small_sd1 / "vae"))
    text = CLIPTextModel(CLIPTextConfig.from_pretrained(small_sd1 / "text_encoder"))
    tensors = {unet_name(name): tensor for name, tensor in unet.state_dict().items()}
    for name, tensor in vae.state_dict().items():
        tensors[vae_name(name)] = vae_tensor(vae_name(name), tensor)
    tensors |= {text_name(name): tensor for name, tensor in text.state_dict().items()}
    file = tmp_path / "dreams.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)

    family = load(LoadOptions(file, torch.device("cpu"), torch.float32), lambda _line: None)

    assert (family.name, family.native_px, family.latent_factor) == ("dreams", 512, 8)
    prompt = family.encode_prompt("a red house")
    assert prompt.shape == (77, 768)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([500.0])
    with torch.no_grad():
        torch.testing.assert_close(
            family.denoise(latents, times, prompt[None]),
            unet(latents, times, prompt[None]).sample,
            rtol=1e-4,
            atol=1e-5,
        )
        decoded = vae.decode(latents / 0.18215).sample
    torch.testing.assert_close(family.decode(latents), decoded, rtol=1e-4, atol=1e-5)
