"""Single-file checkpoints, under the names that Stable Diffusion was trained with."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpu.errors import ModelError
from gpu.models import single_file, stable_diffusion, stable_diffusion_xl
from gpu.models.family import LoadOptions, Row
from gpu.models.load import load
from tests.gpu import original_names

if TYPE_CHECKING:
    from pathlib import Path

    from gpu.models.family import Family
    from gpu.models.single_file import Layout
    from tests.gpu.original_names import Tensors

_NARROW_TEXT = {"num_hidden_layers": 2, "intermediate_size": 32, "vocab_size": 515}


@dataclass(frozen=True)
class Checkpoint:
    """A file, and the diffusers parts whose weights it holds."""

    file: Path
    unet: Any
    vae: Any
    encoders: list[Any]


def narrow(layout: Layout, folder: Path) -> Layout:
    """The shipped configs, narrowed, so that a whole checkpoint is a few megabytes."""
    unet = json.loads((layout.folder / "unet" / "config.json").read_text())
    num_levels = len(unet["block_out_channels"])
    changes: dict[str, dict[str, Any]] = {
        "unet": {
            "block_out_channels": [16] * num_levels,
            "norm_num_groups": 8,
            "attention_head_dim": 2,
        },
        "vae": {"block_out_channels": [8] * 4, "norm_num_groups": 4},
        "text_encoder": _NARROW_TEXT,
        "text_encoder_2": _NARROW_TEXT,
    }
    for source in sorted(layout.folder.rglob("*.json")):
        target = folder / source.relative_to(layout.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        config = json.loads(source.read_text()) | changes.get(source.parent.name, {})
        target.write_text(json.dumps(config))
    return replace(layout, folder=folder)


@pytest.fixture(autouse=True)
def _narrow_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merges = tmp_path / "merges.txt.gz"
    with gzip.open(merges, "wt") as file:
        file.write("#version\nr e")
    monkeypatch.setattr(single_file, "MERGES", merges)
    sd = [narrow(each, tmp_path / each.folder.name) for each in stable_diffusion._LAYOUTS]
    monkeypatch.setattr(stable_diffusion, "_LAYOUTS", sd)
    xl = narrow(stable_diffusion_xl._LAYOUT, tmp_path / "sdxl")
    monkeypatch.setattr(stable_diffusion_xl, "_LAYOUT", xl)


def save_checkpoint(configs: Path, file: Path, channels: int = 4) -> Checkpoint:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    config = {**UNet2DConditionModel.load_config(configs / "unet"), "in_channels": channels}
    unet: Any = UNet2DConditionModel.from_config(config)
    vae: Any = AutoencoderKL.from_config(AutoencoderKL.load_config(configs / "vae"))
    tensors = original_names.unet(unet.state_dict())
    tensors |= original_names.autoencoder(vae.state_dict())
    is_xl = configs.name == "sdxl"
    prefix = "conditioner.embedders.0." if is_xl else "cond_stage_model."
    encoders = [CLIPTextModel(CLIPTextConfig.from_pretrained(configs / "text_encoder"))]
    if configs.name == "sd2":
        tensors |= original_names.open_clip(encoders[0].state_dict(), f"{prefix}model.")
    else:
        tensors |= original_names.clip(encoders[0].state_dict(), prefix)
    if is_xl:
        second = CLIPTextConfig.from_pretrained(configs / "text_encoder_2")
        encoders.append(CLIPTextModelWithProjection(second))
        prefix = "conditioner.embedders.1.model."
        tensors |= original_names.open_clip(encoders[1].state_dict(), prefix)
    _save(tensors, file)
    return Checkpoint(file, unet.eval(), vae.eval(), [each.eval() for each in encoders])


def _save(tensors: Tensors, file: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)


def opened(file: Path) -> Family:
    return load(LoadOptions(file, torch.device("cpu"), torch.float32), lambda _line: None)


@pytest.mark.parametrize(
    ("kind", "channels", "native_px", "width"),
    [("sd1", 4, 512, 768), ("sd1", 9, 512, 768), ("sd2", 4, 768, 1024), ("sdxl", 4, 1024, 2048)],
)
def test_m3_a_single_file_loads_without_network_and_holds_the_same_weights(
    tmp_path: Path, kind: str, channels: int, native_px: int, width: int
) -> None:
    made = save_checkpoint(tmp_path / kind, tmp_path / "dreams.safetensors", channels)

    family = opened(made.file)

    assert (family.name, family.native_px, family.latent_factor) == ("dreams", native_px, 8)
    assert family.fills == (channels == 9)
    words = family.encode_prompt("a red house")
    assert words.tokens.shape == (77, width)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, channels, 16, 16, generator=generator)
    latents, times = inputs[:, :4], torch.tensor([500.0])
    around = inputs[0, 4:] if family.fills else None
    added = None
    if words.pooled is not None:
        times_and_sizes = torch.tensor([[128.0, 128, 0, 0, 128, 128]])
        added = {"text_embeds": words.pooled[None], "time_ids": times_and_sizes}
    with torch.no_grad():
        torch.testing.assert_close(
            family.denoise(latents, times, [Row(words, surroundings=around)]),
            made.unet(inputs, times, words.tokens[None], added_cond_kwargs=added).sample,
            rtol=1e-4,
            atol=1e-5,
        )
        decoded = made.vae.decode(latents / made.vae.config.scaling_factor).sample
    torch.testing.assert_close(family.decode(latents), decoded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_m3_a_single_files_text_encoders_read_as_they_were_trained(
    tmp_path: Path, kind: str
) -> None:
    made = save_checkpoint(tmp_path / kind, tmp_path / "dreams.safetensors")

    words = opened(made.file).encode_prompt("")

    # Nothing but begin, end, and the padding of OpenAI's or OpenCLIP's tokenizer.
    begin, end, mark = 513, 514, 0
    paddings = {"sd1": [end], "sd2": [mark], "sdxl": [end, mark]}[kind]
    with torch.no_grad():
        encoded = [
            encoder(torch.tensor([[begin, end, *[pad] * 75]]), output_hidden_states=True)
            for encoder, pad in zip(made.encoders, paddings, strict=True)
        ]
    states = [each.hidden_states[-2] if kind == "sdxl" else each[0] for each in encoded]
    torch.testing.assert_close(words.tokens, torch.cat(states, -1)[0], rtol=1e-4, atol=1e-5)
    if kind == "sdxl":
        assert words.pooled is not None
        torch.testing.assert_close(words.pooled, encoded[1].text_embeds[0], rtol=1e-4, atol=1e-5)


def test_m3_a_file_of_xl_may_be_marked_as_predicting_v(tmp_path: Path) -> None:
    made = save_checkpoint(tmp_path / "sdxl", tmp_path / "dreams.safetensors")
    assert opened(made.file).scheduler_config["prediction_type"] == "epsilon"
    marks = {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}
    _save(load_file(made.file) | marks, made.file)

    config = opened(made.file).scheduler_config

    assert config["prediction_type"] == "v_prediction"
    assert config["rescale_betas_zero_snr"] is True


def test_m2_a_file_without_its_autoencoder_is_refused(tmp_path: Path) -> None:
    made = save_checkpoint(tmp_path / "sd1", tmp_path / "dreams.safetensors")
    _save(original_names.unet(made.unet.state_dict()), made.file)

    with pytest.raises(ModelError, match="with U-Net, text encoder and autoencoder"):
        opened(made.file)
