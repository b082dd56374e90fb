"""Owns every tensor: prepares jobs, executes step plans on them, and decodes what came out.

`prepare` and `finish` may run on other threads than `step`; each touches only its own job's
tensors. Knows nothing of queues, turns or events, and a step never waits for the device.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpu import inpaint
from gpu.pacing import Pacer, Timing
from gpu.samplers.table import Table, Tables, start_step
from gpu.samplers.update import advance, guide
from gpu.sched.work import Demand, StepPlan

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpu.api import Job, JobId
    from gpu.models.family import Family
    from gpu.previews import PreviewFit

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


@dataclass(frozen=True, slots=True)
class PreviewBatch:
    """Rendered previews of some jobs, `pixels` (n, h, w, 3) uint8 on their way to the CPU."""

    jobs: tuple[JobId, ...]
    steps: tuple[int, ...]
    pixels: Tensor
    arrived: Any = None

    def wait(self) -> Tensor:
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.pixels


class Runner:
    def __init__(self, family: Family, tables: Tables, previews: PreviewFit) -> None:
        self._family = family
        self._tables = tables
        self._previews = previews
        self._learning = threading.Lock()
        self._paintings: dict[JobId, Painting] = {}
        self._pacer = Pacer(family.device)
        self._on_cuda = family.device.type == "cuda"
        self._side_stream: Any = torch.cuda.Stream(family.device) if self._on_cuda else None

    # --- before the first step: off the loop ----------------------------------------------

    def prepare(self, job: Job) -> Painting:
        """Encode a job's words and pixels and draw its noise. Raises ValueError if it can't be.

        All noise comes from the job's own CPU generator, in the order of diffusers' pipelines,
        so a seed's picture depends neither on the device nor on who shares the batch (G2).
        """
        self._check(job)
        with self._beside(), torch.inference_mode():
            region = inpaint.region(job, self._family.native_px, self._family.multiple_px)
            generator = torch.Generator().manual_seed(job.seed)
            known = self._encode(region, job, generator)
            first = 0
            if known is not None and region.empty is None:
                first = start_step(job.steps, job.strength)
            table = self._tables.table(job.sampler, job.steps, first, known is None)
            latents, blend = self._start(job, region, table, known, generator)
            guided = job.guidance > 1
            painting = Painting(
                job=job.id,
                region=region,
                table=table,
                latents=latents,
                prompt=self._family.encode_prompt(job.prompt),
                negative=self._family.encode_prompt(job.negative) if guided else None,
                guidance=job.guidance,
                generator=generator,
                blend=blend,
            )
            if self._on_cuda:
                painting.prepared = torch.cuda.current_stream().record_event()
        return painting

    def _check(self, job: Job) -> None:
        multiple = self._family.multiple_px
        if job.width % multiple or job.height % multiple:
            raise ValueError(
                f"expected width and height in multiples of {multiple} pixels, got "
                f"{job.width}x{job.height}: change the frame's size"
            )

    def _encode(
        self, region: inpaint.Region, job: Job, generator: torch.Generator
    ) -> Tensor | None:
        if region.image is None or (job.strength >= 1 and region.alpha is None):
            return None
        pixels = torch.from_numpy(np.array(region.image)).permute(2, 0, 1)[None]
        return self._family.encode_image(pixels.float() / 127.5 - 1, generator)[0]

    def _start(
        self,
        job: Job,
        region: inpaint.Region,
        table: Table,
        known: Tensor | None,
        generator: torch.Generator,
    ) -> tuple[Tensor, Blend | None]:
        factor = self._family.latent_factor
        width, height = region.size
        shape = (1, self._family.latent_channels, height // factor, width // factor)
        noise = torch.randn(shape, generator=generator)[0].to(self._family.device)
        signal, sigma = table.start.tolist()
        if known is None:
            return noise * sigma, None
        latents = known * signal + noise * sigma
        if region.redo is None and region.empty is None:
            return latents, None
        free_from = _free_from(region, job, factor).to(self._family.device)
        return latents, Blend(known, noise, free_from)

    def admit(self, painting: Painting) -> None:
        """Take a prepared job in; from now on plans may name it."""
        painting.take_over()
        self._paintings[painting.job] = painting

    def drop(self, job: JobId) -> None:
        self._paintings.pop(job, None)

    # --- the step loop --------------------------------------------------------------------

    def step(self, plan: StepPlan, previews: Collection[JobId] = ()) -> PreviewBatch | None:
        """Run one denoising step of every job in `plan`; nothing changes if it raises.

        Returns the rendered predicted x0 of the jobs in `previews`.
        """
        paintings = [self._paintings[job] for job in plan.ids]
        begun = self._pacer.begin()
        with torch.inference_mode():
            latents = torch.stack([painting.latents for painting in paintings])
            output = self._forward(paintings, latents)
            following, x0 = self._update(paintings, latents, output)
            following, x0 = _keep_known(paintings, following, x0)
            batch = self._render(paintings, x0, previews)
        for row, painting in enumerate(paintings):
            painting.latents, painting.x0 = following[row], x0[row]
            painting.step += 1
            painting.drawn = None
        self._pacer.end(plan, begun)
        return batch

    def _forward(self, paintings: Sequence[Painting], latents: Tensor) -> Tensor:
        guided = [row for row, painting in enumerate(paintings) if painting.negative is not None]
        prompts = [painting.prompt for painting in paintings]
        prompts += [p.negative for p in paintings if p.negative is not None]
        times = [float(p.table.timesteps[p.step]) for p in paintings]
        scales = [paintings[row].guidance for row in guided]
        times_d = self._upload(torch.tensor(times + [times[row] for row in guided]))
        scales_d = self._upload(torch.tensor(scales, dtype=torch.float32))
        guided_d = self._upload(torch.tensor(guided, dtype=torch.int64))
        twins = latents if len(guided) == len(paintings) else latents[guided_d]
        inputs = torch.cat([latents, twins]) if guided else latents
        output = self._family.denoise(inputs, times_d, torch.stack(prompts))
        return guide(output, scales_d, guided_d, len(paintings))

    def _update(
        self, paintings: Sequence[Painting], latents: Tensor, output: Tensor
    ) -> tuple[Tensor, Tensor]:
        coefficients = torch.stack([p.table.coefficients[p.step] for p in paintings])
        x0_before = noise = None
        if bool((coefficients[:, 2] != 0).any()):
            blank = torch.zeros_like(latents[0])
            x0_before = torch.stack([blank if p.x0 is None else p.x0 for p in paintings])
        if bool((coefficients[:, 3] != 0).any()):
            noise = self._upload(torch.stack([_noise(painting) for painting in paintings]))
        return advance(latents, output, x0_before, noise, self._upload(coefficients))

    def _render(
        self, paintings: Sequence[Painting], x0: Tensor, previews: Collection[JobId]
    ) -> PreviewBatch | None:
        rows = [row for row, painting in enumerate(paintings) if painting.job in previews]
        if not rows:
            return None
        chosen = x0 if len(rows) == len(paintings) else torch.stack([x0[row] for row in rows])
        pixels = self._previews.map.render(chosen)
        arrived = None
        if self._on_cuda:
            landing = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            pixels = landing.copy_(pixels, non_blocking=True)
            arrived = torch.cuda.current_stream().record_event()
        jobs = tuple(paintings[row].job for row in rows)
        steps = tuple(paintings[row].step + 1 for row in rows)
        return PreviewBatch(jobs, steps, pixels, arrived)

    def _upload(self, values: Tensor) -> Tensor:
        if not self._on_cuda:
            return values
        return values.pin_memory().to(self._family.device, non_blocking=True)

    def timings(self) -> list[Timing]:
        """How long forwards took that have ended since the last call."""
        return self._pacer.timings()

    # --- after the last step: off the loop ------------------------------------------------

    def release(self, job: JobId) -> Painting:
        """Hand out a finished job's tensors for `finish`; plans can't name it any more."""
        painting = self._paintings.pop(job)
        if self._on_cuda:
            painting.prepared = torch.cuda.current_stream().record_event()
        return painting

    def finish(self, painting: Painting, job: Job) -> bytes:
        """Decode a finished job and lay it into its place; returns a PNG."""
        with self._beside():
            painting.take_over()
            pixels = self._family.decode(painting.latents[None])[0].cpu()
        if not bool(torch.isfinite(pixels).all()):
            raise ValueError(
                f"the model's numbers went out of range in {self._family.dtype}: "
                "start the worker with --dtype fp32, or lower the guidance"
            )
        with self._learning:
            self._previews.observe(painting.latents[None], pixels[None])
        array = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        picture = Image.fromarray(array.permute(1, 2, 0).contiguous().numpy())
        return inpaint.encode_png(inpaint.compose(picture, painting.region, job))

    def _beside(self) -> AbstractContextManager[Any]:
        """Work beside the step loop: on CUDA in a stream of its own."""
        return torch.cuda.stream(self._side_stream) if self._on_cuda else nullcontext()


def _noise(painting: Painting) -> Tensor:
    """This step's noise (C, h, w) on the CPU, drawn once even if the step is tried again."""
    if painting.drawn is not None and painting.drawn[0] == painting.step:
        return painting.drawn[1]
    if not painting.table.draws_noise(painting.step):
        return torch.zeros(painting.latents.shape)
    # The leading 1 makes the draw the same as that of a pipeline with a batch of one.
    noise = torch.randn((1, *painting.latents.shape), generator=painting.generator)[0]
    painting.drawn = (painting.step, noise)
    return noise


def _keep_known(
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


def _free_from(region: inpaint.Region, job: Job, factor: int) -> Tensor:
    """(1, h, w) int32 for `Blend`: a cell is painted if any of its pixels is."""
    width, height = region.size
    cells = np.full((height // factor, width // factor), _NEVER, np.int32)
    begins = start_step(job.steps, job.strength) if region.empty is not None else 0
    for mask, step in ((region.redo, begins), (region.empty, 0)):
        if mask is not None:
            blocks = np.asarray(mask).reshape(height // factor, factor, width // factor, factor)
            cells[blocks.max((1, 3)) > _TOUCHED] = step
    return torch.from_numpy(cells)[None]
