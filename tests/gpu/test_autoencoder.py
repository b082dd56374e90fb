"""Pixels to latents and back: scales, shifts, tiles."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from gpu.models import autoencoder
from gpu.models.autoencoder import Autoencoder, autoencoder_dtype
from gpu.models.family import LoadOptions
from gpu.models.parts import Reserve
from tests.gpu import tiny_parts

OPTIONS = LoadOptions(Path(), torch.device("cpu"), torch.float32)


def wrapped(vae: Any, **options: Any) -> Autoencoder:
    chosen = LoadOptions(Path(), torch.device("cpu"), torch.float32, **options)
    return Autoencoder(vae, chosen, Reserve([vae], OPTIONS))


def pixels(side: int) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("settings", "centre", "scale"),
    [
        ({"scaling_factor": 0.5}, [0.0] * 4, [0.5] * 4),
        ({"scaling_factor": 0.5, "shift_factor": 0.25}, [0.25] * 4, [0.5] * 4),
        (
            {"scaling_factor": 0.5, "latents_mean": [1, 2, 3, 4], "latents_std": [1, 2, 4, 8]},
            [1.0, 2.0, 3.0, 4.0],
            [0.5, 0.25, 0.125, 0.0625],
        ),
    ],
)
def test_m10_latents_are_at_the_scale_that_the_config_tells(
    settings: dict[str, Any], centre: list[float], scale: list[float]
) -> None:
    torch.manual_seed(0)
    vae = tiny_parts.autoencoder(4, **settings).eval()
    ours = wrapped(vae)

    encoded = ours.encode(pixels(32), None)

    with torch.no_grad():
        raw = vae.encode(pixels(32)).latent_dist.mode()
        decoded = vae.decode(raw).sample
    shifted = raw - torch.tensor(centre).reshape(1, 4, 1, 1)
    torch.testing.assert_close(encoded, shifted * torch.tensor(scale).reshape(1, 4, 1, 1))
    torch.testing.assert_close(ours.decode(encoded), decoded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("low_vram", [False, True])
def test_m5_only_large_pictures_are_taken_in_tiles(
    monkeypatch: pytest.MonkeyPatch, low_vram: bool
) -> None:
    monkeypatch.setattr(autoencoder, "LOW_VRAM_TILE_PX" if low_vram else "TILE_PX", 64)
    torch.manual_seed(0)
    plain = tiny_parts.autoencoder(4, scaling_factor=1.0).eval()
    tiled = copy.deepcopy(plain)
    tiled.enable_tiling()
    tiled.tile_sample_min_size, tiled.tile_latent_min_size = 64, 8
    ours = wrapped(copy.deepcopy(plain), low_vram=low_vram)

    for side, reference in ((64, plain), (128, tiled)):
        with torch.no_grad():
            encoded = reference.encode(pixels(side)).latent_dist.mode()
            decoded = reference.decode(encoded).sample
        torch.testing.assert_close(ours.encode(pixels(side), None), encoded)
        torch.testing.assert_close(ours.decode(encoded), decoded)
    with torch.no_grad():
        assert not torch.allclose(plain.decode(encoded).sample, decoded)


CPU, CUDA = torch.device("cpu"), torch.device("cuda")
BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


@pytest.mark.parametrize(
    ("device", "asked", "fits_fp16", "expected"),
    [
        (CUDA, BF16, False, BF16),
        (CUDA, FP16, False, FP32),
        (CUDA, FP16, True, FP16),
        (CUDA, FP32, True, FP32),
        (CPU, BF16, True, FP32),
    ],
)
def test_p6_an_autoencoder_computes_in_what_its_numbers_fit_into(
    device: torch.device, asked: torch.dtype, fits_fp16: bool, expected: torch.dtype
) -> None:
    options = LoadOptions(Path(), device, asked)

    assert autoencoder_dtype("AutoencoderKL", options, fits_fp16=fits_fp16) == expected
    assert autoencoder_dtype("AutoencoderTiny", options) == asked
