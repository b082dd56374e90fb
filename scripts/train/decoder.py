"""A last polish of the autoencoder's decoder alone.

The encoder stays as it is, and with it the latents: UNet, adapters and ControlNet need not know.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, cast

import torch
from diffusers import AutoencoderTiny

from .autoencoder import Crops, reconstruction_loss
from .devices import Device, Progress, seed_everything
from .muon import Average, Optimiser
from .runs import resume_run, save_run

if TYPE_CHECKING:
    from pathlib import Path

_LEARNING_RATE: Final = 1.2e-3
_SHARPNESS: Final = 0.5
# Sampled latents are never quite what an encoder makes.
_LATENT_NOISE: Final = 0.06


def train_decoder(folder: Path, device: Device, seed: int, num_steps: int) -> AutoencoderTiny:
    """Trains the decoder of `folder`/vae on; resumes."""
    seed_everything(seed)
    model = cast("AutoencoderTiny", AutoencoderTiny.from_pretrained(folder / "vae"))
    model.to(device.name, memory_format=torch.channels_last)
    model.encoder.requires_grad_(False)
    optimiser = Optimiser(model, ("decoder.layers.19.",), adam_ratio=0.25)
    average = Average(model, 0.99)
    path = folder / "decoder.pt"
    step = resume_run(path, model, optimiser, average).get("step", 0)
    crops = Crops(seed + 17 + step)
    progress = Progress("decoder", num_steps, 50, step)
    while step < num_steps:
        pictures = crops.batch().to(device.name)
        with device.autocast():
            with torch.no_grad():
                latents = model.encoder(pictures)
            decoded = model.decoder(latents + torch.randn_like(latents) * _LATENT_NOISE)
        loss = reconstruction_loss(pictures, decoded.float(), _SHARPNESS)
        loss.backward()
        rest = 0.5 * (1 + math.cos(math.pi * step / num_steps)) + 0.01
        optimiser.step(_LEARNING_RATE * min(1.0, (step + 1) / 30) * rest)
        average.update(step)
        step += 1
        error = (decoded.detach().float() - pictures).square().mean().item()
        progress.report(step, psnr=10 * math.log10(4 / error))
        if step % 250 == 0 or step == num_steps:
            save_run(path, model, optimiser, average, step=step)
    average.swap()
    model.save_pretrained(folder / "vae", safe_serialization=True)
    return model
