"""Where arms meet: one machine, one model, one latent shape, and what a forward costs there."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from scripts.benchmarks.arms.bare import Bare
from scripts.benchmarks.arms.ours import Ours, Watched, learnt_costs
from scripts.benchmarks.arms.parts import load_parts
from scripts.benchmarks.loads import STEPS
from scripts.benchmarks.virtual import USUAL_FORWARD_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu.sched.cost import CostModel
    from scripts.benchmarks.arms.parts import Arm, Emit, Parts

CURVE = (1, 2, 3, 4, 6, 8, 12, 16)
Curve = dict[int, float]
"""Seconds of a bare forward by its number of rows."""


@dataclass(slots=True)
class Field:
    parts: Parts
    side_px: int
    threads: int
    seconds: float
    """How long a load is played; given for a machine on which a row takes `USUAL_FORWARD_S`."""
    repeats: int
    curve: Curve = field(default_factory=dict)
    decode_s: float = 0.0
    costs: CostModel = field(init=False)
    runner: Watched = field(init=False)

    def __post_init__(self) -> None:
        self.runner = Watched(self.parts)
        self.costs = learnt_costs(self.parts)
        self.curve = self.measure_curve(self.side)
        self.decode_s = self.measure_decoding()
        self.seconds *= self.pace

    @property
    def pace(self) -> float:
        """How slow this machine is: people take their time by it, so that a load is as heavy on
        a slow or busy machine as on a fast one."""
        return self.curve[1] / USUAL_FORWARD_S

    @property
    def few(self) -> int:
        """Repeats of the loads that no promise hangs on."""
        return max(1, self.repeats // 2)

    @property
    def side(self) -> int:
        """Of the latents."""
        return self.side_px // self.parts.family.latent_factor

    @property
    def row_s(self) -> float:
        """Seconds of a row in the batch where it costs least."""
        return min(seconds / rows for rows, seconds in self.curve.items())

    @property
    def capacity_per_s(self) -> float:
        """Pictures a second that no engine can exceed on these cores: best batches, decoding."""
        return 1 / (STEPS * self.row_s + self.decode_s)

    @property
    def batching_allows(self) -> float:
        """How many times as many pictures as one by one batching can make."""
        return (STEPS * self.curve[1] + self.decode_s) * self.capacity_per_s

    def ours(self, emit: Emit) -> Arm:
        return Ours(self.runner, self.costs, emit)

    def measure_curve(self, side: int) -> Curve:
        """Medians of rounds over all sizes of batch, so that a slow moment meets all of them."""
        bare = {rows: Bare(self.parts, rows, side) for rows in CURVE}
        taken: dict[int, list[float]] = {rows: [] for rows in bare}
        for one in bare.values():
            # The first forward of a shape sets up what later ones use again.
            one.forward()
        for _ in range(3 * self.repeats):
            for rows, one in bare.items():
                taken[rows].append(one.forward())
        return {rows: statistics.median(seconds) for rows, seconds in taken.items()}

    def measure_decoding(self) -> float:
        """Seconds from latents to a PNG."""
        latents = torch.zeros(1, self.parts.family.latent_channels, self.side, self.side)
        return statistics.median(_seconds(lambda: self.parts.png(latents)) for _ in range(5))


def _seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def open_field(model: Path, threads: int, side_px: int, seconds: float, repeats: int) -> Field:
    """Load the model for all arms, in the number format that the worker would choose."""
    from gpu.device import choose_dtype
    from gpu.models.family import LoadOptions

    torch.set_num_threads(threads)
    device = torch.device("cpu")
    options = LoadOptions(model, device, choose_dtype("auto", device))
    return Field(load_parts(options), side_px, threads, seconds, repeats)
