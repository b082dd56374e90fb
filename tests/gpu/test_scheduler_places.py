"""What becomes of the pictures of one place (F8, F9, F12, F15), and of second passes. No model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gpu.sched.scheduler import BULK_EVERY, Scheduler
from gpu.sched.work import Demand, Outcome
from tests.gpu.tickets import LARGE, SMALL, add, costs, tick, ticket

if TYPE_CHECKING:
    from gpu.api import JobId


def test_f8_a_newer_job_replaces_one_that_is_not_well_begun() -> None:
    scheduler = Scheduler(costs())
    old = add(scheduler, ticket(slot="frame"), steps=4)
    tick(scheduler)
    new = ticket(slot="frame")

    outcome = scheduler.add(new)

    assert outcome.superseded == (old,)
    assert outcome.activated == (new.id,)
    assert old not in scheduler


def test_f8_one_that_is_well_begun_is_let_finish_and_then_the_newest_goes() -> None:
    scheduler = Scheduler(costs())
    old = add(scheduler, ticket(slot="frame"), steps=4)
    tick(scheduler)
    tick(scheduler)
    new = ticket(slot="frame")

    assert scheduler.add(new).superseded == ()
    assert tick(scheduler).ids == (old,)
    assert tick(scheduler).ids == (old,)
    assert old not in scheduler
    scheduler.ready(new.id, Demand(SMALL, 1, 4))
    assert [tick(scheduler).ids for _ in range(4)] == [(new.id,)] * 4


def test_g49_between_its_passes_a_job_keeps_its_place_and_takes_no_step() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    job = add(scheduler, ticket(slot="frame"), steps=150)
    scheduler.remove(job)
    (job,) = scheduler.add(ticket(slot="frame")).activated
    scheduler.ready(job, Demand(SMALL, 1, 2, later=3 * 32 * 32.0))
    tick(scheduler)
    plan = scheduler.plan()
    assert plan is not None

    outcome = scheduler.complete(plan)

    assert outcome.paused == (job,)
    assert outcome.finished == outcome.activated == ()
    assert job in scheduler
    assert scheduler.plan() is None
    scheduler.ready(job, Demand(LARGE, 1, 3))
    assert [tick(scheduler).shape for _ in range(2)] == [LARGE] * 2
    assert scheduler.steps_done(job) == 4
    plan = scheduler.plan()
    assert plan is not None
    assert scheduler.complete(plan).finished == (job,)


def test_g49_a_room_is_charged_for_a_second_pass_by_its_pixels() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    (job,) = scheduler.add(ticket(room="large")).activated
    scheduler.ready(job, Demand(SMALL, 1, 1, later=20 * 32 * 32.0))
    tick(scheduler)
    scheduler.ready(job, Demand(LARGE, 1, 20))
    one_pass = add(scheduler, ticket(room="plain"), steps=150, shape=LARGE)

    taken = Counter(tick(scheduler).ids[0] for _ in range(20))

    assert abs(taken[job] - taken[one_pass]) <= 2


@pytest.mark.parametrize(("steps", "kept_from"), [(1, 1), (3, 2), (4, 2), (5, 2), (12, 5), (20, 8)])
def test_f8_a_job_is_let_finish_from_two_fifths_of_its_steps_on(steps: int, kept_from: int) -> None:
    for done in range(steps):
        scheduler = Scheduler(costs())
        old = add(scheduler, ticket(slot="frame"), steps)
        for _ in range(done):
            tick(scheduler)
        is_kept = scheduler.add(ticket(slot="frame")).superseded != (old,)
        assert is_kept == (done >= kept_from)


def test_f8_two_fifths_of_a_job_of_two_passes_are_of_what_both_cost() -> None:
    def superseded_after(first_steps: int, second_steps: int) -> bool:
        scheduler = Scheduler(costs())
        (job,) = scheduler.add(ticket(slot="frame")).activated
        scheduler.ready(job, Demand(SMALL, 1, 4, later=4 * 32 * 32.0))
        for _ in range(first_steps):
            tick(scheduler)
        if first_steps == 4 and second_steps:
            scheduler.ready(job, Demand(LARGE, 1, 4))
            for _ in range(second_steps):
                tick(scheduler)
        return job in scheduler.add(ticket(slot="frame")).superseded

    # The first pass costs 4, the second 16: two fifths of both are reached in the second.
    assert superseded_after(3, 0)
    assert superseded_after(4, 0)
    assert not superseded_after(4, 1)


def test_f9_only_the_newest_waits() -> None:
    scheduler = Scheduler(costs())
    add(scheduler, ticket(slot="frame"), steps=2)
    tick(scheduler)
    first, second = ticket(slot="frame"), ticket(slot="frame")
    scheduler.add(first)

    assert scheduler.add(second).superseded == (first.id,)
    assert first.id not in scheduler


def well_begun(scheduler: Scheduler, steps: int = 8) -> JobId:
    old = add(scheduler, ticket(slot="frame"), steps)
    for _ in range(steps // 2):
        tick(scheduler)
    return old


def test_f15_the_newest_takes_its_first_step_beside_an_older_picture_and_then_waits() -> None:
    scheduler = Scheduler(costs())
    old = well_begun(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=3)

    plans = [tick(scheduler).ids for _ in range(6)]

    assert plans == [(new, old), (old,), (old,), (old,), (new,), (new,)]
    assert len(scheduler) == 0


def test_f15_each_newer_one_replaces_the_one_before_and_takes_a_first_step() -> None:
    scheduler = Scheduler(costs())
    old = well_begun(scheduler)
    first = add(scheduler, ticket(slot="frame"), steps=8)
    tick(scheduler)
    second = ticket(slot="frame")

    outcome = scheduler.add(second)

    assert outcome == Outcome(activated=(second.id,), superseded=(first,))
    scheduler.ready(second.id, Demand(SMALL, 1, 8))
    assert [tick(scheduler).ids for _ in range(2)] == [(second.id, old), (old,)]


def test_f15_one_that_came_while_the_older_was_prepared_has_its_first_step_later() -> None:
    scheduler = Scheduler(costs())
    old, new = ticket(slot="frame", live=True), ticket(slot="frame", live=True)
    scheduler.add(old)
    assert scheduler.add(new).activated == ()
    scheduler.ready(old.id, Demand(SMALL, 1, 4))

    activated = []
    for _ in range(4):
        plan = scheduler.plan()
        assert plan is not None
        activated.append(scheduler.complete(plan).activated)

    assert activated == [(), (new.id,), (), ()]


def test_f15_a_first_step_that_is_much_of_a_picture_waits_for_its_turn() -> None:
    scheduler = Scheduler(costs())
    old = well_begun(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=2)

    assert [tick(scheduler).ids for _ in range(5)] == [(old,)] * 4 + [(new,)]


def test_f15_where_the_older_is_cancelled_the_newest_goes_on_from_its_first_step() -> None:
    scheduler = Scheduler(costs())
    old = well_begun(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=4)
    tick(scheduler)

    assert scheduler.remove(old).activated == ()
    assert [tick(scheduler).ids for _ in range(3)] == [(new,)] * 3
    assert len(scheduler) == 0


def test_f15_the_first_step_of_two_passes_may_be_the_first_pass() -> None:
    scheduler = Scheduler(costs())
    old = well_begun(scheduler)
    (new,) = scheduler.add(ticket(slot="frame")).activated
    scheduler.ready(new, Demand(SMALL, 1, 1, later=2 * 32 * 32.0))
    plan = scheduler.plan()
    assert plan is not None
    assert scheduler.complete(plan).paused == (new,)
    scheduler.ready(new, Demand(LARGE, 1, 2))

    assert [tick(scheduler).ids for _ in range(5)] == [(old,)] * 3 + [(new,)] * 2


def test_f15_one_that_has_no_use_for_a_first_step_is_activated_in_its_turn() -> None:
    scheduler = Scheduler(costs())
    old = well_begun(scheduler)
    (new,) = scheduler.add(ticket(slot="frame")).activated
    assert scheduler.is_waiting(new)
    scheduler.put_off(new)
    tick(scheduler)

    assert scheduler.remove(old).activated == (new,)
    assert not scheduler.is_waiting(new)


def test_f15_what_has_had_its_first_step_counts_for_no_turn_while_it_waits() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    old = well_begun(scheduler, steps=100)
    new = add(scheduler, ticket(slot="frame"), steps=8, shape=LARGE)
    assert tick(scheduler).ids == (new,)
    live = add(scheduler, ticket(room="live", live=True), steps=100, shape=LARGE)

    taken = Counter(tick(scheduler).ids[0] for _ in range(40))

    assert set(taken) == {old, live}
    assert not any(tick(scheduler).led_by_age for _ in range(60 + BULK_EVERY))


def test_f12_a_hand_that_does_not_rest_cannot_replace_every_live_picture() -> None:
    scheduler = Scheduler(costs())
    first, *rest = (ticket(slot="frame", live=True) for _ in range(4))
    assert scheduler.add(first).activated == (first.id,)

    assert scheduler.add(rest[0]).superseded == ()
    assert scheduler.add(rest[1]).superseded == (rest[0].id,)
    scheduler.ready(first.id, Demand(SMALL, 1, 1))
    assert scheduler.add(rest[2]).superseded == (rest[1].id,)

    plan = scheduler.plan()
    assert plan is not None
    assert plan.ids == (first.id,)
    assert scheduler.complete(plan).activated == (rest[2].id,)


def test_f10_cancelling_a_running_job_lets_the_waiting_one_go() -> None:
    scheduler = Scheduler(costs())
    old = add(scheduler, ticket(slot="frame"), steps=2)
    tick(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=2)
    scheduler.remove(old)

    assert tick(scheduler).ids == (new,)
