"""Scenes as latents: drawn and encoded once, in shards, so that an interrupted run goes on."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor

from .autoencoder import to_tensor
from .devices import Device, Progress, load_checkpoint, save_checkpoint
from .sampling import Stage, sample_scene
from .scenes import SIZE_PX, Scene, draw_scene, layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import AutoencoderTiny

    from .scenes import Spot

# Height and width in pixels.
Shape = tuple[int, int]
SQUARE: Final[Shape] = (SIZE_PX, SIZE_PX)
SHARD: Final = 1000
_BATCH: Final = 4


@dataclass(slots=True)
class LatentSet:
    """Latents float16 (num_scenes, 16, height / 16, width / 16) and what they show."""

    latents: Tensor
    scenes: list[Scene]

    @classmethod
    def joined(cls, sets: list[LatentSet]) -> LatentSet:
        return cls(
            torch.cat([one.latents for one in sets]), [s for one in sets for s in one.scenes]
        )

    def pick(self, rng: random.Random, count: int) -> tuple[Tensor, list[Scene]]:
        rows = [rng.randrange(len(self.scenes)) for _ in range(count)]
        return self.latents[rows].float(), [self.scenes[row] for row in rows]


@torch.no_grad()
def encode_shard(
    vae: AutoencoderTiny,
    device: Device,
    stage: Stage,
    seed: int,
    size: int,
    shape: Shape = SQUARE,
    style: str | None = None,
    arrange: Callable[[Scene], list[Spot]] = layout,
) -> LatentSet:
    rng = random.Random(f"{stage} {seed}")
    scenes = [sample_scene(rng, stage, style=style) for _ in range(size)]
    parts = []
    for i in range(0, size, _BATCH):
        batch = to_tensor([draw_scene(scene, *shape, arrange) for scene in scenes[i : i + _BATCH]])
        with device.autocast():
            parts.append(vae.encoder(batch.to(device.name)).half().cpu())
    return LatentSet(torch.cat(parts).contiguous(), scenes)


def open_latents(
    folder: Path,
    vae: AutoencoderTiny,
    device: Device,
    seed: int,
    stage: Stage,
    shape: Shape,
    count: int,
) -> LatentSet:
    """`count` encoded scenes of a stage; draws and encodes the shards that are missing."""
    name = stage if shape == SQUARE else f"{stage}-{shape[0]}x{shape[1]}"
    num_shards = -(-count // SHARD)
    progress = Progress(f"latents {name}", num_shards * SHARD, 4 * SHARD)
    sets = []
    for i in range(num_shards):
        path = folder / "latents" / f"{name}-{seed}-{i:03d}.pt"
        saved = load_checkpoint(path)
        if saved is None:
            shard = encode_shard(vae, device, stage, seed + 1000 * i, SHARD, shape)
            save_checkpoint(path, {"latents": shard.latents, "scenes": shard.scenes})
        else:
            shard = LatentSet(
                cast("Tensor", saved["latents"]), cast("list[Scene]", saved["scenes"])
            )
        sets.append(shard)
        progress.report((i + 1) * SHARD)
    return LatentSet.joined(sets)
