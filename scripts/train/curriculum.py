"""What the UNet sees when: centred things, then places, then several things, then other shapes.

Kinds are learnt from large centred things; everything else comes on top and never replaces them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from .latents import SQUARE, LatentSet, Shape
from .sampling import STAGES
from .scenes import layout

if TYPE_CHECKING:
    from .sampling import Stage
    from .scenes import Scene, Spot

OTHER_SHAPES: Final[tuple[Shape, ...]] = (
    (192, 192), (320, 320), (192, 288), (288, 192), (256, 384), (384, 256),
)  # fmt: skip
# One picture in so many is of another shape, and each step sees some of both. As steps of their
# own, other shapes pull hard to one side, since they are known less well, and nothing pulls back in
# time: the share of kinds that are told apart fell from .19 to .08 in 30,000 pictures.
_SHAPED_SHARE: Final = 16
# How much more an error counts where a thing is. Most cells of a picture are background, which is
# learnt in no time; small things would otherwise be learnt last.
_THING_WEIGHT: Final = 3.0
OpenLatents = Callable[["Stage", Shape, int], LatentSet]


@dataclass(frozen=True, slots=True)
class CurriculumPlan:
    """When the stages begin, in samples, and how many scenes each has."""

    placed_from: int = 20_000
    composed_from: int = 50_000
    shaped_from: int = 120_000
    centred_scenes: int = 3_000
    placed_scenes: int = 8_000
    composed_scenes: int = 8_000
    shaped_scenes: int = 1_000


class Curriculum:
    """Chooses batches. Scenes are drawn and encoded when their stage begins."""

    def __init__(self, plan: CurriculumPlan, open_latents: OpenLatents, seed: int) -> None:
        self._plan, self._open = plan, open_latents
        self._rng = random.Random(seed)
        self._sets: dict[tuple[Stage, Shape], LatentSet] = {}

    def batches(self, samples: int, size: int) -> list[tuple[Tensor, list[Scene]]]:
        """What one step sees after `samples` were seen: `size` pictures, a batch for each shape.

        Latents are (pictures, 16, height, width), with their scenes.
        """
        shaped = size // _SHAPED_SHARE if samples >= self._plan.shaped_from else 0
        batches = [self._squares(samples, size - shaped)]
        if shaped:
            stage, shape = self._rng.choice(STAGES[1:]), self._rng.choice(OTHER_SHAPES)
            batches.append(
                self._set(stage, shape, self._plan.shaped_scenes).pick(self._rng, shaped)
            )
        return batches

    def _squares(self, samples: int, size: int) -> tuple[Tensor, list[Scene]]:
        parts = [
            self._set(stage, SQUARE, self._num_scenes(stage)).pick(self._rng, count)
            for stage, count in self.mixture(samples, size).items()
        ]
        latents = torch.cat([part for part, _ in parts])
        return latents, [scene for _, scenes in parts for scene in scenes]

    def mixture(self, samples: int, size: int) -> dict[Stage, int]:
        """How many of a batch of square pictures come from each stage."""
        if samples < self._plan.placed_from:
            return {"centred": size}
        if samples < self._plan.composed_from:
            centred = size * 3 // 8
            return {"centred": centred, "placed": size - centred}
        # Most of what is placed is in the middle too, and is known by now.
        centred = size // 6
        placed = size * 5 // 12
        return {"centred": centred, "placed": placed, "composed": size - centred - placed}

    def _num_scenes(self, stage: Stage) -> int:
        plan = self._plan
        return {
            "centred": plan.centred_scenes,
            "placed": plan.placed_scenes,
            "composed": plan.composed_scenes,
        }[stage]

    def _set(self, stage: Stage, shape: Shape, count: int) -> LatentSet:
        if (stage, shape) not in self._sets:
            self._sets[stage, shape] = self._open(stage, shape, count)
        return self._sets[stage, shape]


def emphasis(
    scenes: list[Scene],
    height: int,
    width: int,
    arrange: Callable[[Scene], list[Spot]] = layout,
) -> Tensor:
    """Weights of the latents' cells, float32 (batch, 1, height, width), 1 on average."""
    weights = torch.ones(len(scenes), 1, height, width)
    side = min(height, width)
    for row, scene in zip(weights, scenes, strict=True):
        for spot in arrange(scene):
            x, y = width * (0.5 + spot.right), height * (0.5 + spot.down)
            reach = side * spot.extent * 1.1
            top, bottom = max(0, round(y - reach)), max(0, round(y + reach))
            left, right = max(0, round(x - reach)), max(0, round(x + reach))
            row[0, top:bottom, left:right] = _THING_WEIGHT
    return weights / weights.mean()
