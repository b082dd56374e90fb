"""The stock diffusers pipeline, first in first out: what a small service around it does."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

from gpu import inpaint
from scripts.benchmarks.arms.parts import Rival, predicted_x0

if TYPE_CHECKING:
    from gpu.api import Job, Sampler
    from scripts.benchmarks.arms.parts import Emit, Parts


class Fifo(Rival):
    def __init__(self, parts: Parts, emit: Emit, *, previews: bool = True) -> None:
        super().__init__(parts, emit)
        self._previews = previews
        self._schedulers: dict[Sampler, Any] = {}
        self._x0: torch.Tensor | None = None

    def serve(self) -> None:
        with self.changed:
            job = self.queue.pop(0)
        self.done(job, self.plain(job))

    def plain(self, job: Job) -> bytes:
        """One call of the pipeline; returns a PNG."""
        pipeline = self.parts.pipeline
        pipeline.scheduler = self._scheduler(job.sampler)
        prompt, negative = self.parts.words(job)
        picture = pipeline(
            prompt_embeds=prompt.tokens[None],
            negative_prompt_embeds=None if negative is None else negative.tokens[None],
            width=job.width,
            height=job.height,
            num_inference_steps=job.steps,
            guidance_scale=job.guidance,
            generator=torch.Generator().manual_seed(job.seed),
            callback_on_step_end=functools.partial(self._after_step, job)
            if self._previews
            else None,
        ).images[0]
        return inpaint.encode_png(picture)

    def _scheduler(self, sampler: Sampler) -> Any:
        if sampler not in self._schedulers:
            scheduler = self.parts.tables.scheduler(sampler, 20)
            if self._previews:
                scheduler.step = self._kept(scheduler, scheduler.step)
            self._schedulers[sampler] = scheduler
        return self._schedulers[sampler]

    def _kept(self, scheduler: Any, step: Any) -> Any:
        """The scheduler's step, which leaves its predicted x0 behind: a callback isn't given it."""

        @functools.wraps(step)
        def keep(*arguments: Any, **named: Any) -> Any:
            stepped = step(*arguments, **named)
            self._x0 = predicted_x0(scheduler, stepped)
            return stepped

        return keep

    def _after_step(
        self, job: Job, pipeline: Any, step: int, _time: Any, given: dict[str, Any]
    ) -> dict[str, Any]:
        assert self._x0 is not None
        self.show([job], self._x0, step + 1)
        pipeline._interrupt = not self.is_open(job)
        return given
