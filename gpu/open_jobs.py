"""The jobs that have not ended yet: each ends exactly once, and no event of it follows (G6).

Knows nothing of turns, models or tensors.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpu.api import Event, Job, JobId
    from gpu.runner import Runner

_PREVIEWS_UNDER_WAY = 2


@dataclass(slots=True)
class OpenJob:
    """A job that has not ended yet."""

    job: Job
    submitted_s: float
    runner: Runner | None = None
    """Of the job's model, once that is loaded."""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    steps: int = 0
    rows_per_step: int = 1
    """Evaluations of the model that the sampler takes for a step."""
    previewed_s: float = float("-inf")
    previews_under_way: int = 0
    started: bool = False
    fingerprint: bytes = b""

    def wants_preview(self, now: float, step: int, interval_s: float) -> bool:
        """Whether one of this step is due: not of the last one, which the picture itself follows,
        nor with two on their way."""
        is_last = step >= self.steps
        has_rested = now - self.previewed_s >= interval_s
        return has_rested and not is_last and self.previews_under_way < _PREVIEWS_UNDER_WAY

    def shown(self, evaluations: int) -> int:
        """So many evaluations of the model as steps."""
        return -(-evaluations // self.rows_per_step)


class OpenJobs:
    def __init__(self, emit: Callable[[Event], None]) -> None:
        """`emit` may be called from any thread."""
        self._emit = emit
        self._jobs: dict[JobId, OpenJob] = {}
        self._ending = threading.Lock()

    def __contains__(self, job: JobId) -> bool:
        return job in self._jobs

    def __getitem__(self, job: JobId) -> OpenJob:
        return self._jobs[job]

    def __iter__(self) -> Iterator[JobId]:
        return iter(list(self._jobs))

    def get(self, job: JobId) -> OpenJob | None:
        return self._jobs.get(job)

    def open(self, job: Job, submitted_s: float) -> OpenJob:
        self._jobs[job.id] = opened = OpenJob(job, submitted_s)
        return opened

    def say(self, job: JobId, event: Event) -> None:
        """Tell of a job, unless it has ended."""
        with self._ending:
            if job in self._jobs:
                self._emit(event)

    def end(self, job: JobId, event: Event) -> None:
        """Tell the last of a job, unless that was told."""
        with self._ending:
            if self._jobs.pop(job, None) is not None:
                self._emit(event)
