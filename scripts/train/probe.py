"""Early signs of learning: how much worse pictures are guessed with a wrong word, and a sheet."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from .captions import plain_caption
from .colours import COLOURS
from .places import LANDSCAPES
from .sampling import sample_scene, stands_out
from .scenes import Position, Scene, single
from .things import KINDS, THINGS

if TYPE_CHECKING:
    from torch import nn

    from .conditioner import Conditioner
    from .devices import Device
    from .diffusion import NoiseProcess
    from .latents import LatentSet

SHEET_COLUMNS: Final = 13


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
