"""Dynamic batching of whole requests, as model servers do it (Triton, Ray Serve, BentoML).

Requests that can share all their steps (size, number of steps, sampler, with guidance or without)
are taken together, in the order in which they came, and run to their end; whoever comes
meanwhile waits. With `supersedes`, a newer request of the same slot replaces one that waits.
"""

from __future__ import annotations

import copy
import inspect
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu.api import Cancelled
from gpu.models.family import Row
from scripts.benchmarks.arms.parts import Rival, predicted_x0

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu.api import Job
    from scripts.benchmarks.arms.parts import Emit, Parts


class RequestBatching(Rival):
    def __init__(
        self,
        parts: Parts,
        emit: Emit,
        *,
        wait_s: float = 0.0,
        max_batch: int = 8,
        supersedes: bool = False,
    ) -> None:
        """A batch that isn't full waits `wait_s` for others to join."""
        super().__init__(parts, emit)
        self._wait_s = wait_s
        self._max_batch = max_batch
        self._supersedes = supersedes
        self._fresh: dict[tuple[str, int], Any] = {}

    def submit(self, job: Job) -> None:
        replaced = []
        if self._supersedes:
            with self.changed:
                replaced = [other for other in self.queue if other.slot == job.slot]
                self.queue = [other for other in self.queue if other.slot != job.slot]
        super().submit(job)
        for other in replaced:
            self.end(other.id, Cancelled(other.id, "superseded"))

    def serve(self) -> None:
        batch = self._take()
        if batch:
            self._paint(batch)

    def _take(self) -> list[Job]:
        until = time.monotonic() + self._wait_s
        with self.changed:
            while len(self._mates()) < self._max_batch and not self.closing:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self.changed.wait(left)
            batch = self._mates()[: self._max_batch]
            self.queue = [job for job in self.queue if job not in batch]
        return batch

    def _mates(self) -> list[Job]:
        """Those that can share all their steps with the one that came first."""
        return [job for job in self.queue if _kind(job) == _kind(self.queue[0])]

    def _paint(self, batch: Sequence[Job]) -> None:
        parts = self.parts
        scheduler = self._scheduler(batch[0])
        drawn = [parts.noise(job) for job in batch]
        generators = [generator for _, generator in drawn]
        extra = {}
        if "generator" in inspect.signature(scheduler.step).parameters:
            extra["generator"] = generators
        latents = torch.cat([noise for noise, _ in drawn]) * scheduler.init_noise_sigma
        words = [parts.words(job) for job in batch]
        rows = [Row(prompt) for prompt, _ in words]
        rows += [Row(negative) for _, negative in words if negative is not None]
        scales = torch.tensor([job.guidance for job in batch]).reshape(-1, 1, 1, 1)
        for number, moment in enumerate(scheduler.timesteps):
            if not any(self.is_open(job) for job in batch):
                return
            inputs = torch.cat([latents] * (len(rows) // len(batch)))
            inputs = scheduler.scale_model_input(inputs, moment)
            times = moment.float().expand(len(rows))
            output = guided(parts.family.denoise(inputs, times, rows), scales)
            stepped = scheduler.step(output, moment, latents, return_dict=False, **extra)
            latents = stepped[0]
            self.show(batch, predicted_x0(scheduler, stepped), number + 1)
        for row, job in enumerate(batch):
            self.finish(job, latents[row : row + 1])

    def _scheduler(self, job: Job) -> Any:
        """With its steps set and nothing remembered."""
        kind = (job.sampler, job.steps)
        if kind not in self._fresh:
            self._fresh[kind] = self.parts.tables.scheduler(job.sampler, job.steps)
        return copy.deepcopy(self._fresh[kind])


def guided(output: Tensor, scales: Tensor) -> Tensor:
    """Classifier-free guidance of (B, ...) rows, or of B conditional rows and then their twins."""
    conditional = output[: len(scales)].float()
    if len(output) == len(scales):
        return conditional
    return output[len(scales) :].float().lerp(conditional, scales)


def _kind(job: Job) -> tuple[object, ...]:
    return job.width, job.height, job.steps, job.sampler, job.guidance > 1
