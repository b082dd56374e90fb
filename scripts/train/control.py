"""A scribble ControlNet: pictures follow the lines that somebody drew (Zhang et al. 2023).

A stock `ControlNetModel` without attention, small enough to travel with the model. It learns
from outlines, thick or thin, whole or silhouettes only. Its scenes are arranged as no caption says:
where the words tell it already, the lines would teach nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor

from .autoencoder import LATENT_CHANNELS
from .devices import Device, seed_everything
from .diffusion import sample_timesteps, velocity_loss
from .drawings import Order, shards
from .latents import Batch, LatentSet, open_latents
from .muon import Average, Optimiser
from .replays import replayed
from .runs import Course, follow, resume_run, save_run
from .scenes import SIZE_PX
from .text import HIDDEN
from .unet import CHANNELS, Trained

if TYPE_CHECKING:
    from pathlib import Path

    from .sampling import Stage

_LEARNING_RATE: Final = 1e-3
# Of each 4 pictures and scenes.
_SHARE: Final[dict[Stage, int]] = {"centred": 2, "placed": 1, "composed": 1}
_WHOLE: Final = 4
# Words alone would do for many a picture; without them the lines have to.
_DROPPED: Final = 0.4


@dataclass(frozen=True, slots=True)
class ControlPlan:
    """How long and on what. Samples are pictures seen, repeats counted.

    With `minutes` the run ends after so many at the latest, its learning rate fallen by then.
    """

    num_samples: int = 84_000
    num_scenes: int = 4_000
    batch: int = 32
    minutes: float = math.inf


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


def unpack(lines: Tensor) -> Tensor:
    """float32 (batch, 3, 256, 256) in 0..1, as the pipelines hand them to a ControlNet, of the
    bits of `Drawing.lines`."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=lines.device)
    bits = (lines[:, :, None] >> shifts) & 1
    return bits.view(-1, 1, SIZE_PX, SIZE_PX).float().expand(-1, 3, -1, -1)


class ControlTrainer:
    """One run: `step` learns one batch, `save` leaves a checkpoint."""

    def __init__(
        self, folder: Path, device: Device, seed: int, plan: ControlPlan, compiles: bool = False
    ) -> None:
        seed_everything(seed)
        self._path, self.plan = folder / "control.pt", plan
        self._trained = Trained.load(folder, device, _DROPPED)
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
        self.course = Course(plan.num_samples, plan.minutes, counts)
        torch.manual_seed(seed + self.course.samples)
        self._learn = replayed(self._pass, list(self.model.parameters()), device)
        self._sets = self._draw(seed)

    def _draw(self, seed: int) -> dict[Stage, LatentSet]:
        trained, num_scenes = self._trained, self.plan.num_scenes
        orders = [
            shard
            for stage, share in _SHARE.items()
            for shard in shards(Order(stage, seed, num_scenes * share // _WHOLE, is_loose=True))
        ]
        tokenizer = trained.conditioner.tokenizer
        drawn = [*open_latents(None, trained.vae, tokenizer, trained.device, orders)]
        return {
            stage: LatentSet.joined(
                [one for one, order in zip(drawn, orders, strict=True) if order.stage == stage]
            )
            for stage in _SHARE
        }

    def step(self) -> Tensor:
        trained, size = self._trained, self.plan.batch
        batch = Batch.joined(
            [self._sets[stage].pick(size * share // _WHOLE) for stage, share in _SHARE.items()]
        )
        loss = self._learn(
            batch.latents,
            torch.randn_like(batch.latents),
            sample_timesteps(len(batch.ids), True, trained.device.name),
            trained.conditioner.embed(batch.ids),
            batch.emphasis / batch.emphasis.mean(),
            batch.lines,
        )
        warm = min(1.0, (self.course.samples / size + 1) / 40)
        self._optimiser.step(_LEARNING_RATE * warm * (1.01 - min(1.0, self.course.done)))
        self.average.update(self.course.samples // size)
        self.course.samples += size
        return loss

    def _pass(
        self,
        latents: Tensor,
        epsilon: Tensor,
        timesteps: Tensor,
        text: Tensor,
        emphasis: Tensor,
        lines: Tensor,
    ) -> Tensor:
        trained = self._trained
        pictures = unpack(lines).contiguous(memory_format=torch.channels_last)

        def predict(noised: Tensor, timesteps: Tensor) -> Tensor:
            with trained.device.autocast():
                down, middle = self._control(noised, timesteps, text, pictures, return_dict=False)
                velocity = self._unet(
                    noised,
                    timesteps,
                    text,
                    down_block_additional_residuals=down,
                    mid_block_additional_residual=middle,
                    return_dict=False,
                )[0]
            return cast("Tensor", velocity)

        loss = velocity_loss(trained.noise, latents, epsilon, timesteps, predict, emphasis)
        loss.backward()
        return loss.detach()

    def save(self) -> None:
        save_run(self._path, self.model, self._optimiser, self.average, **self.course.counts)


def train_control(
    folder: Path, device: Device, seed: int, plan: ControlPlan, compiles: bool = False
) -> None:
    """Trains into `folder`/controlnet; resumes."""
    trainer = ControlTrainer(folder, device, seed, plan, compiles)
    follow("control", trainer, 60)
    trainer.average.swap()
    trainer.model.save_pretrained(folder / "controlnet", safe_serialization=True)
