"""Owns every tensor: prepares jobs, executes step plans on them, and decodes what came out.

`prepare` and `finish` may run on other threads than `step`; each touches only its own job's
tensors. Knows nothing of queues, turns or events, and a step never waits for the device.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpu import inpaint
from gpu.hires import Refinement, composed_at, enlarged
from gpu.models.family import Reading, Steering
from gpu.pacing import Pacer, Timing
from gpu.painting import (
    Blend,
    Control,
    Painting,
    Stepped,
    draw_noise,
    free_from,
    keep_known,
    touched,
    turned,
)
from gpu.samplers.update import advance, guide, recall

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpu.api import Job, JobId
    from gpu.models.family import ControlNet, Family, Row, Words
    from gpu.previews import PreviewFit
    from gpu.samplers.table import Table, Tables
    from gpu.sched.work import StepPlan


_PAINTED = 128
"""From here on a mask's pixel is a hole, as diffusers rounds."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a pass begins."""

    table: Table
    latents: Tensor
    blend: Blend | None = None


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
            painting = Painting(
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
            self._mark(painting)
        return painting

    def refine(self, painting: Painting, job: Job) -> Painting:
        """The second pass of a released painting that has one (G49): its first pass decoded and
        enlarged. The job's own pictures may be gone by then.

        Its noise is the seed's again, so it is what image to image makes of the enlarged picture.
        """
        refinement = painting.refinement
        assert refinement is not None
        with self._beside(), torch.inference_mode():
            painting.take_over()
            pixels = enlarged(self._decode(painting), refinement)
            where = refinement.painted
            generator = torch.Generator().manual_seed(job.seed)
            again = msgspec.structs.replace(job, strength=refinement.strength)
            control = painting.control
            if control is not None and refinement.control is not None:
                seen = self._seen(control.steering.control, refinement.control, generator)
                control = control.seeing(seen)
            start = self._start(again, where, pixels, generator)
            following = replace(
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
            self._mark(following)
        return following

    def adapter_versions(self, job: Job) -> tuple[object, ...]:
        """What tells the job's adapters from what their files may hold later."""
        return self._family.adapter_versions(job.loras)

    def _mark(self, painting: Painting) -> None:
        """Note when the tensors will hold what they should."""
        if self._on_cuda:
            painting.prepared = torch.cuda.current_stream().record_event()

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
        is_typical = _is_typical(paintings)
        begun = self._pacer.begin()
        with torch.inference_mode():
            latents = torch.stack([painting.latents for painting in paintings])
            output = self._forward(paintings, latents)
            made = keep_known(paintings, latents, self._update(paintings, latents, output))
            batch = self._render(paintings, made.x0, previews)
        for row, painting in enumerate(paintings):
            painting.latents, painting.x0 = made.latents[row], made.x0[row]
            painting.kept = None if made.kept is None else made.kept[row]
            painting.step += 1
            painting.drawn = None
        self._pacer.end(plan, begun, is_typical=is_typical)
        return batch

    def _forward(self, paintings: Sequence[Painting], latents: Tensor) -> Tensor:
        pairs = [painting.rows() for painting in paintings]
        guided = [row for row, (_, twin) in enumerate(pairs) if twin is not None]
        rows = [row for row, _ in pairs] + [twin for _, twin in pairs if twin is not None]
        times = [float(p.table.timesteps[p.step]) for p in paintings]
        scales = [paintings[row].guidance for row in guided]
        times_d = self._upload(torch.tensor(times + [times[row] for row in guided]))
        scales_d = self._upload(torch.tensor(scales, dtype=torch.float32))
        guided_d = self._upload(torch.tensor(guided, dtype=torch.int64))
        twins = latents if len(guided) == len(paintings) else latents[guided_d]
        inputs = torch.cat([latents, twins]) if guided else latents
        output = self._denoise(inputs, times_d, rows)
        return guide(output, scales_d, guided_d, len(paintings))

    def _denoise(self, inputs: Tensor, times: Tensor, rows: Sequence[Row]) -> Tensor:
        """One forward of all rows; of several lengths of text, one for each of them.

        A row's numbers then don't depend on how long the others' prompts are.
        """
        lengths = [row.words.length for row in rows]
        if len(set(lengths)) == 1:
            return self._family.denoise(inputs, times, rows)
        parts, order = [], []
        for length in sorted(set(lengths)):
            some = [number for number, other in enumerate(lengths) if other == length]
            some_d = self._upload(torch.tensor(some, dtype=torch.int64))
            chosen = [rows[number] for number in some]
            parts.append(self._denoise(inputs[some_d], times[some_d], chosen))
            order += some
        back = torch.tensor(order, dtype=torch.int64).argsort()
        return torch.cat(parts)[self._upload(back)]

    def _update(self, paintings: Sequence[Painting], latents: Tensor, output: Tensor) -> Stepped:
        coefficients = torch.stack([p.table.coefficients[p.step] for p in paintings])
        remembers = any(p.table.memory is not None for p in paintings)
        x0_before = noise = None
        if remembers or bool((coefficients[:, 2] != 0).any()):
            blank = torch.zeros_like(latents[0])
            x0_before = torch.stack([blank if p.x0 is None else p.x0 for p in paintings])
        if bool((coefficients[:, 3] != 0).any()):
            noise = self._upload(torch.stack([draw_noise(painting) for painting in paintings]))
        following, x0 = advance(latents, output, x0_before, noise, self._upload(coefficients))
        if not remembers or x0_before is None:
            return Stepped(following, x0, None)
        nothing = torch.zeros_like(latents[:1]).expand(2, *latents.shape[1:])
        kept = torch.stack([nothing if p.kept is None else p.kept for p in paintings])
        memory = self._upload(torch.stack([p.table.recalls(p.step) for p in paintings]))
        following, kept = recall(following, latents, output, x0_before, kept, memory)
        return Stepped(following, x0, kept)

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
        steps = tuple(paintings[row].steps_before + paintings[row].step + 1 for row in rows)
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
            (pixels,) = self._decode(painting)
        with self._learning:
            self._previews.observe(painting.latents[None], pixels[None])
        array = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        picture = Image.fromarray(array.permute(1, 2, 0).contiguous().numpy())
        return inpaint.encode_png(inpaint.compose(picture, painting.region, job))

    def _decode(self, painting: Painting) -> Tensor:
        """(1, 3, H, W) fp32 on the CPU; raises ValueError where the numbers make no picture."""
        pixels = self._family.decode(painting.latents[None]).cpu()
        if not bool(torch.isfinite(pixels).all()):
            raise ValueError(
                f"the model's numbers went out of range in {self._family.dtype}: "
                "start the worker with --dtype fp32, or lower the guidance"
            )
        return pixels

    def _beside(self) -> AbstractContextManager[Any]:
        """Work beside the step loop: on CUDA in a stream of its own."""
        return torch.cuda.stream(self._side_stream) if self._on_cuda else nullcontext()


def _signed(picture: Image.Image) -> Tensor:
    """RGB to (1, 3, H, W) fp32 in [-1, 1]."""
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    return pixels.float() / 127.5 - 1


def _is_typical(paintings: Sequence[Painting]) -> bool:
    """Whether the step was one forward and nothing beside it."""
    is_one_forward = len({painting.prompt.length for painting in paintings}) == 1
    return is_one_forward and not any(p.adapters or p.steering for p in paintings)
