"""What the UNet sees when: centred things, then places, then several things, then other shapes.

Kinds are learnt from large centred things; everything else comes on top and never replaces them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .drawings import SQUARE, Order, Shape, shards
from .latents import Batch, LatentSet
from .sampling import STAGES

if TYPE_CHECKING:
    from .sampling import Stage

OTHER_SHAPES: Final[tuple[Shape, ...]] = (
    (192, 192), (320, 320), (384, 384), (192, 288), (288, 192), (256, 384), (384, 256),
)  # fmt: skip
# One picture in so many is of another shape, and each step sees some of both. As steps of their
# own, other shapes pull hard to one side, since they are known less well, and nothing pulls back in
# time: the share of kinds that are told apart fell from .19 to .08 in 30,000 pictures.
_SHAPED_SHARE: Final = 12
OpenLatents = Callable[[list[Order]], Iterator[LatentSet]]


@dataclass(frozen=True, slots=True)
class CurriculumPlan:
    """When the stages begin, in samples, and how many scenes each has.

    Of each stage's scenes the first are drawn when it begins, the last at `drawn_by`.
    """

    placed_from: int = 40_000
    composed_from: int = 80_000
    shaped_from: int = 150_000
    drawn_by: int = 200_000
    centred_scenes: int = 4_000
    placed_scenes: int = 24_000
    composed_scenes: int = 24_000
    shaped_scenes: int = 1_000

    def orders(self, seed: int) -> list[tuple[int, Order]]:
        """What is to be drawn, and by how many samples, in that order."""
        starts: dict[Stage, int] = {
            "centred": 0, "placed": self.placed_from, "composed": self.composed_from,
        }  # fmt: skip
        counts: dict[Stage, int] = {
            "centred": self.centred_scenes,
            "placed": self.placed_scenes,
            "composed": self.composed_scenes,
        }
        orders = [
            order
            for stage, start in starts.items()
            for order in self._spread(stage, SQUARE, counts[stage], start, seed)
        ]
        for stage in STAGES[1:]:
            for shape in OTHER_SHAPES:
                orders += self._spread(stage, shape, self.shaped_scenes, self.shaped_from, seed)
        return sorted(orders, key=lambda due: due[0])

    def _spread(
        self, stage: Stage, shape: Shape, count: int, start: int, seed: int
    ) -> list[tuple[int, Order]]:
        span = max(0, self.drawn_by - start)
        return [
            (start + span * (shard.seed - seed) // count, shard)
            for shard in shards(Order(stage, seed, count, shape))
        ]


class Curriculum:
    """Chooses batches. Scenes come as the plan has them."""

    def __init__(self, plan: CurriculumPlan, open_latents: OpenLatents, seed: int) -> None:
        self._plan = plan
        self._rng = random.Random(seed)
        self._sets: dict[tuple[Stage, Shape], LatentSet] = {}
        self._due = plan.orders(seed)
        self._drawn = open_latents([order for _, order in self._due])

    def batches(self, samples: int, size: int) -> list[Batch]:
        """What one step sees after `samples` were seen: `size` pictures, a batch for each shape."""
        self._fetch(samples)
        shaped = size // _SHAPED_SHARE if samples >= self._plan.shaped_from else 0
        mixture = self.mixture(samples, size - shaped)
        squares = [self._sets[stage, SQUARE].pick(count) for stage, count in mixture.items()]
        batches = [Batch.joined(squares)]
        if shaped:
            stage, shape = self._rng.choice(STAGES[1:]), self._rng.choice(OTHER_SHAPES)
            batches.append(self._sets[stage, shape].pick(shaped))
        return batches

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

    def _fetch(self, samples: int) -> None:
        while self._due and self._due[0][0] <= samples:
            _, order = self._due.pop(0)
            key = order.stage, order.shape
            more = next(self._drawn)
            self._sets[key] = LatentSet.joined([*filter(None, [self._sets.get(key)]), more])
