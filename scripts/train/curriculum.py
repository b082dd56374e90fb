"""What the UNet sees when: centred things on plain colours, then places, then other shapes.

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

if TYPE_CHECKING:
    from .scenes import Scene, Stage

OTHER_SHAPES: Final[tuple[Shape, ...]] = ((192, 320), (320, 192), (192, 192), (320, 320))
# Every so many batches one of another shape, all of one shape since a batch is one tensor.
_SHAPED_EVERY: Final = 5
OpenLatents = Callable[["Stage", Shape, int], LatentSet]


@dataclass(frozen=True, slots=True)
class CurriculumPlan:
    """When the stages begin, in samples, and how many scenes each has."""

    placed_from: int = 12_800
    shaped_from: int = 36_000
    centred_scenes: int = 5_000
    placed_scenes: int = 12_000
    shaped_scenes: int = 1_000


class Curriculum:
    """Chooses batches. Scenes are drawn and encoded when their stage begins."""

    def __init__(self, plan: CurriculumPlan, open_latents: OpenLatents, seed: int) -> None:
        self._plan, self._open = plan, open_latents
        self._rng = random.Random(seed)
        self._sets: dict[tuple[Stage, Shape], LatentSet] = {}

    def batch(self, samples: int, size: int) -> tuple[Tensor, list[Scene]]:
        """Latents (size, 16, height, width) and their scenes, after `samples` were seen."""
        plan = self._plan
        if samples < plan.placed_from:
            return self._set("centred", SQUARE, plan.centred_scenes).pick(self._rng, size)
        if samples >= plan.shaped_from and self._rng.randrange(_SHAPED_EVERY) == 0:
            shape = self._rng.choice(OTHER_SHAPES)
            return self._set("placed", shape, plan.shaped_scenes).pick(self._rng, size)
        near, near_scenes = self._set("centred", SQUARE, plan.centred_scenes).pick(
            self._rng, size // 4
        )
        far, far_scenes = self._set("placed", SQUARE, plan.placed_scenes).pick(
            self._rng, size - size // 4
        )
        return torch.cat([near, far]), near_scenes + far_scenes

    def _set(self, stage: Stage, shape: Shape, count: int) -> LatentSet:
        if (stage, shape) not in self._sets:
            self._sets[stage, shape] = self._open(stage, shape, count)
        return self._sets[stage, shape]
