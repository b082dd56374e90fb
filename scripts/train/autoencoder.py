"""The autoencoder: 256-pixel pictures to latents of 16 channels, 16 times smaller each way.

A stock `AutoencoderTiny`. It starts as a nearly linear map that carries the mean colour through,
because from a random start colour stalls early on a plateau; or from an earlier one, whose latents
it then keeps, so that a UNet of that one can be taught further. The per-channel normalisation of
the latents is folded into the saved weights.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from .devices import Device, Progress, freeze, seed_everything
from .grids import save_grid
from .muon import Average, Optimiser
from .runs import resume_run, save_run
from .sampling import STAGES, sample_scene
from .scenes import SIZE_PX, draw_scene
from .styles import EXTRA_STYLES

if TYPE_CHECKING:
    from pathlib import Path

WIDTH: Final = 64
LATENT_CHANNELS: Final = 16
DOWNSCALE: Final = 16

_CROP_PX: Final = 128
_BATCH: Final = 8
_POOL: Final = 3000
_EXTRA: Final = 0.15
_LEARNING_RATE: Final = 2e-3
_LATENT_NOISE: Final = 0.06
_COLOUR_GAIN: Final = 3.5
_LIKE_BEFORE: Final = 0.1
# Of the learning rate, where training goes on from an earlier autoencoder.
_GOING_ON: Final = 0.6


def build_autoencoder() -> AutoencoderTiny:
    model = AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(WIDTH,) * 5,
        decoder_block_out_channels=(WIDTH,) * 5,
        num_encoder_blocks=(0, 0, 1, 2, 1),
        num_decoder_blocks=(3, 3, 2, 1, 0),
    )
    return cast("AutoencoderTiny", model)


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """uint8 (height, width, 3) each, to float32 (batch, 3, height, width) in -1..1."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return batch.float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)


def to_pictures(batch: Tensor) -> list[np.ndarray]:
    """The inverse of `to_tensor`."""
    pixels = batch.float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return list(pixels.permute(0, 2, 3, 1).cpu().numpy())


@torch.no_grad()
def carry_colour(model: AutoencoderTiny, seed: int) -> None:
    """Makes the untrained model pass local mean colours through, and dampens everything else."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if type(module).__name__ == "AutoencoderTinyBlock":
            last = cast("nn.Conv2d", cast("nn.Sequential", module.conv)[-1])
            nn.init.zeros_(last.weight)
            nn.init.zeros_(cast("Tensor", last.bias))
    _start_encoder(_convolutions(model.encoder), generator)
    _start_decoder(_convolutions(model.decoder))


def _convolutions(half: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in cast("nn.Sequential", half.layers) if isinstance(layer, nn.Conv2d)]


def _start_encoder(convolutions: list[nn.Conv2d], generator: torch.Generator) -> None:
    first, *strided, last = convolutions
    first.weight.mul_(0.2)
    nn.init.zeros_(cast("Tensor", first.bias))
    for channel in range(WIDTH):
        first.weight[channel, channel % 3, 1, 1] += 1
    for layer in strided:
        layer.weight.mul_(0.35)
        for channel in range(WIDTH):
            if channel < 3:
                layer.weight[channel] = 0
                layer.weight[channel, channel, 1:, 1:] = 0.25
            else:
                # Each other channel follows one pixel of its own down to the latents.
                row, column = torch.randint(1, 3, (2,), generator=generator).tolist()
                layer.weight[channel, channel, row, column] += 1
    last.weight.mul_(0.5)
    nn.init.zeros_(cast("Tensor", last.bias))
    last.weight[:3] = 0
    for channel in range(3):
        last.weight[channel, channel, 1, 1] = _COLOUR_GAIN
        cast("Tensor", last.bias)[channel] = -_COLOUR_GAIN / 2
    for channel in range(3, LATENT_CHANNELS):
        contrast = torch.randn(WIDTH - 3, generator=generator)
        contrast -= contrast.mean()
        last.weight[channel, 3:, 1, 1] += contrast / contrast.norm() * 1.5


def _start_decoder(convolutions: list[nn.Conv2d]) -> None:
    first, *upsampled, last = convolutions
    nn.init.zeros_(cast("Tensor", first.bias))
    first.weight[:3] = 0
    for channel in range(3):
        first.weight[channel, channel, 1, 1] = 1 / _COLOUR_GAIN
        cast("Tensor", first.bias)[channel] = 0.5
    for layer in upsampled:
        layer.weight.mul_(0.35)
        layer.weight[:3] = 0
        for channel in range(WIDTH):
            layer.weight[channel, channel, 1, 1] += 1
    last.weight.mul_(0.1)
    nn.init.zeros_(cast("Tensor", last.bias))
    for channel in range(3):
        last.weight[channel, :3] = 0
        last.weight[channel, channel, 1, 1] = 1


def draw_any(rng: random.Random, count: int, extra: float = 0.0) -> list[np.ndarray]:
    """Scenes of every stage; a share `extra` of them in the styles of the adapters."""
    styles = [rng.choice(EXTRA_STYLES) if rng.random() < extra else None for _ in range(count)]
    return [draw_scene(sample_scene(rng, rng.choice(STAGES), style=style)) for style in styles]


class Crops:
    """Random crops of pre-drawn scenes, most of them about the thing."""

    def __init__(self, seed: int, count: int = _POOL) -> None:
        self._rng = random.Random(seed)
        self._pool = draw_any(self._rng, count, _EXTRA)

    def batch(self) -> Tensor:
        """float32 (batch, 3, crop, crop) in -1..1."""
        return to_tensor([self._crop() for _ in range(_BATCH)])

    def _crop(self) -> np.ndarray:
        # On the latents' grid: textures lie in a scene's cells as they will in whole pictures.
        x, y = self._offset(), self._offset()
        return self._rng.choice(self._pool)[y : y + _CROP_PX, x : x + _CROP_PX]

    def _offset(self) -> int:
        room = (SIZE_PX - _CROP_PX) // DOWNSCALE
        return min(max(round(self._rng.gauss(room / 2, room / 3)), 0), room) * DOWNSCALE


def reconstruction_loss(pictures: Tensor, decoded: Tensor, sharpness: float) -> Tensor:
    """Squared error; `sharpness` in 0..1 adds absolute error and that of the gradients."""
    error = decoded - pictures
    loss = 2.0 * error.square().mean()
    if sharpness > 0:
        across = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        loss = loss + sharpness * (0.5 * error.abs().mean() + 0.3 * across)
    return loss


def _latent_penalty(latents: Tensor) -> Tensor:
    """Keeps each channel near zero mean, unit deviation and within the decoder's clamp."""
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    spill = F.relu(latents.abs() - 2.5).square().mean()
    return mean.square().mean() + (deviation - 1).square().mean() + spill


def _schedule(done: float, step: int) -> float:
    """Share of the learning rate: short warm-up, plateau, one cosine decay."""
    warm = min(1.0, (step + 1) / 60)
    if done < 0.35:
        return warm
    return 0.5 * (1 + math.cos(math.pi * (done - 0.35) / 0.65)) + 0.01


class AutoencoderTrainer:
    """One run: `step` learns one batch of crops, `save` leaves a checkpoint."""

    def __init__(
        self,
        folder: Path,
        device: Device,
        seed: int,
        num_steps: int,
        start_from: Path | None = None,
    ) -> None:
        seed_everything(seed)
        self._path, self._device, self._num_steps = folder / "autoencoder.pt", device, num_steps
        self.model = build_autoencoder()
        self._before: nn.Module | None = None
        if start_from is None:
            carry_colour(self.model, seed)
        else:
            before = load_autoencoder(start_from).to(device.name)
            inherit(self.model.encoder, before.encoder)
            inherit(self.model.decoder, before.decoder)
            self._before = freeze(before.encoder)
        self.model.to(device.name, memory_format=torch.channels_last)
        ends = ("encoder.layers.0.", "decoder.layers.19.")
        self.optimiser = Optimiser(self.model, ends, adam_ratio=0.25)
        self.average = Average(self.model, 0.995)
        counts = resume_run(self._path, self.model, self.optimiser, self.average)
        self.num_done = counts.get("step", 0)
        self._crops = Crops(seed + self.num_done)

    def step(self) -> float:
        """Learns one batch; its mean squared error."""
        done = self.num_done / self._num_steps
        pictures = self._crops.batch().to(self._device.name)
        with self._device.autocast():
            latents = self.model.encoder(pictures)
            decoded = self.model.decoder(latents + torch.randn_like(latents) * _LATENT_NOISE)
            before = self._before(pictures) if self._before else None
        sharpness = min(1.0, max(0.0, (done - 0.45) / 0.15))
        loss = reconstruction_loss(pictures, decoded.float(), sharpness)
        if before is not None:
            loss = loss + _LIKE_BEFORE * (latents.float() - before.float()).square().mean()
        (loss + 0.05 * _latent_penalty(latents.float())).backward()
        rate = _LEARNING_RATE * (_GOING_ON if self._before else 1.0)
        self.optimiser.step(rate * _schedule(done, self.num_done))
        self.average.update(self.num_done)
        self.num_done += 1
        return (decoded.detach().float() - pictures).square().mean().item()

    def save(self) -> None:
        save_run(self._path, self.model, self.optimiser, self.average, step=self.num_done)


def load_autoencoder(model: Path) -> AutoencoderTiny:
    return cast("AutoencoderTiny", AutoencoderTiny.from_pretrained(model, subfolder="vae"))


def inherit(own: nn.Module, before: nn.Module) -> None:
    """Copies an encoder's or decoder's weights stage by stage; what has no place is left out.

    A stage is a convolution and the blocks after it; the later blocks of a stage may be missing.
    """
    for mine, theirs in zip(_stages(own), _stages(before), strict=True):
        for layer, source in zip(mine, theirs, strict=False):
            layer.load_state_dict(source.state_dict())


def _stages(half: nn.Module) -> list[list[nn.Module]]:
    stages: list[list[nn.Module]] = []
    for layer in cast("nn.Sequential", half.layers):
        if isinstance(layer, nn.Conv2d):
            stages.append([layer])
        elif stages and next(layer.parameters(), None) is not None:
            stages[-1].append(layer)
    return stages


def train_autoencoder(
    folder: Path, device: Device, seed: int, num_steps: int, start_from: Path | None = None
) -> AutoencoderTiny:
    """Trains, normalises and returns the autoencoder; resumes from `folder`."""
    trainer = AutoencoderTrainer(folder, device, seed, num_steps, start_from)
    progress = Progress("autoencoder", num_steps, 50, trainer.num_done)
    while trainer.num_done < num_steps:
        error = trainer.step()
        progress.report(trainer.num_done, psnr=10 * math.log10(4 / error))
        if trainer.num_done % 500 == 0 or trainer.num_done == num_steps:
            trainer.save()
    trainer.average.swap()
    return finish(trainer.model, folder, device, seed)


def finish(model: AutoencoderTiny, folder: Path, device: Device, seed: int) -> AutoencoderTiny:
    """Folds the normalisation in, saves the model and a sheet of reconstructions."""
    freeze(model)
    rng = random.Random(seed + 1)
    pictures = draw_any(rng, 256)
    batches = [to_tensor(pictures[i : i + 16]).to(device.name) for i in range(0, 256, 16)]
    with torch.no_grad(), device.autocast():
        latents = torch.cat([model.encoder(batch).float() for batch in batches])
    fold_normalisation(model, latents.mean((0, 2, 3)), latents.std((0, 2, 3)))
    model.save_pretrained(folder / "vae", safe_serialization=True)
    with torch.no_grad(), device.autocast():
        decoded = model.decoder(model.encoder(batches[0]))
    pairs = [*pictures[:16], *to_pictures(decoded)]
    save_grid(folder / "grids" / "autoencoder.png", pairs, 8, SIZE_PX // 2)
    return model


@torch.no_grad()
def fold_normalisation(model: AutoencoderTiny, mean: Tensor, deviation: Tensor) -> None:
    """Rescales the latents to zero mean and unit deviation within the weights themselves.

    Exact in the encoder; in the decoder up to its soft clamp and the border's padding.
    """
    last = _convolutions(model.encoder)[-1]
    last.weight.div_(deviation.view(-1, 1, 1, 1))
    cast("Tensor", last.bias).sub_(mean).div_(deviation)
    first = _convolutions(model.decoder)[0]
    cast("Tensor", first.bias).add_((first.weight * mean.view(1, -1, 1, 1)).sum((1, 2, 3)))
    first.weight.mul_(deviation.view(1, -1, 1, 1))


@torch.no_grad()
def measure_psnr(model: AutoencoderTiny, device: Device, seed: int, count: int = 192) -> float:
    """Peak signal-to-noise ratio in dB, the mean over whole scenes of all styles."""
    rng = random.Random(seed)
    ratios: list[float] = []
    for _ in range(count // 16):
        batch = to_tensor(draw_any(rng, 16)).to(device.name)
        with device.autocast():
            decoded = model.decoder(model.encoder(batch))
        errors = (decoded.float().clamp(-1, 1) - batch).square().mean((1, 2, 3))
        ratios += (10 * torch.log10(4 / errors)).tolist()
    return float(np.mean(ratios))
