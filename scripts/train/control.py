"""A scribble ControlNet: pictures follow the lines that somebody drew (Zhang et al. 2023).

A stock `ControlNetModel` without attention, small enough to travel with the model. It learns
from outlines, thick or thin, whole or silhouettes only. Its scenes are arranged as no caption says:
where the words tell it already, the lines would teach nothing.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor

from .autoencoder import LATENT_CHANNELS
from .curriculum import emphasis
from .devices import Device, Progress, seed_everything
from .diffusion import velocity_loss
from .latents import LatentSet, encode_shard
from .muon import Average, Optimiser
from .runs import resume_run, save_run
from .sampling import STAGES, Stage
from .scenes import SIZE_PX, Scene, draw_scene, loose_layout
from .styles import SCRIBBLE, SILHOUETTE
from .text import HIDDEN
from .unet import CHANNELS, Trained

if TYPE_CHECKING:
    from pathlib import Path

_BATCH: Final = 32
_LEARNING_RATE: Final = 1e-3
_SHARE: Final[dict[Stage, int]] = {"centred": 16, "placed": 8, "composed": 8}
_SCENES: Final[dict[Stage, int]] = {"centred": 2000, "placed": 1000, "composed": 1000}
# Words alone would do for many a picture; without them the lines have to.
_DROPPED: Final = 0.4
# How many of the scribbles are outer outlines only.
_OUTER_ONLY: Final = 0.3


def build_control() -> ControlNetModel:
    model = ControlNetModel(
        in_channels=LATENT_CHANNELS,
        conditioning_channels=3,
        down_block_types=("DownBlock2D",) * 2,
        mid_block_type="UNetMidBlock2D",
        block_out_channels=CHANNELS,
        layers_per_block=1,
        norm_num_groups=32,
        cross_attention_dim=HIDDEN,
        attention_head_dim=tuple(channels // 32 for channels in CHANNELS),
        # One stride fewer than stages: 256 pixels become the 16 cells of the latents.
        conditioning_embedding_out_channels=(8, 16, 24, 32, 48),
    )
    return cast("ControlNetModel", model)


def start_like(model: ControlNetModel, unet: UNet2DConditionModel) -> None:
    """Takes over what has the same name and shape in the UNet: all but attention and the lines'."""
    own, theirs = model.state_dict(), unet.state_dict()
    shared = {n: v for n, v in theirs.items() if n in own and own[n].shape == v.shape}
    model.load_state_dict(shared, strict=False)


def scribble(scene: Scene, style: str = SCRIBBLE) -> np.ndarray:
    """The scene's things, loosely arranged, as white lines on black, uint8 (256, 256, 3)."""
    return draw_scene(replace(scene, style=style), SIZE_PX, SIZE_PX, loose_layout)


def scribbles(scenes: list[Scene]) -> Tensor:
    """float32 (batch, 3, 256, 256) in 0..1, as the pipelines hand them to a ControlNet."""
    lines = np.stack([np.unpackbits(_packed(scene)) for scene in scenes])
    pictures = torch.from_numpy(lines).view(-1, 1, SIZE_PX, SIZE_PX).float()
    return pictures.expand(-1, 3, -1, -1)


@cache
def _packed(scene: Scene) -> np.ndarray:
    """A training scene's scribble, as bits. To draw it anew took a third of each step."""
    style = SILHOUETTE if random.Random(scene.seed).random() < _OUTER_ONLY else SCRIBBLE
    return np.packbits(scribble(scene, style)[..., 0] > 127)


class ControlTrainer:
    """One run: `step` learns one batch, `save` leaves a checkpoint."""

    def __init__(
        self, folder: Path, device: Device, seed: int, num_samples: int, compiles: bool = False
    ) -> None:
        seed_everything(seed)
        self._path, self._num_samples = folder / "control.pt", num_samples
        self._trained = Trained.load(folder, device, seed, _DROPPED)
        self.model = build_control()
        start_like(self.model, self._trained.unet)
        self.model.to(device.name, memory_format=torch.channels_last)
        self._control, self._unet = self.model, self._trained.unet
        if compiles:
            self._control, self._unet = torch.compile(self._control), torch.compile(self._unet)
        self._optimiser = Optimiser(
            self.model, ("conv_in", "controlnet_down", "controlnet_mid", "cond_embedding.conv_out")
        )
        self.average = Average(self.model, 0.995)
        counts = resume_run(self._path, self.model, self._optimiser, self.average)
        self.samples = counts.get("samples", 0)
        self._rng = random.Random(seed + self.samples)
        self._sets: dict[Stage, LatentSet] = {
            stage: encode_shard(
                self._trained.vae, device, stage, seed, _SCENES[stage], arrange=loose_layout
            )
            for stage in STAGES
        }

    def step(self) -> float:
        trained, device = self._trained, self._trained.device
        parts = [self._sets[stage].pick(self._rng, count) for stage, count in _SHARE.items()]
        scenes = [scene for _, part in parts for scene in part]
        latents = torch.cat([part for part, _ in parts]).to(device.name)
        text = trained.conditioner.embed_scenes(scenes)
        lines = scribbles(scenes).to(device.name, memory_format=torch.channels_last)

        def predict(noised: Tensor, timesteps: Tensor) -> Tensor:
            with device.autocast():
                down, middle = self._control(noised, timesteps, text, lines, return_dict=False)
                velocity = self._unet(
                    noised,
                    timesteps,
                    text,
                    down_block_additional_residuals=down,
                    mid_block_additional_residual=middle,
                    return_dict=False,
                )[0]
            return cast("Tensor", velocity)

        height, width = latents.shape[2:]
        loss = velocity_loss(
            trained.noise,
            latents,
            True,
            predict,
            emphasis(scenes, height, width, loose_layout).to(device.name),
        )
        loss.backward()
        done = self.samples / self._num_samples
        warm = min(1.0, (self.samples + _BATCH) / (40 * _BATCH))
        self._optimiser.step(_LEARNING_RATE * warm * (1.01 - done))
        self.average.update(self.samples // _BATCH)
        self.samples += _BATCH
        return loss.item()

    def save(self) -> None:
        save_run(self._path, self.model, self._optimiser, self.average, samples=self.samples)


def train_control(
    folder: Path, device: Device, seed: int, num_samples: int, compiles: bool = False
) -> None:
    """Trains into `folder`/controlnet; resumes."""
    trainer = ControlTrainer(folder, device, seed, num_samples, compiles)
    progress = Progress("control", num_samples, 25 * _BATCH, trainer.samples)
    losses: list[float] = []
    while trainer.samples < num_samples:
        losses = [*losses[-49:], trainer.step()]
        progress.report(trainer.samples, loss=sum(losses) / len(losses))
        if trainer.samples % (200 * _BATCH) == 0:
            trainer.save()
    trainer.save()
    trainer.average.swap()
    trainer.model.save_pretrained(folder / "controlnet", safe_serialization=True)
