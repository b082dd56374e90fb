"""The UNet: two levels with attention at both, conditioned on the frozen text encoder."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from .autoencoder import DOWNSCALE, LATENT_CHANNELS
from .captions import caption, plain_caption
from .colours import COLOURS
from .curriculum import Curriculum, CurriculumPlan, emphasis
from .devices import Device, Progress, load_checkpoint, seed_everything
from .diffusion import NoiseProcess, velocity_loss
from .export import build_pipeline
from .grids import save_grid
from .latents import LatentSet, encode_shard, open_latents
from .muon import Average, Optimiser
from .places import LANDSCAPES
from .runs import resume_run, save_run
from .sampling import sample_scene, stands_out
from .scenes import SIZE_PX, Position, Scene, single
from .text import HIDDEN, embed, load_reader, load_tokenizer
from .things import KINDS, THINGS

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import CLIPTextModel, CLIPTokenizer

CHANNELS: Final = (96, 160)
SHEET_COLUMNS: Final = 13
_LEARNING_RATE: Final = 2e-3
_DROPPED: Final = 0.1
_DECAY_FROM: Final = 0.7
_PLAIN_TIMESTEPS_FROM: Final = 0.67
_SQUARE_CELLS: Final = (SIZE_PX // DOWNSCALE,) * 2


@dataclass(frozen=True, slots=True)
class UNetPlan:
    """How long and on what. Samples are pictures seen, repeats counted."""

    num_samples: int = 280_000
    batch: int = 32
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


class Conditioner:
    """Fresh captions for scenes, as the frozen text encoder's embeddings."""

    def __init__(
        self,
        encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        seed: int,
        dropped: float = _DROPPED,
    ) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer
        self._rng, self._dropped = random.Random(seed), dropped

    def embed_scenes(self, scenes: list[Scene]) -> Tensor:
        """float32 (batch, 64, 128); some captions are dropped, for guidance."""
        texts = [
            "" if self._rng.random() < self._dropped else caption(self._rng, scene).text
            for scene in scenes
        ]
        return embed(self.encoder, self.tokenizer, texts)

    def embed_plain(self, scenes: list[Scene]) -> Tensor:
        return embed(self.encoder, self.tokenizer, [plain_caption(scene) for scene in scenes])


class Probe:
    """How much worse the clean picture is guessed when the caption names a wrong kind.

    It shows that kinds are being learnt long before samples do.
    """

    def __init__(
        self, held: LatentSet, conditioner: Conditioner, noise: NoiseProcess, device: Device
    ) -> None:
        wrong = [_with_wrong_kind(scene, i) for i, scene in enumerate(held.scenes)]
        self._latents = held.latents.float().to(device.name)
        self._right = conditioner.embed_plain(held.scenes)
        self._wrong = conditioner.embed_plain(wrong)
        self._epsilon = torch.randn(
            self._latents.shape, generator=torch.Generator().manual_seed(5)
        ).to(device.name)
        self._noise, self._device = noise, device

    @torch.no_grad()
    def measure(self, unet: nn.Module, snr: float) -> float:
        timesteps = torch.full((len(self._latents),), self._noise.timestep_at(snr))
        timesteps = timesteps.to(self._device.name)
        noised = self._noise.add_noise(self._latents, self._epsilon, timesteps)
        errors = []
        for text in (self._right, self._wrong):
            with self._device.autocast():
                velocity = unet(noised, timesteps, text, return_dict=False)[0].float()
            clean = self._noise.clean(noised, velocity, timesteps)
            errors.append((clean - self._latents).square().mean().item())
        return errors[1] - errors[0]


def _with_wrong_kind(scene: Scene, turn: int) -> Scene:
    item = scene.items[0]
    kind = KINDS[(KINDS.index(item.kind) + 1 + turn % (len(KINDS) - 1)) % len(KINDS)]
    return replace(scene, items=(replace(item, kind=kind),))


def learning_rate(done: float, step: int) -> float:
    """Short warm-up, plateau, one cosine decay; `done` is the share of all samples."""
    share = min(1.0, (step + 1) / 60)
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
        self.conditioner = Conditioner(encoder, load_tokenizer(folder / "tokenizer"), seed)
        self.noise = NoiseProcess(device.name)
        self.unet = build_unet()
        if plan.start_from is not None:
            before = UNet2DConditionModel.from_pretrained(plan.start_from, subfolder="unet")
            self.unet.load_state_dict(before.state_dict())
        self.unet.to(device.name, memory_format=torch.channels_last)
        # The plain processor: the fused attention's backward pass is slow on CPUs.
        self.unet.set_attn_processor(AttnProcessor())
        self._compiled = torch.compile(self.unet) if plan.compile else self.unet
        self.optimiser = Optimiser(self.unet, ("conv_in", "conv_out", "positional"))
        # A longer memory lags behind what is still being learnt: with 0.998 the average told kinds
        # apart by .098 at the end of a run, the last weights by .132.
        self.average = Average(self.unet, 0.99)
        counts = resume_run(folder / "unet.pt", self.unet, self.optimiser, self.average)
        self.num_steps, self.samples = counts.get("steps", 0), counts.get("samples", 0)
        torch.manual_seed(seed + self.samples)
        opener = partial(open_latents, folder, self.vae, device, seed)
        self._curriculum = Curriculum(plan.curriculum, opener, seed + self.samples)
        held = encode_shard(self.vae, device, "centred", seed - 1, 100)
        self._probe = Probe(held, self.conditioner, self.noise, device)

    def step(self) -> float:
        """Learns from pictures of one or two shapes; the mean squared error of the velocity."""
        done = self.samples / self.plan.num_samples
        loss = 0.0
        for latents, scenes in self._curriculum.batches(self.samples, self.plan.batch):
            part = self._loss(latents, scenes, done) * (len(scenes) / self.plan.batch)
            part.backward()
            loss += part.item()
        self.optimiser.step(learning_rate(done, self.num_steps))
        self.average.update(self.num_steps)
        self.num_steps += 1
        self.samples += self.plan.batch
        return loss

    def _loss(self, latents: Tensor, scenes: list[Scene], done: float) -> Tensor:
        text = self.conditioner.embed_scenes(scenes)
        height, width = latents.shape[2:]
        # Compiling takes minutes for each shape and pays for the usual one only.
        forward = self._compiled if (height, width) == _SQUARE_CELLS else self.unet

        def predict(noised: Tensor, timesteps: Tensor) -> Tensor:
            with self.device.autocast():
                return cast("Tensor", forward(noised, timesteps, text, return_dict=False)[0])

        return velocity_loss(
            self.noise,
            latents.to(self.device.name),
            done < _PLAIN_TIMESTEPS_FROM,
            predict,
            emphasis(scenes, height, width).to(self.device.name),
        )

    def probe(self) -> dict[str, float]:
        self.average.swap()
        figures = {
            "kind@0": self._probe.measure(self.unet, 0.0),
            "kind@0.1": self._probe.measure(self.unet, 0.1),
        }
        self.average.swap()
        return figures

    def save(self) -> None:
        counts = {"steps": self.num_steps, "samples": self.samples}
        save_run(self.folder / "unet.pt", self.unet, self.optimiser, self.average, **counts)

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
                guidance_scale=3.0,
                generator=torch.Generator(self.device.name).manual_seed(0),
                output_type="np",
            ).images
        sheet = [(picture * 255).round().astype("uint8") for picture in pictures]
        name = f"unet-{self.samples // 1000:04d}k.png"
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
    def load(cls, folder: Path, device: Device, seed: int, dropped: float = _DROPPED) -> Trained:
        assert (folder / "unet.pt").exists(), "train the UNet first: scripts/train_embedded unet"
        unet = load_unet(folder)
        unet.to(device.name, memory_format=torch.channels_last).requires_grad_(False)
        unet.set_attn_processor(AttnProcessor())
        vae = cast("AutoencoderTiny", AutoencoderTiny.from_pretrained(folder / "vae"))
        vae.to(device.name, memory_format=torch.channels_last).requires_grad_(False)
        encoder = load_reader(folder).encoder.to(device.name)
        conditioner = Conditioner(encoder, load_tokenizer(folder / "tokenizer"), seed, dropped)
        return cls(vae, unet, conditioner, NoiseProcess(device.name), device)


def sheet_prompts() -> list[str]:
    """Each kind twice: as one expects it, then in any colour and place; then several things."""
    rng = random.Random(11)
    sides: tuple[Position, ...] = ("centre", "centre", "left", "right")
    usual = [
        _sheet_scene(rng, kind, thing.natural_colours, thing.natural_places, ("centre",))
        for kind, thing in THINGS.items()
    ]
    unusual = [_sheet_scene(rng, kind, tuple(COLOURS), tuple(LANDSCAPES), sides) for kind in THINGS]
    several = [sample_scene(rng, "composed") for _ in range(SHEET_COLUMNS)]
    return [plain_caption(scene) for scene in usual + unusual + several]


def _sheet_scene(
    rng: random.Random,
    kind: str,
    colours: tuple[str, ...],
    places: tuple[str, ...],
    positions: tuple[Position, ...],
) -> Scene:
    while True:
        colour, place = rng.choice(colours), rng.choice(places)
        if stands_out(colour, place):
            return single(kind, colour, place, rng.choice(positions))


def train_unet(folder: Path, device: Device, seed: int, plan: UNetPlan) -> None:
    """Trains to the end of the plan from wherever the last checkpoint stands."""
    trainer = UNetTrainer(folder, device, seed, plan)
    progress = Progress("unet", plan.num_samples, 50 * plan.batch, trainer.samples)
    losses: list[float] = []
    while trainer.samples < plan.num_samples:
        losses = [*losses[-49:], trainer.step()]
        figures = {"loss": sum(losses) / len(losses)}
        if trainer.num_steps % 200 == 0:
            figures.update(trainer.probe())
            trainer.save()
        progress.report(trainer.samples, **figures)
        if trainer.num_steps % 600 == 0:
            trainer.show()
    trainer.save()
    trainer.show()
