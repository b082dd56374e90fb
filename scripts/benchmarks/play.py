"""Plays a load to an arm in real time, and writes down what came back when."""

from __future__ import annotations

import heapq
import itertools
import queue
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpu.api import Cancelled, Done, Failed, Preview

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpu.api import Event, Job, JobId
    from scripts.benchmarks.arms.parts import Arm, Emit
    from scripts.benchmarks.loads import Request


class BenchmarkError(Exception):
    """An arm failed at what it was given: its figures would mean nothing."""


@dataclass(slots=True)
class Record:
    """One job's moments, of `time.perf_counter`."""

    job: Job
    submitted_s: float
    previews_s: list[float] = field(default_factory=list)
    ended_s: float = float("inf")
    end: Event | None = None
    cancelled_s: float | None = None
    """When its cancellation was asked for."""

    @property
    def is_done(self) -> bool:
        return isinstance(self.end, Done)

    @property
    def first_seen_s(self) -> float:
        """When anything of it was seen: a preview, or the picture."""
        done_s = self.ended_s if self.is_done else float("inf")
        return min([*self.previews_s[:1], done_s])


def play(
    make: Callable[[Emit], Arm],
    requests: Sequence[Request],
    drain_s: float = 30.0,
    follow: Callable[[Record, float], Request | None] | None = None,
) -> list[Record]:
    """Play requests to a new arm until all have ended; raises BenchmarkError if one failed.

    `follow` may answer a job's end, told with its moment since the beginning, with another
    request. What hasn't ended `drain_s` after the last request is cancelled.
    """
    came: queue.SimpleQueue[tuple[float, Event]] = queue.SimpleQueue()
    arm = make(lambda event: came.put((time.perf_counter(), event)))
    arm.start()
    try:
        return _Play(arm, came, follow).run(requests, drain_s)
    finally:
        arm.close()


class _Play:
    def __init__(
        self,
        arm: Arm,
        came: queue.SimpleQueue[tuple[float, Event]],
        follow: Callable[[Record, float], Request | None] | None,
    ) -> None:
        self._arm = arm
        self._came = came
        self._follow = follow
        self._records: dict[JobId, Record] = {}
        self._open: set[JobId] = set()
        self._due: list[tuple[float, int, Request | JobId]] = []
        self._numbers = itertools.count()
        self._begun_s = time.perf_counter()

    def run(self, requests: Sequence[Request], drain_s: float) -> list[Record]:
        for request in requests:
            self._plan(request)
        last_s = time.perf_counter()
        while self._due or self._open:
            now_s = time.perf_counter()
            if self._due and self._due[0][0] <= now_s:
                self._act(heapq.heappop(self._due)[2], now_s)
                last_s = now_s
                continue
            if not self._due and now_s - last_s > drain_s:
                self._give_up(now_s)
                last_s = now_s
            wait_s = self._due[0][0] - now_s if self._due else 1.0
            try:
                self._hear(*self._came.get(timeout=max(0.0, wait_s)))
            except queue.Empty:
                continue
        return list(self._records.values())

    def _plan(self, request: Request) -> None:
        at_s = self._begun_s + request.at_s
        heapq.heappush(self._due, (at_s, next(self._numbers), request))
        if request.cancelled_at_s is not None:
            at_s = self._begun_s + request.cancelled_at_s
            heapq.heappush(self._due, (at_s, next(self._numbers), request.job.id))

    def _act(self, what: Request | JobId, now_s: float) -> None:
        if isinstance(what, str):
            if what in self._open:
                self._records[what].cancelled_s = time.perf_counter()
                self._arm.cancel(what)
            return
        self._records[what.job.id] = Record(what.job, now_s)
        self._open.add(what.job.id)
        self._arm.submit(what.job)

    def _give_up(self, now_s: float) -> None:
        for job in sorted(self._open):
            self._records[job].cancelled_s = now_s
            self._arm.cancel(job)

    def _hear(self, at_s: float, event: Event) -> None:
        if isinstance(event, Preview):
            self._records[event.job].previews_s.append(at_s)
        elif isinstance(event, Failed):
            raise BenchmarkError(f"{event.job} failed: {event.reason}")
        elif isinstance(event, Done | Cancelled):
            record = self._records[event.job]
            record.ended_s, record.end = at_s, event
            self._open.discard(event.job)
            following = self._follow and self._follow(record, at_s - self._begun_s)
            if following:
                self._plan(following)
