"""An engine with a real tiny model, driven by hand: its events, and what goes wrong in a step."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from gpu.api import (
    Cancelled,
    Done,
    Event,
    Failed,
    Job,
    JobId,
)
from gpu.engine import Engine
from gpu.runner import PreviewBatch, Runner
from gpu.sched.cost import CostModel
from gpu.sched.work import Shape
from tests.gpu.shelves import shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from gpu.library import Library
    from gpu.sched.work import StepPlan

TIMEOUT_S = 60
EIGHT = Shape(8, 8, "tiny")
ENDS = (Done, Cancelled, Failed)


class Faulty(Runner):
    """A runner that calls `sabotage` before each step."""

    sabotage: Callable[[StepPlan], None] = staticmethod(lambda _plan: None)

    def step(self, plan: StepPlan, previews: Collection[JobId] = ()) -> PreviewBatch | None:
        self.sabotage(plan)
        return super().step(plan, previews)


class Harness:
    def __init__(self, runner: Faulty, library: Library | None = None, **options: float) -> None:
        self.runner = runner
        self.events: queue.Queue[Event] = queue.Queue()
        self.seen: list[Event] = []
        self.crashes: queue.Queue[str] = queue.Queue()
        self.costs = CostModel(8)
        library = library or shelf(runner)
        emit, crashed = self.events.put, self.crashes.put
        self.engine = Engine(library, self.costs, emit, crashed, **options)  # type: ignore[arg-type]

    def next(self) -> Event:
        event = self.events.get(timeout=TIMEOUT_S)
        self.seen.append(event)
        return event

    def until_ended(self, *jobs: Job) -> dict[JobId, Event]:
        ends: dict[JobId, Event] = {}
        while len(ends) < len(jobs):
            event = self.next()
            if isinstance(event, ENDS):
                assert event.job not in ends
                ends[event.job] = event
        return ends
