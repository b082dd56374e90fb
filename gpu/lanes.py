"""Threads beside the loop, each doing one thing after another.

Live work has lanes of its own: it never queues behind somebody's hundred pictures. What a lane is
given is bounded by the number of open jobs. Knows nothing of what is done.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpu.api import Job, JobId


class Lanes:
    def __init__(self, over: Callable[[JobId], None]) -> None:
        """`over` is called, on a lane's thread, when nothing is done for a job any more."""
        self._over = over
        self._preparing = {live: _lane(f"prepare-{live}") for live in (True, False)}
        self._finishing = {live: _lane(f"finish-{live}") for live in (True, False)}
        self._previewing = _lane("preview")
        self._under_way: Counter[JobId] = Counter()
        self._counting = threading.Lock()

    def prepare(self, job: Job, work: Callable[[], None]) -> None:
        """Have something done before a job's steps, or between two passes."""
        self._submit(self._preparing, job, work)

    def finish(self, job: Job, work: Callable[[], None]) -> None:
        """Have something done after a job's steps."""
        self._submit(self._finishing, job, work)

    def preview(self, work: Callable[[], None]) -> None:
        """Have something done for many jobs that needs no model."""
        self._previewing.submit(work)

    def holds(self, job: JobId) -> bool:
        """Whether anything is done for a job, or waits for its lane."""
        with self._counting:
            return job in self._under_way

    def close(self) -> None:
        """Begin nothing more; what has begun is not waited for."""
        for lane in (*self._preparing.values(), *self._finishing.values(), self._previewing):
            lane.shutdown(wait=False, cancel_futures=True)

    def _submit(
        self, lanes: Mapping[bool, ThreadPoolExecutor], job: Job, work: Callable[[], None]
    ) -> None:
        def run() -> None:
            try:
                work()
            finally:
                if self._count(job.id, -1) == 0:
                    self._over(job.id)

        self._count(job.id, 1)
        lanes[job.live].submit(run)

    def _count(self, job: JobId, more: int) -> int:
        with self._counting:
            count = self._under_way[job] = self._under_way[job] + more
            if count == 0:
                del self._under_way[job]
            return count


def _lane(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
