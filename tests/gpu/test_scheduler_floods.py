"""F13: whatever comes, nothing waits for ever. A fake clock, no model."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from gpu.api import JobId
from gpu.sched.scheduler import Scheduler
from gpu.sched.work import Demand, Shape, Ticket
from tests.gpu.imagined import (
    LONGEST_S,
    MAX_JOBS,
    SHAPES,
    fresh_costs,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def flood(scheduler: Scheduler, names: Iterable[str], live: bool, shape: Shape) -> None:
    """Hand in as many short pictures as fit, each of another room."""
    while not scheduler.is_full:
        name = next(iter(names))
        scheduler.add(Ticket(JobId(name), name, "ann", name, live))
        scheduler.ready(JobId(name), Demand(shape, 1, 1 if live else 3))


def longest_wait_s(live: bool, shape: Shape) -> tuple[float, float]:
    """How long a picture waits under a flood of new rooms like it, and the longest batch."""
    costs = fresh_costs()
    scheduler = Scheduler(costs, MAX_JOBS)
    names = (f"flood{number}" for number in itertools.count())
    slow = Ticket(JobId("slow"), "slow", "ann", "slow", live)
    scheduler.add(slow)
    scheduler.ready(slow.id, Demand(SHAPES[0], 1, 3))
    now_s = waited_s = longest_s = batch_s = 0.0
    while slow.id in scheduler and now_s < 200:
        flood(scheduler, names, live, shape)
        plan = scheduler.plan()
        assert plan is not None
        batch_s = max(batch_s, seconds(plan.shape, plan.rows))
        now_s += seconds(plan.shape, plan.rows)
        waited_s += seconds(plan.shape, plan.rows)
        scheduler.complete(plan)
        longest_s = max(longest_s, waited_s)
        if slow.id in plan.ids:
            waited_s = 0.0
    assert slow.id not in scheduler
    return longest_s, batch_s


@pytest.mark.parametrize("shape", SHAPES[:2], ids=["same shape", "another shape"])
@pytest.mark.parametrize("live", [False, True])
def test_f13_nothing_waits_longer_than_its_bound_under_a_flood_of_new_rooms(
    live: bool, shape: Shape
) -> None:
    longest_s, batch_s = longest_wait_s(live, shape)

    assert longest_s <= batch_s * (64 + 17 * MAX_JOBS)


def test_f13_what_is_overdue_gets_a_sixteenth_of_the_time_at_most_out_of_turn() -> None:
    costs = fresh_costs()
    scheduler = Scheduler(costs, MAX_JOBS, patience=0)
    for number in range(MAX_JOBS):
        ticket = Ticket(JobId(f"job{number}"), f"room{number % 3}", "ann", f"slot{number}", False)
        scheduler.add(ticket)
        scheduler.ready(ticket.id, Demand(SHAPES[number % 2], 1, 150))
    by_age_s = all_s = 0.0
    for _ in range(300):
        plan = scheduler.plan()
        assert plan is not None
        took_s = costs.predict(plan.shape, plan.rows)
        all_s += took_s
        by_age_s += took_s if plan.led_by_age else 0.0
        scheduler.complete(plan)

    assert 0 < by_age_s <= all_s / 16 + LONGEST_S
