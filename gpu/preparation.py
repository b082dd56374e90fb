"""From jobs to tensors that steps can begin with: words and pixels encoded, noise drawn.

Knows nothing of plans, threads or devices' streams: whoever asks says where it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpu import inpaint
from gpu.hires import Refinement, composed_at, enlarged
from gpu.models.family import Reading, Steering
from gpu.painting import Blend, Control, Painting, free_from, touched, turned

if TYPE_CHECKING:
    from gpu.api import Job
    from gpu.models.family import ControlNet, Family, Words
    from gpu.samplers.table import Table, Tables


_PAINTED = 128
"""From here on a mask's pixel is a hole, as diffusers rounds."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a pass begins."""

    table: Table
    latents: Tensor
    blend: Blend | None = None


class Preparation:
    def __init__(self, family: Family, tables: Tables) -> None:
        self._family = family
        self._tables = tables

    def prepare(self, job: Job) -> Painting:
        """Encode a job's words and pixels and draw its noise. Raises ValueError if it can't be.

        All noise comes from the job's own CPU generator, in the order of diffusers' pipelines,
        so a seed's picture depends neither on the device nor on who shares the batch (G2).
        """
        self._check(job)
        whole = inpaint.region(job, self._family.native_px, self._family.multiple_px)
        refinement = self._refinement(job, whole)
        region = whole if refinement is None else refinement.composed
        pixels = None if region.image is None else _signed(region.image)
        generator = torch.Generator().manual_seed(job.seed)
        control = self._control(job, inpaint.control_image(job, region), generator)
        start = self._start(job, region, pixels, generator)
        surroundings = self._surroundings(region, pixels, generator)
        adapters = self._family.take_adapters(job.loras)
        prompt, negative = self._read(job, Reading(job.clip_skip, adapters))
        return Painting(
            job=job.id,
            model=job.model,
            region=region,
            table=start.table,
            latents=start.latents,
            prompt=prompt,
            negative=negative,
            guidance=job.guidance,
            adapters=adapters,
            generator=generator,
            blend=start.blend,
            control=control,
            surroundings=surroundings,
            refinement=refinement,
        )

    def refine(self, painting: Painting, decoded: Tensor, job: Job) -> Painting:
        """The second pass of a painting that has one (G49), of what its first pass decoded to,
        (1, 3, h, w) fp32 in [-1, 1] on the CPU. The job's own pictures may be gone by then.

        Its noise is the seed's again, so it is what image to image makes of the enlarged picture.
        """
        refinement = painting.refinement
        assert refinement is not None
        pixels = enlarged(decoded, refinement)
        where = refinement.painted
        generator = torch.Generator().manual_seed(job.seed)
        again = msgspec.structs.replace(job, strength=refinement.strength)
        control = painting.control
        if control is not None and refinement.control is not None:
            seen = self._seen(control.steering.control, refinement.control, generator)
            control = control.seeing(seen)
        start = self._start(again, where, pixels, generator)
        return replace(
            painting,
            region=refinement.whole,
            table=start.table,
            latents=start.latents,
            generator=generator,
            blend=start.blend,
            control=control,
            surroundings=self._surroundings(where, pixels, generator),
            refinement=None,
            x0=None,
            kept=None,
            step=0,
            steps_before=painting.steps_before + painting.step,
        )

    def _refinement(self, job: Job, whole: inpaint.Region) -> Refinement | None:
        if job.hires_strength <= 0:
            return None
        composed = composed_at(whole, self._family.native_px, self._family.multiple_px)
        if composed is None:
            return None
        first = self._tables.first_step(job.steps, job.hires_strength)
        size = self._latent_size(whole)
        table = self._tables.table(job.sampler, job.steps, first, job.hires_strength >= 1, size)
        seen = inpaint.control_image(job, whole)
        return Refinement(whole, composed, job.hires_strength, table, seen)

    def _check(self, job: Job) -> None:
        multiple = self._family.multiple_px
        if job.width % multiple or job.height % multiple:
            raise ValueError(
                f"expected width and height in multiples of {multiple} pixels, got "
                f"{job.width}x{job.height}: change the frame's size"
            )

    def _control(
        self, job: Job, picture: Image.Image | None, generator: torch.Generator
    ) -> Control | None:
        if picture is None or job.control is None:
            return None
        network = self._family.take_control(job.control.name)
        steering = Steering(network, self._seen(network, picture, generator), job.control.strength)
        return Control(steering, job.control.start, job.control.end)

    def _seen(
        self, network: ControlNet, picture: Image.Image, generator: torch.Generator
    ) -> Tensor:
        """What steers is encoded once for all steps, and before all else that draws."""
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        return network.see(pixels.to(self._family.device), generator)[0]

    def _read(self, job: Job, reading: Reading) -> tuple[Words, Words | None]:
        if job.guidance <= 1 or self._family.takes_guidance:
            return self._family.encode_prompt(job.prompt, reading), None
        return self._family.encode_pair(job.prompt, job.negative, reading)

    def _encode(
        self, job: Job, region: inpaint.Region, pixels: Tensor | None, generator: torch.Generator
    ) -> Tensor | None:
        is_left_over = job.strength < 1 or region.empty is not None
        is_blended = region.redo is not None and not self._family.fills
        if pixels is None or not (is_left_over or is_blended):
            return None
        return self._family.encode_image(pixels, generator)[0]

    def _surroundings(
        self, region: inpaint.Region, pixels: Tensor | None, generator: torch.Generator
    ) -> Tensor | None:
        """What a family that fills holes is shown in each step, (1 + C, h, w)."""
        family = self._family
        if family.fills:
            hole = inpaint.hole(region)
            cells = torch.from_numpy(touched(hole, family.latent_factor))[None]
            picture = _signed(Image.new("RGB", region.size)) if pixels is None else pixels
            around = picture * torch.from_numpy(np.array(hole) < _PAINTED)
            encoded = family.encode_image(around, generator)[0]
            return torch.cat([cells.to(encoded), encoded])
        if family.draws_posterior and (region.redo is not None or region.empty is not None):
            # Diffusers' pipelines encode what is around for every model: their noise comes after.
            self._draw(region, generator)
        return None

    def _latent_size(self, region: inpaint.Region) -> tuple[int, int]:
        width, height = region.size
        return height // self._family.latent_factor, width // self._family.latent_factor

    def _draw(self, region: inpaint.Region, generator: torch.Generator) -> Tensor:
        # The leading 1 makes the draw the same as that of a pipeline with a batch of one.
        shape = (1, self._family.latent_channels, *self._latent_size(region))
        return torch.randn(shape, generator=generator)[0]

    def _start(
        self, job: Job, region: inpaint.Region, pixels: Tensor | None, generator: torch.Generator
    ) -> _Start:
        """Where a pass begins from `pixels`, (1, 3, H, W) in [-1, 1], at the job's strength."""
        known = self._encode(job, region, pixels, generator)
        first = 0
        if known is not None and region.empty is None:
            first = self._tables.first_step(job.steps, job.strength)
        from_noise = known is None or (region.empty is None and job.strength >= 1)
        size = self._latent_size(region)
        table = self._tables.table(job.sampler, job.steps, first, from_noise, size)
        noise = self._draw(region, generator)
        if job.variation > 0:
            other = torch.Generator().manual_seed(job.variation_seed)
            noise = turned(noise, self._draw(region, other), job.variation)
        noise = noise.to(self._family.device)
        signal, sigma = table.start.tolist()
        if known is None:
            return _Start(table, noise * sigma)
        latents = known * signal + noise * sigma
        if region.redo is None and region.empty is None:
            return _Start(table, latents)
        begins = self._tables.first_step(job.steps, job.strength) * table.rows_per_step
        free = free_from(region, self._family.latent_factor, begins, fills=self._family.fills)
        if not bool(free.any()):
            return _Start(table, latents)
        return _Start(table, latents, Blend(known, noise, free.to(self._family.device)))


def _signed(picture: Image.Image) -> Tensor:
    """RGB to (1, 3, H, W) fp32 in [-1, 1]."""
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    return pixels.float() / 127.5 - 1
