"""Step batching with one diffusers scheduler object per job.

Jobs join and leave between any two steps as with us; what differs is that each row's sampler
step is a call of its own, and that turns are taken in the order of arrival.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu.models.family import Row
from scripts.benchmarks.arms.parts import Rival, predicted_x0
from scripts.benchmarks.arms.requests import guided

if TYPE_CHECKING:
    from gpu.api import Job
    from scripts.benchmarks.arms.parts import Emit, Parts


@dataclass(slots=True)
class _Running:
    job: Job
    scheduler: Any
    extra: dict[str, Any]
    latents: Tensor
    rows: list[Row]
    step: int = 0

    @property
    def moment(self) -> Tensor:
        moment: Tensor = self.scheduler.timesteps[self.step]
        return moment


class StepBatching(Rival):
    def __init__(self, parts: Parts, emit: Emit, *, max_rows: int = 16) -> None:
        super().__init__(parts, emit)
        self._max_rows = max_rows
        self._running: list[_Running] = []

    @property
    def is_idle(self) -> bool:
        return not self.queue and not self._running

    def serve(self) -> None:
        with self.changed:
            arrived, self.queue = self.queue, []
        self._running += [self._begin(job) for job in arrived]
        self._running = [one for one in self._running if self.is_open(one.job)]
        if self._running:
            self._step(self._chosen())

    def _begin(self, job: Job) -> _Running:
        scheduler = self.parts.tables.scheduler(job.sampler, job.steps)
        noise, generator = self.parts.noise(job)
        takes = "generator" in inspect.signature(scheduler.step).parameters
        prompt, negative = self.parts.words(job)
        rows = [Row(prompt)] if negative is None else [Row(prompt), Row(negative)]
        extra = {"generator": generator} if takes else {}
        return _Running(job, scheduler, extra, noise * scheduler.init_noise_sigma, rows)

    def _chosen(self) -> list[_Running]:
        """The one that waits longest and all that fit beside it; they go to the end."""
        first = self._running[0]
        chosen: list[_Running] = []
        for one in self._running:
            num_rows = sum(len(other.rows) for other in chosen) + len(one.rows)
            if one.latents.shape == first.latents.shape and num_rows <= self._max_rows:
                chosen.append(one)
        self._running = [one for one in self._running if one not in chosen] + chosen
        return chosen

    def _step(self, chosen: list[_Running]) -> None:
        inputs, times, rows = [], [], []
        for twin in (0, 1):
            for one in chosen:
                if twin < len(one.rows):
                    inputs.append(one.scheduler.scale_model_input(one.latents, one.moment))
                    times.append(float(one.moment))
                    rows.append(one.rows[twin])
        output = self.parts.family.denoise(torch.cat(inputs), torch.tensor(times), rows)
        seen = []
        twins = iter(range(len(chosen), len(rows)))
        for row, one in enumerate(chosen):
            own = output[row : row + 1]
            if len(one.rows) > 1:
                own = torch.cat([own, output[(twin := next(twins)) : twin + 1]])
            own = guided(own, torch.tensor([one.job.guidance]).reshape(-1, 1, 1, 1))
            stepped = one.scheduler.step(
                own, one.moment, one.latents, return_dict=False, **one.extra
            )
            one.latents = stepped[0]
            one.step += 1
            seen.append(predicted_x0(one.scheduler, stepped))
        self.show([one.job for one in chosen], torch.cat(seen), [one.step for one in chosen])
        for one in chosen:
            if one.step == len(one.scheduler.timesteps):
                self._running.remove(one)
                self.finish(one.job, one.latents)
