"""Jobs for tests of the scheduler, and a machine to run them on."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from gpu.api import JobId
from gpu.sched.cost import CostModel
from gpu.sched.work import Demand, Shape, StepPlan, Ticket

if TYPE_CHECKING:
    from gpu.sched.scheduler import Scheduler

SMALL = Shape(16, 16)
LARGE = Shape(32, 32)
_numbers = itertools.count()


def costs(max_rows: int = 4) -> CostModel:
    """A machine on which rows cost little beside the forward itself."""
    model = CostModel(max_rows, tick_budget_s=10)
    for rows in (1, 2, 4, 8):
        model.calibrate(SMALL, rows, 0.05 + 0.005 * rows)
        model.calibrate(LARGE, rows, 0.08 + 0.02 * rows)
    return model


def ticket(room: str = "room", person: str = "ann", slot: str = "", live: bool = False) -> Ticket:
    number = next(_numbers)
    return Ticket(JobId(f"job{number}"), room, person, slot or f"slot{number}", live)


def add(
    scheduler: Scheduler, job: Ticket, steps: int = 20, rows: int = 1, shape: Shape = SMALL
) -> JobId:
    for activated in scheduler.add(job).activated:
        scheduler.ready(activated, Demand(shape, rows, steps))
    return job.id


def tick(scheduler: Scheduler) -> StepPlan:
    plan = scheduler.plan()
    assert plan is not None
    scheduler.complete(plan)
    return plan


def started(scheduler: Scheduler, job: Ticket, steps: int = 20) -> JobId:
    """A job that has had its first step, so that it is bulk work unless it is live."""
    add(scheduler, job, steps)
    tick(scheduler)
    return job.id
