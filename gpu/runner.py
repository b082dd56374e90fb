"""Owns every tensor: has jobs prepared, executes step plans on them, and decodes what came out.

`prepare` and `finish` may run on other threads than `step`; each touches only its own job's
tensors. Knows nothing of queues, turns or events, and a step never waits for the device.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from gpu import inpaint
from gpu.landing import Landing, land
from gpu.pacing import Pacer, Timing
from gpu.painting import Painting, Stepped, draw_noise, keep_known
from gpu.preparation import Preparation
from gpu.previews import Lesson
from gpu.samplers.update import advance, guide, recall

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpu.api import Job, JobId
    from gpu.models.family import Family, Row
    from gpu.previews import PreviewFit
    from gpu.samplers.table import Tables
    from gpu.sched.work import StepPlan

_FIRST = -1
"""The priority of a CUDA stream whose work goes before others'."""


@dataclass(frozen=True, slots=True)
class PreviewBatch:
    """Rendered previews of some jobs, (n, h, w, 3) uint8 on their way to the CPU."""

    jobs: tuple[JobId, ...]
    steps: tuple[int, ...]
    pixels: Landing

    def wait(self) -> Tensor:
        return self.pixels.wait()[0]


class Runner:
    def __init__(self, family: Family, tables: Tables, previews: PreviewFit) -> None:
        self._family = family
        self._preparation = Preparation(family, tables)
        self._previews = previews
        self._learning = threading.Lock()
        self._paintings: dict[JobId, Painting] = {}
        self._pacer = Pacer(family.device)
        self._on_cuda = family.device.type == "cuda"
        # Nobody's prompt waits for others' pictures to be decoded, nor live ones for the rest.
        self._preparing, self._teaching = self._stream(), self._stream()
        self._finishing = {True: self._stream(_FIRST), False: self._stream()}
        # What decoding one picture takes on a GPU is not taken for each thread that finishes some.
        self._decoding: Any = threading.Lock() if self._on_cuda else nullcontext()

    # --- before the first step: off the loop ----------------------------------------------

    def prepare(self, job: Job) -> Painting:
        """See `Preparation.prepare`."""
        with _beside(self._preparing), torch.inference_mode():
            painting = self._preparation.prepare(job)
            self._mark(painting)
        return painting

    def refine(self, painting: Painting, job: Job) -> Painting:
        """The second pass of a released painting that has one (G49)."""
        with _beside(self._preparing), torch.inference_mode():
            painting.take_over()
            following = self._preparation.refine(painting, self._decode(painting), job)
            self._mark(following)
        return following

    def adapter_versions(self, job: Job) -> tuple[object, ...]:
        """What tells the job's adapters from what their files may hold later."""
        return self._family.adapter_versions(job.loras)

    def _mark(self, painting: Painting) -> None:
        """Note when the tensors will hold what they should."""
        if self._on_cuda:
            painting.prepared = torch.cuda.current_stream().record_event()

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
        pixels = land(self._previews.map.render(chosen))
        jobs = tuple(paintings[row].job for row in rows)
        steps = tuple(paintings[row].steps_before + paintings[row].step + 1 for row in rows)
        return PreviewBatch(jobs, steps, pixels)

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
        """Decode a finished job and lay it into its place; returns a PNG.

        Several threads may finish different jobs: while one waits for the device or packs its
        picture, the next is decoded. Raises ValueError where the numbers make no picture.
        """
        levels, limited, shown, is_finite = self._develop(painting, job).wait()
        self._require_finite(is_finite)
        self._learn(Lesson(limited, shown))
        picture = Image.fromarray(levels.numpy())
        return inpaint.encode_png(inpaint.compose(picture, painting.region, job))

    def _develop(self, painting: Painting, job: Job) -> Landing:
        """The picture (H, W, 3) uint8, what a `Lesson` has of it, and whether it is one."""
        with _beside(self._finishing[job.live]), torch.inference_mode(), self._decoding:
            painting.take_over()
            latents = painting.latents[None]
            pixels = self._family.decode(latents)
            lesson = self._previews.lesson(latents, pixels)
            levels = ((pixels[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            levels = levels.permute(1, 2, 0).contiguous()
            return land(levels, lesson.limited, lesson.shown, torch.isfinite(pixels).all())

    def _learn(self, lesson: Lesson) -> None:
        """Refine previews, unless another picture does that now: none waits for it."""
        if not self._learning.acquire(blocking=False):
            return
        try:
            with _beside(self._teaching):
                self._previews.learn(lesson)
        finally:
            self._learning.release()

    def _decode(self, painting: Painting) -> Tensor:
        """(1, 3, H, W) fp32 on the CPU; raises ValueError where the numbers make no picture."""
        pixels = self._family.decode(painting.latents[None]).cpu()
        self._require_finite(torch.isfinite(pixels).all())
        return pixels

    def _require_finite(self, is_finite: Tensor) -> None:
        if not bool(is_finite):
            raise ValueError(
                f"the model's numbers went out of range in {self._family.dtype}: "
                "start the worker with --dtype fp32, or lower the guidance"
            )

    def _stream(self, priority: int = 0) -> Any:
        return torch.cuda.Stream(self._family.device, priority=priority) if self._on_cuda else None


def _beside(stream: Any) -> AbstractContextManager[Any]:
    """Work beside the step loop: on CUDA in a stream of its own."""
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _is_typical(paintings: Sequence[Painting]) -> bool:
    """Whether the step was one forward and nothing beside it."""
    is_one_forward = len({painting.prompt.length for painting in paintings}) == 1
    return is_one_forward and not any(p.adapters or p.steering for p in paintings)
