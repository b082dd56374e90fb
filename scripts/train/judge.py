"""A small CNN that says what a picture shows: the measure of whether prompts are followed.

It is trained on rendered scenes only, partly after a pass through the autoencoder. Its own
accuracy on fresh renders stands beside every figure that it gives.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import to_pictures, to_tensor
from .colours import COLOURS
from .devices import Device, Progress, freeze, load_checkpoint, save_checkpoint, seed_everything
from .places import PLACES
from .scenes import POSITIONS, Scene, draw_scene, sample_scene
from .things import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderTiny

INPUT_PX: Final = 64
_BATCH: Final = 64
_POOL: Final = 6000
_THROUGH: Final = 1500

ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "kind": KINDS,
    "colour": tuple(COLOURS),
    "place": PLACES,
    "position": tuple(POSITIONS),
}


class Judge(nn.Module):
    """Logits for each attribute from pictures float32 (batch, 3, 64, 64) in -1..1."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 64, 96)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.GELU()]
        self.features = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(96 * 16, len(values)) for name, values in ATTRIBUTES.items()}
        )

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = self.features(pictures).flatten(1)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def verdicts(self, pictures: list[np.ndarray]) -> list[dict[str, str]]:
        """What each picture, uint8 (height, width, 3), shows."""
        logits = self(shrink(pictures))
        chosen = {name: value.argmax(1).tolist() for name, value in logits.items()}
        return [
            {name: ATTRIBUTES[name][indices[i]] for name, indices in chosen.items()}
            for i in range(len(pictures))
        ]


def shrink(pictures: list[np.ndarray]) -> Tensor:
    """Pictures of one size as the judge's input."""
    return F.interpolate(to_tensor(pictures), size=(INPUT_PX, INPUT_PX), mode="area")


def _labels(scenes: list[Scene]) -> dict[str, Tensor]:
    return {
        name: torch.tensor([values.index(getattr(scene, name)) for scene in scenes])
        for name, values in ATTRIBUTES.items()
    }


@torch.no_grad()
def reconstruct(vae: AutoencoderTiny, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Pictures after a pass through the autoencoder."""
    device = next(vae.parameters()).device
    out: list[np.ndarray] = []
    for i in range(0, len(pictures), 20):
        batch = to_tensor(pictures[i : i + 20]).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            out += to_pictures(vae.decoder(vae.encoder(batch)))
    return out


def _scenes(seed: int, count: int) -> list[Scene]:
    rng = random.Random(seed)
    return [
        sample_scene(rng, "placed" if rng.random() < 0.8 else "centred", rng.random() < 0.1)
        for _ in range(count)
    ]


def _disturb(batch: Tensor, rng: random.Random) -> Tensor:
    """Blur, noise and a small shift: what samples have and renders lack."""
    if rng.random() < 0.5:
        small = F.avg_pool2d(batch, 2)
        batch = F.interpolate(small, scale_factor=2, mode="bilinear")
    batch = batch + torch.randn_like(batch) * (0.08 * rng.random())
    return torch.roll(batch, (rng.randint(-2, 2), rng.randint(-2, 2)), (2, 3))


def _lessons(vae: AutoencoderTiny, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Small pictures, some of them after the autoencoder, and what they show."""
    scenes = _scenes(seed, _POOL)
    pictures = [draw_scene(scene) for scene in scenes]
    pictures += reconstruct(vae, pictures[:_THROUGH])
    small = [shrink(pictures[i : i + 100]) for i in range(0, len(pictures), 100)]
    return torch.cat(small), _labels([*scenes, *scenes[:_THROUGH]])


def train_judge(
    folder: Path, device: Device, vae: AutoencoderTiny, seed: int, num_steps: int
) -> Judge:
    """Trains the judge into `folder`, or loads it from there."""
    judge = Judge()
    saved = load_checkpoint(folder / "judge.pt")
    if saved is not None:
        judge.load_state_dict(cast("dict[str, Tensor]", saved["model"]))
        return cast("Judge", freeze(judge))
    seed_everything(seed)
    small, labels = _lessons(vae, seed)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    rng, progress = random.Random(seed), Progress("judge", num_steps, 200)
    for step in range(num_steps):
        rows = torch.randint(0, len(small), (_BATCH,))
        logits = judge(_disturb(small[rows], rng))
        losses = [F.cross_entropy(logits[name], labels[name][rows]) for name in ATTRIBUTES]
        loss = torch.stack(losses).sum()
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1.01 - step / num_steps)
        optimiser.step()
        optimiser.zero_grad()
        progress.report(step + 1, loss=loss.item())
    save_checkpoint(folder / "judge.pt", {"model": judge.state_dict()})
    return cast("Judge", freeze(judge))


def accuracy(judge: Judge, pictures: list[np.ndarray], scenes: list[Scene]) -> dict[str, float]:
    """Share of pictures judged to show their scene's attribute, and all of them."""
    verdicts: list[dict[str, str]] = []
    for i in range(0, len(pictures), 100):
        verdicts += judge.verdicts(pictures[i : i + 100])
    right = {
        name: [v[name] == getattr(s, name) for v, s in zip(verdicts, scenes, strict=True)]
        for name in ATTRIBUTES
    }
    figures = {name: float(np.mean(hits)) for name, hits in right.items()}
    figures["all"] = float(np.mean([all(hits) for hits in zip(*right.values(), strict=True)]))
    return figures


def own_accuracy(
    judge: Judge, vae: AutoencoderTiny, seed: int, count: int = 400
) -> dict[str, dict[str, float]]:
    """The judge's accuracy on fresh renders, and on them after the autoencoder."""
    scenes = _scenes(seed, count)
    pictures = [draw_scene(scene) for scene in scenes]
    return {
        "renders": accuracy(judge, pictures, scenes),
        "through_autoencoder": accuracy(judge, reconstruct(vae, pictures), scenes),
    }
