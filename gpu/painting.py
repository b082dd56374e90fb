"""A job's tensors between two steps, and what of them stays as it is.

Knows nothing of models, batches in turn, or threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gpu.models.family import Row
from gpu.sched.work import Demand, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from gpu import inpaint
    from gpu.api import JobId
    from gpu.hires import Refinement
    from gpu.models.family import Adapters, Steering, Words
    from gpu.samplers.table import Table

_NEVER = 1 << 20
_TOUCHED = 16
"""Mask values up to this are an edge's softness, not a wish."""


@dataclass(frozen=True, slots=True)
class Blend:
    """Keeps parts of a picture as they are: latent blending (Avrahami et al. 2023).

    `known` (C, h, w) is the encoded picture; a cell of `free_from` (1, h, w) int32 says from
    which step on it is painted: 0 where there was nothing, `_NEVER` outside of the mask.
    """

    known: Tensor
    noise: Tensor
    free_from: Tensor


@dataclass(frozen=True, slots=True)
class Control:
    """What steers a picture, from the part `start` of its steps to the part `end`."""

    steering: Steering
    start: float
    end: float

    def at(self, step: int, num_steps: int) -> Steering | None:
        """As diffusers counts: only steps that lie wholly between start and end are steered."""
        inside = step / num_steps >= self.start and (step + 1) / num_steps <= self.end
        return self.steering if inside else None

    def seeing(self, seen: Tensor) -> Control:
        """The same of another picture."""
        return replace(self, steering=replace(self.steering, seen=seen))


@dataclass(slots=True)
class Painting:
    """One job's tensors. `latents` (C, h, w) fp32 are scaled as `Table` says."""

    job: JobId
    model: str
    region: inpaint.Region
    table: Table
    latents: Tensor
    prompt: Words
    negative: Words | None
    guidance: float
    adapters: Adapters
    generator: torch.Generator
    blend: Blend | None = None
    control: Control | None = None
    surroundings: Tensor | None = None
    """See `gpu.models.family.Row`."""
    x0: Tensor | None = None
    kept: Tensor | None = None
    """(2, C, h, w): what some samplers remember besides, see `Table.memory`."""
    step: int = 0
    refinement: Refinement | None = None
    """The pass that follows this one."""
    steps_before: int = 0
    """Those of the pass before this one."""
    drawn: tuple[int, Tensor] | None = None
    """The noise of one step: a step that is tried again must not draw anew."""
    prepared: Any = None
    """CUDA event after which the tensors hold what they should."""

    def take_over(self) -> None:
        """Make the tensors safe to use in the current CUDA stream, whichever they came from."""
        if self.prepared is None:
            return
        stream = torch.cuda.current_stream()
        stream.wait_event(self.prepared)
        for tensor in self._tensors():
            # Its memory may not be given away in the stream it came from before ours is done.
            tensor.record_stream(stream)

    def _tensors(self) -> Iterator[Tensor]:
        tensors = [self.latents, self.surroundings]
        for words in (self.prompt, self.negative):
            tensors += (words.tokens, words.pooled) if words else ()
        if self.blend:
            tensors += (self.blend.known, self.blend.noise, self.blend.free_from)
        if self.control:
            tensors.append(self.control.steering.seen)
        return (tensor for tensor in tensors if tensor is not None)

    def rows(self) -> tuple[Row, Row | None]:
        """The next step's row, and its unconditional twin if it has one."""
        row = Row(self.prompt, self.guidance, self.adapters, self.steering, self.surroundings)
        return row, None if self.negative is None else replace(row, words=self.negative)

    @property
    def steering(self) -> Steering | None:
        """What steers the next step."""
        if self.control is None:
            return None
        return self.control.at(self.step, self.table.num_steps)

    @property
    def demand(self) -> Demand:
        shape = Shape(int(self.latents.shape[1]), int(self.latents.shape[2]), self.model)
        rows, num_steps = 1 if self.negative is None else 2, self.table.num_steps
        demand = Demand(shape, rows, num_steps, self._extra(num_steps))
        return demand if self.refinement is None else replace(demand, later=self._later(demand))

    def _later(self, demand: Demand) -> float:
        """What the second pass will cost: its steps are as many times dearer as its pixels more."""
        assert self.refinement is not None
        num_steps = self.refinement.table.num_steps
        (width, height), (less_wide, less_high) = self.refinement.whole.size, self.region.size
        larger = width * height / (less_wide * less_high)
        plain = demand.cost / (1 + demand.extra)
        return num_steps * plain * larger * (1 + self._extra(num_steps))

    @property
    def num_steps(self) -> int:
        """Evaluations of the model in all of its passes."""
        later = 0 if self.refinement is None else self.refinement.table.num_steps
        return self.steps_before + self.table.num_steps + later

    def _extra(self, num_steps: int) -> float:
        """What the control adds to each of so many steps on average, as a part of a plain one."""
        if self.control is None:
            return 0.0
        steered = sum(self.control.at(step, num_steps) is not None for step in range(num_steps))
        return self.control.steering.control.cost * steered / num_steps


def turned(noise: Tensor, towards: Tensor, part: float) -> Tensor:
    """`noise` turned by a part of the angle to `towards` (spherical interpolation, Shoemake
    1985): a straight mixture would have less noise than the sampler expects."""
    cosine = (noise * towards).sum() / (noise.norm() * towards.norm())
    angle = torch.acos(cosine.double().clamp(-1, 1))
    if float(torch.sin(angle)) < 1e-6:
        return noise.lerp(towards, part)
    first, second = torch.sin((1 - part) * angle), torch.sin(part * angle)
    return (noise * first + towards * second).div(torch.sin(angle)).to(noise.dtype)


def draw_noise(painting: Painting) -> Tensor:
    """This step's noise (C, h, w) on the CPU, drawn once even if the step is tried again."""
    if painting.drawn is not None and painting.drawn[0] == painting.step:
        return painting.drawn[1]
    if not painting.table.draws_noise(painting.step):
        return torch.zeros(painting.latents.shape)
    # The leading 1 makes the draw the same as that of a pipeline with a batch of one.
    noise = torch.randn((1, *painting.latents.shape), generator=painting.generator)[0]
    painting.drawn = (painting.step, noise)
    return noise


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step made of its rows: latents and predicted x0 (B, C, h, w), and what samplers are
    to remember, (B, 2, C, h, w) or None where none does."""

    latents: Tensor
    x0: Tensor
    kept: Tensor | None


def keep_known(paintings: Sequence[Painting], before: Tensor, made: Stepped) -> Stepped:
    """Put what is not to be painted back, at the noise level that each row has reached.

    `before` are the latents that the step began with.
    """
    blends = [painting.blend for painting in paintings]
    model = next((blend for blend in blends if blend is not None), None)
    if model is None:
        return made
    blank = Blend(torch.zeros_like(model.known), model.noise, torch.zeros_like(model.free_from))
    blends_or_blank = [blend or blank for blend in blends]
    known = torch.stack([blend.known for blend in blends_or_blank])
    noise = torch.stack([blend.noise for blend in blends_or_blank])
    free_from = torch.stack([blend.free_from for blend in blends_or_blank])
    steps = torch.tensor([painting.step for painting in paintings], dtype=torch.int32)
    levels = torch.stack([p.table.levels[p.step + 1] for p in paintings])
    if before.is_cuda:
        steps, levels = steps.pin_memory(), levels.pin_memory()
    steps = steps.to(before.device, non_blocking=True).reshape(-1, 1, 1, 1)
    signal, sigma = levels.to(before.device, non_blocking=True).t().reshape(2, -1, 1, 1, 1)
    keep = free_from > steps
    renoised = known * signal + noise * sigma
    kept = made.kept
    if kept is not None:
        kept = torch.where(keep[:, None], torch.stack([before, known], 1), kept)
    return Stepped(
        torch.where(keep, renoised, made.latents), torch.where(keep, known, made.x0), kept
    )


def free_from(region: inpaint.Region, factor: int, first: int, *, fills: bool) -> Tensor:
    """(1, h, w) int32 for `Blend`: a cell is painted if any of its pixels is.

    What is painted anew begins at row `first` if there are empty parts too. A model that fills
    holes sees what is around them: there nothing has to be kept for it.
    """
    width, height = region.size
    cells = np.full((height // factor, width // factor), 0 if fills else _NEVER, np.int32)
    begins = first if region.empty is not None else 0
    for mask, step in ((region.redo, begins), (region.empty, 0)):
        if mask is not None:
            cells[touched(mask, factor)] = step
    return torch.from_numpy(cells)[None]


def touched(mask: Image.Image, factor: int) -> np.ndarray:
    """(h, w) bool: the latent cells of which any pixel is to be painted."""
    width, height = mask.size
    blocks = np.asarray(mask).reshape(height // factor, factor, width // factor, factor)
    return blocks.max((1, 3)) > _TOUCHED
