"""A job's tensors between two steps, and what of them stays as it is.

Knows nothing of models, batches in turn, or threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gpu.samplers.table import Table, start_step
from gpu.sched.work import Demand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu import inpaint
    from gpu.api import Job, JobId

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


@dataclass(slots=True)
class Painting:
    """One job's tensors. `latents` (C, h, w) fp32 are scaled as `Table` says."""

    job: JobId
    region: inpaint.Region
    table: Table
    latents: Tensor
    prompt: Tensor
    negative: Tensor | None
    guidance: float
    generator: torch.Generator
    blend: Blend | None = None
    x0: Tensor | None = None
    step: int = 0
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
        kept = (self.blend.known, self.blend.noise, self.blend.free_from) if self.blend else ()
        for tensor in (self.latents, self.prompt, self.negative, *kept):
            if tensor is not None:
                # Its memory may not be given away in the stream it came from before ours is done.
                tensor.record_stream(stream)

    @property
    def demand(self) -> Demand:
        shape = (int(self.latents.shape[1]), int(self.latents.shape[2]))
        return Demand(shape, 1 if self.negative is None else 2, self.table.num_steps)


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


def keep_known(
    paintings: Sequence[Painting], following: Tensor, x0: Tensor
) -> tuple[Tensor, Tensor]:
    """Put what is not to be painted back, at the noise level that each row has reached."""
    blends = [painting.blend for painting in paintings]
    model = next((blend for blend in blends if blend is not None), None)
    if model is None:
        return following, x0
    blank = Blend(torch.zeros_like(model.known), model.noise, torch.zeros_like(model.free_from))
    blends_or_blank = [blend or blank for blend in blends]
    known = torch.stack([blend.known for blend in blends_or_blank])
    noise = torch.stack([blend.noise for blend in blends_or_blank])
    free_from = torch.stack([blend.free_from for blend in blends_or_blank])
    steps = torch.tensor([painting.step for painting in paintings], dtype=torch.int32)
    levels = torch.stack([p.table.levels[p.step + 1] for p in paintings])
    if following.is_cuda:
        steps, levels = steps.pin_memory(), levels.pin_memory()
    steps = steps.to(following.device, non_blocking=True).reshape(-1, 1, 1, 1)
    signal, sigma = levels.to(following.device, non_blocking=True).t().reshape(2, -1, 1, 1, 1)
    keep = free_from > steps
    renoised = known * signal + noise * sigma
    return torch.where(keep, renoised, following), torch.where(keep, known, x0)


def free_from(region: inpaint.Region, job: Job, factor: int) -> Tensor:
    """(1, h, w) int32 for `Blend`: a cell is painted if any of its pixels is."""
    width, height = region.size
    cells = np.full((height // factor, width // factor), _NEVER, np.int32)
    begins = start_step(job.steps, job.strength) if region.empty is not None else 0
    for mask, step in ((region.redo, begins), (region.empty, 0)):
        if mask is not None:
            blocks = np.asarray(mask).reshape(height // factor, factor, width // factor, factor)
            cells[blocks.max((1, 3)) > _TOUCHED] = step
    return torch.from_numpy(cells)[None]
