"""The UNet: two levels with attention at both, conditioned on the frozen text encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from .autoencoder import DOWNSCALE, LATENT_CHANNELS
from .conditioner import DROPPED, Conditioner
from .curriculum import Curriculum, CurriculumPlan
from .devices import Device, Progress, load_checkpoint, seed_everything
from .diffusion import GUIDANCE, NoiseProcess, sample_timesteps, velocity_loss
from .drawings import Order, draw
from .export import build_pipeline
from .grids import save_grid
from .latents import Batch, encode, open_latents
from .muon import Average, Optimiser
from .probe import SHEET_COLUMNS, Probe, sheet_prompts
from .replays import replayed
from .runs import Course, follow, resume_run, save_run
from .scenes import SIZE_PX
from .text import HIDDEN, load_reader, load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS: Final = (96, 160)
_LEARNING_RATE: Final = 2e-3
_WARM_UP_STEPS: Final = 60
_DECAY_FROM: Final = 0.6
_PLAIN_TIMESTEPS_FROM: Final = 0.6
_SQUARE_CELLS: Final = (SIZE_PX // DOWNSCALE,) * 2
# How often a run looks at itself.
_NUM_PROBES: Final = 30
_NUM_SHEETS: Final = 5


@dataclass(frozen=True, slots=True)
class UNetPlan:
    """How long and on what. Samples are pictures seen, repeats counted.

    With `minutes` the run ends after so many at the latest, its learning rate fallen by then.
    """

    num_samples: int = 280_000
    # At one learning rate, larger batches learn more from each picture: 150,000 in batches of 256
    # taught kinds better than 350,000 in batches of 32 and 48.
    batch: int = 256
    minutes: float = math.inf
    compile: bool = False
    # An exported model whose weights to go on from, instead of from nothing.
    start_from: Path | None = None
    curriculum: CurriculumPlan = field(default_factory=CurriculumPlan)


def build_unet() -> UNet2DConditionModel:
    model = UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=HIDDEN,
        # diffusers takes this as the number of heads: 32 channels each.
        attention_head_dim=tuple(channels // 32 for channels in CHANNELS),
        norm_num_groups=32,
        transformer_layers_per_block=1,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=8,
    )
    return cast("UNet2DConditionModel", model)


def load_unet(folder: Path) -> UNet2DConditionModel:
    """The averaged UNet of the last checkpoint; without one, an untrained UNet."""
    unet = build_unet()
    checkpoint = load_checkpoint(folder / "unet.pt")
    if checkpoint is not None:
        unet.load_state_dict(cast("dict[str, object]", checkpoint["average"]))
    return unet


def suit_attention(unet: UNet2DConditionModel, device: Device) -> None:
    """On CPUs the plain processor: the fused attention's backward pass is slow there."""
    if not device.is_cuda:
        unet.set_attn_processor(AttnProcessor())


def learning_rate(done: float, step: int) -> float:
    """Short warm-up, plateau, one cosine decay; `done` is the share of the whole run."""
    share = min(1.0, (step + 1) / _WARM_UP_STEPS)
    if done > _DECAY_FROM:
        fall = (done - _DECAY_FROM) / (1 - _DECAY_FROM)
        share *= 0.5 * (1 + math.cos(math.pi * fall)) + 0.01
    return _LEARNING_RATE * share


class UNetTrainer:
    """One run over the curriculum: `step` learns one batch, `save` leaves a checkpoint."""

    def __init__(self, folder: Path, device: Device, seed: int, plan: UNetPlan) -> None:
        seed_everything(seed)
        self.folder, self.device, self.plan = folder, device, plan
        self.vae = cast("AutoencoderTiny", AutoencoderTiny.from_pretrained(folder / "vae"))
        self.vae.to(device.name, memory_format=torch.channels_last).requires_grad_(False)
        encoder = load_reader(folder).encoder.to(device.name)
        tokenizer = load_tokenizer(folder / "tokenizer")
        self.conditioner = Conditioner(encoder, tokenizer)
        self.noise = NoiseProcess(device.name)
        self.unet = build_unet()
        if plan.start_from is not None:
            before = UNet2DConditionModel.from_pretrained(plan.start_from, subfolder="unet")
            self.unet.load_state_dict(before.state_dict())
        self.unet.to(device.name, memory_format=torch.channels_last)
        suit_attention(self.unet, device)
        self._compiled = torch.compile(self.unet) if plan.compile else self.unet
        self.optimiser = Optimiser(self.unet, ("conv_in", "conv_out", "positional"))
        # A longer memory lags behind what is still being learnt: with 0.998 the average told kinds
        # apart by .098 at the end of a run, the last weights by .132.
        self.average = Average(self.unet, 0.99)
        counts = resume_run(folder / "unet.pt", self.unet, self.optimiser, self.average)
        self.num_steps = counts.get("steps", 0)
        self.course = Course(plan.num_samples, plan.minutes, counts)
        seed_everything(seed + self.course.samples)
        self._learn = replayed(self._pass, list(self.unet.parameters()), device)
        # Who draws alone took minutes for it.
        kept = None if device.num_workers else folder
        opener = partial(open_latents, kept, self.vae, tokenizer, device)
        self._curriculum = Curriculum(plan.curriculum, opener, seed)
        held = encode(self.vae, device, draw(Order("centred", seed - 1, 100), tokenizer))
        self._probe = Probe(held, self.conditioner, self.noise, device)

    def step(self) -> Tensor:
        """Learns from pictures of one or two shapes; the mean squared error of the velocity."""
        done = self.course.done
        losses = [
            self._learn_from(batch, len(batch.ids) / self.plan.batch, done)
            for batch in self._curriculum.batches(self.course.samples, self.plan.batch)
        ]
        self.optimiser.step(learning_rate(done, self.num_steps))
        self.average.update(self.num_steps)
        self.num_steps += 1
        self.course.samples += self.plan.batch
        return torch.stack(losses).sum()

    def _learn_from(self, batch: Batch, share: float, done: float) -> Tensor:
        high_noise = done < _PLAIN_TIMESTEPS_FROM
        return self._learn(
            batch.latents,
            torch.randn_like(batch.latents),
            sample_timesteps(len(batch.ids), high_noise, self.device.name),
            self.conditioner.embed(batch.ids),
            batch.emphasis * (share / batch.emphasis.mean()),
        )

    def _pass(
        self, latents: Tensor, epsilon: Tensor, timesteps: Tensor, text: Tensor, emphasis: Tensor
    ) -> Tensor:
        # Compiling takes minutes for each shape and pays for the usual one only.
        is_usual = latents.shape[2:] == _SQUARE_CELLS
        forward = self._compiled if is_usual else self.unet

        def predict(noised: Tensor, timesteps: Tensor) -> Tensor:
            with self.device.autocast():
                return cast("Tensor", forward(noised, timesteps, text, return_dict=False)[0])

        loss = velocity_loss(self.noise, latents, epsilon, timesteps, predict, emphasis)
        loss.backward()
        return loss.detach()

    def probe(self) -> dict[str, float]:
        self.average.swap()
        figures = {
            "kind@0": self._probe.measure(self.unet, 0.0),
            "kind@0.1": self._probe.measure(self.unet, 0.1),
        }
        self.average.swap()
        return figures

    def save(self) -> None:
        save_run(
            self.folder / "unet.pt",
            self.unet,
            self.optimiser,
            self.average,
            steps=self.num_steps,
            **self.course.counts,
        )

    def show(self) -> None:
        """Leaves a sheet of samples of the model so far."""
        self.average.swap()
        pipeline = build_pipeline(
            self.vae, self.conditioner.encoder, self.conditioner.tokenizer, self.unet
        )
        prompts = sheet_prompts()
        with self.device.autocast():
            pictures = pipeline(
                prompts,
                num_inference_steps=8,
                guidance_scale=GUIDANCE,
                generator=torch.Generator(self.device.name).manual_seed(0),
                output_type="np",
            ).images
        sheet = [(picture * 255).round().astype("uint8") for picture in pictures]
        name = f"unet-{self.course.samples // 1000:04d}k.png"
        save_grid(self.folder / "grids" / name, sheet, SHEET_COLUMNS, SIZE_PX // 2)
        self.average.swap()


@dataclass(frozen=True, slots=True)
class Trained:
    """The finished parts, frozen, for what is trained on top of them."""

    vae: AutoencoderTiny
    unet: UNet2DConditionModel
    conditioner: Conditioner
    noise: NoiseProcess
    device: Device

    @classmethod
    def load(cls, folder: Path, device: Device, dropped: float = DROPPED) -> Trained:
        assert (folder / "unet.pt").exists(), "train the UNet first: scripts/train_embedded unet"
        unet = load_unet(folder)
        unet.to(device.name, memory_format=torch.channels_last).requires_grad_(False)
        suit_attention(unet, device)
        vae = cast("AutoencoderTiny", AutoencoderTiny.from_pretrained(folder / "vae"))
        vae.to(device.name, memory_format=torch.channels_last).requires_grad_(False)
        encoder = load_reader(folder).encoder.to(device.name)
        conditioner = Conditioner(encoder, load_tokenizer(folder / "tokenizer"), dropped)
        return cls(vae, unet, conditioner, NoiseProcess(device.name), device)


def train_unet(folder: Path, device: Device, seed: int, plan: UNetPlan) -> None:
    """Trains to the end of the plan from wherever the last checkpoint stands."""
    trainer = UNetTrainer(folder, device, seed, plan)
    course = trainer.course
    probes, sheets = int(course.done * _NUM_PROBES), int(course.done * _NUM_SHEETS)

    def look(progress: Progress) -> None:
        nonlocal probes, sheets
        if course.done * _NUM_PROBES >= probes + 1:
            probes += 1
            progress.tell(course.samples, **trainer.probe())
        if course.done * _NUM_SHEETS >= sheets + 1:
            sheets += 1
            trainer.show()

    follow("unet", trainer, 240, look)
