"""The scheduler's turns, without a model.

All rules together are in test_scheduler_lifecycles, F13 in test_scheduler_floods.
"""

from __future__ import annotations

from collections import Counter

from gpu.api import JobId
from gpu.sched.cost import CostModel
from gpu.sched.scheduler import BULK_EVERY, Scheduler
from gpu.sched.work import Demand, Seat, Shape, StepPlan
from tests.gpu.tickets import LARGE, SMALL, add, costs, started, tick, ticket


def test_f1_busy_room_shares_each_batch_with_a_quiet_one() -> None:
    scheduler = Scheduler(costs())
    for _ in range(8):
        add(scheduler, ticket(room="busy"))
    quiet = add(scheduler, ticket(room="quiet"))

    plan = scheduler.plan()

    assert plan is not None
    assert quiet in plan.ids
    assert len(plan.ids) == 4


def test_f1_rooms_get_equal_sample_steps_however_many_jobs_they_send() -> None:
    scheduler = Scheduler(costs(max_rows=2))
    rooms = {add(scheduler, ticket(room="busy"), steps=150): "busy" for _ in range(6)}
    rooms |= {add(scheduler, ticket(room="quiet"), steps=150): "quiet" for _ in range(2)}

    taken = Counter(rooms[job] for _ in range(60) for job in tick(scheduler).ids)

    assert abs(taken["busy"] - taken["quiet"]) <= 2


def test_f1_a_picture_of_four_times_the_pixels_counts_four_times() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    large = add(scheduler, ticket(room="large"), steps=150, shape=LARGE)
    for _ in range(2):
        add(scheduler, ticket(room="small"), steps=150)

    taken = Counter(job == large for _ in range(100) for job in tick(scheduler).ids)

    assert scheduler.steps_done(large) == taken[True] < taken[False]


def test_f1_steered_steps_count_half_as_much_again() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    (steered,) = scheduler.add(ticket(room="steered")).activated
    scheduler.ready(steered, Demand(SMALL, 1, 150, extra=0.5))
    plain = add(scheduler, ticket(room="plain"), steps=150)

    taken = Counter(job for _ in range(100) for job in tick(scheduler).ids)

    assert taken == {steered: 40, plain: 60}


def test_f2_people_in_a_room_share_it_equally() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    people = {add(scheduler, ticket(person="ann"), steps=150): "ann" for _ in range(5)}
    people |= {add(scheduler, ticket(person="bob"), steps=150): "bob"}

    taken = Counter(people[job] for _ in range(40) for job in tick(scheduler).ids)

    assert abs(taken["ann"] - taken["bob"]) <= 5


def test_f3_a_room_that_joins_late_may_not_claim_the_past() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    early = started(scheduler, ticket(room="early", live=True), steps=150)
    for _ in range(50):
        tick(scheduler)
    late = add(scheduler, ticket(room="late", live=True), steps=150)

    taken = Counter(job for _ in range(20) for job in tick(scheduler).ids)

    assert abs(taken[early] - taken[late]) <= 1


def test_f3_leaving_and_coming_back_does_not_forgive_what_one_had() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    steady = add(scheduler, ticket(room="steady", live=True), steps=150)
    taken = 0
    while scheduler.steps_done(steady) < 40:
        if len(scheduler) == 1:
            add(scheduler, ticket(room="hopper", live=True), steps=2)
        taken += steady not in tick(scheduler).ids

    assert taken <= 44


def test_f4_live_work_and_first_previews_go_before_bulk_work() -> None:
    scheduler = Scheduler(costs(max_rows=2))
    bulk = [started(scheduler, ticket(room=f"bulk{n}")) for n in range(2)]
    tick(scheduler)
    live = add(scheduler, ticket(room="bulk0", live=True))
    fresh = add(scheduler, ticket(room="bulk1"))

    assert set(tick(scheduler).ids) == {live, fresh}
    assert not set(bulk) & {live, fresh}


def test_f4_bulk_work_leads_at_least_every_fourth_plan() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    bulk = started(scheduler, ticket(room="bulk"), steps=150)
    for n in range(3):
        add(scheduler, ticket(room=f"live{n}", live=True), steps=150)

    led = [tick(scheduler).ids == (bulk,) for _ in range(40)]

    assert all(any(led[i : i + BULK_EVERY]) for i in range(len(led) - BULK_EVERY))


def test_f5_a_plan_has_one_shape_and_shapes_take_turns() -> None:
    scheduler = Scheduler(costs())
    for _ in range(4):
        add(scheduler, ticket(), steps=150)
    large = add(scheduler, ticket(), steps=150, shape=LARGE)

    plans = [tick(scheduler) for _ in range(40)]

    assert all((large in plan.ids) == (plan.shape == LARGE) for plan in plans)
    seconds = {SMALL: 0.07, LARGE: 0.10}
    time: Counter[Shape] = Counter()
    for plan in plans:
        time[plan.shape] += round(1000 * seconds[plan.shape])
    assert 0.6 < time[LARGE] / time[SMALL] < 1.6


def test_f7_bulk_work_that_rides_along_slows_an_urgent_plan_by_half_at_most() -> None:
    model = CostModel(16, tick_budget_s=10)
    for rows in (1, 2, 4, 8, 16):
        model.calibrate(SMALL, rows, 0.02 + 0.01 * rows)
    scheduler = Scheduler(model)
    for _ in range(10):
        add(scheduler, ticket(room="bulk"))
    while any(scheduler.steps_done(job) == 0 for job in scheduler.jobs):
        tick(scheduler)
    live = add(scheduler, ticket(room="live", live=True), rows=2)

    plan = scheduler.plan()

    assert plan is not None
    assert plan.ids[0] == live
    assert model.predict(SMALL, plan.rows) <= 1.5 * model.predict(SMALL, 2)
    assert plan.rows > 2


def test_f10_a_cancelled_job_frees_its_place_in_the_next_plan() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    one, two = add(scheduler, ticket()), add(scheduler, ticket())
    plan = scheduler.plan()
    assert plan is not None
    assert plan.ids == (one,)

    scheduler.remove(one)

    plan = scheduler.plan()
    assert plan is not None
    assert plan.ids == (two,)


def test_f10_a_job_cancelled_while_its_step_ran_is_passed_over() -> None:
    scheduler = Scheduler(costs())
    one, two = add(scheduler, ticket(), steps=1), add(scheduler, ticket(), steps=1)
    plan = scheduler.plan()
    assert plan is not None
    scheduler.remove(one)

    assert scheduler.complete(plan).finished == (two,)


def test_f11_the_queue_is_bounded() -> None:
    scheduler = Scheduler(costs(), max_jobs=2)
    add(scheduler, ticket())
    assert not scheduler.is_full
    add(scheduler, ticket())
    assert scheduler.is_full


def test_a_job_that_is_not_prepared_yet_takes_no_part() -> None:
    scheduler = Scheduler(costs())
    scheduler.add(ticket())

    assert scheduler.plan() is None


def test_planning_changes_nothing() -> None:
    scheduler = Scheduler(costs(max_rows=2))
    for n in range(5):
        add(scheduler, ticket(room=f"room{n % 2}"))

    assert scheduler.plan() == scheduler.plan()


def test_a_plan_splits_into_halves_that_together_are_the_plan() -> None:
    plan = StepPlan(SMALL, tuple(Seat(JobId(str(n)), 2) for n in range(5)))
    left, right = plan.halves()

    assert left.ids + right.ids == plan.ids
    assert left.rows + right.rows == plan.rows == 10


def test_f4_nothing_starves_under_a_flood_of_live_work() -> None:
    scheduler = Scheduler(costs(max_rows=2))
    bulk = started(scheduler, ticket(room="bulk"), steps=6)
    other_shape = add(scheduler, ticket(room="bulk"), steps=6, shape=LARGE)
    for n in range(120):
        if not scheduler.is_full and n % 2 == 0:
            add(scheduler, ticket(room=f"flood{n % 7}", live=True), steps=4)
        tick(scheduler)

    assert bulk not in scheduler
    assert other_shape not in scheduler
