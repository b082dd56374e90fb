"""Threads beside the loop, each doing one thing after another.

Live work has lanes of its own: it never queues behind somebody's hundred pictures. What is for
one slot is finished in its order, else whichever lane has least to do takes it. What lanes are
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
    def __init__(self, over: Callable[[JobId], None], num_finishing: int = 1) -> None:
        """`over` is called, on a lane's thread, when nothing is done for a job any more.

        So many lanes finish live work, and as many the rest.
        """
        self._over = over
        self._preparing = {live: _Bundle(f"prepare-{live}", 1) for live in (True, False)}
        self._finishing = {live: _Bundle(f"finish-{live}", num_finishing) for live in (True, False)}
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
        for bundle in (*self._preparing.values(), *self._finishing.values()):
            bundle.close()
        self._previewing.shutdown(wait=False, cancel_futures=True)

    def _submit(self, bundles: Mapping[bool, _Bundle], job: Job, work: Callable[[], None]) -> None:
        def then() -> None:
            if self._count(job.id, -1) == 0:
                self._over(job.id)

        self._count(job.id, 1)
        bundles[job.live].submit(job.slot, work, then)

    def _count(self, job: JobId, more: int) -> int:
        with self._counting:
            count = self._under_way[job] = self._under_way[job] + more
            if count == 0:
                del self._under_way[job]
            return count


class _Bundle:
    """Lanes side by side."""

    def __init__(self, name: str, num_lanes: int) -> None:
        self._lanes = [_lane(f"{name}-{number}") for number in range(num_lanes)]
        self._waiting: list[Counter[str]] = [Counter() for _ in self._lanes]
        """By slot, what each lane has begun or is to do."""
        self._choosing = threading.Lock()

    def submit(self, slot: str, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Have `work` done, and `then` even if it fails."""
        with self._choosing:
            waiting = self._waiting
            same = (number for number, slots in enumerate(waiting) if slot in slots)
            least = min(range(len(waiting)), key=lambda number: waiting[number].total())
            chosen = next(same, least)
            waiting[chosen][slot] += 1
            # Within the lock: what was chosen first is also queued first.
            self._lanes[chosen].submit(self._run, waiting[chosen], slot, work, then)

    def _run(
        self, slots: Counter[str], slot: str, work: Callable[[], None], then: Callable[[], None]
    ) -> None:
        try:
            work()
        finally:
            with self._choosing:
                slots[slot] -= 1
                if slots[slot] == 0:
                    del slots[slot]
            then()

    def close(self) -> None:
        for lane in self._lanes:
            lane.shutdown(wait=False, cancel_futures=True)


def _lane(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
