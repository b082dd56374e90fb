"""The scheduler's rules, F1 to F12 and F15, without a model.

F13, and all of them together, are in test_scheduler_lifecycles.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from gpu.api import JobId
from gpu.sched.cost import CostModel
from gpu.sched.scheduler import BULK_EVERY, Scheduler
from gpu.sched.work import Demand, Outcome, Seat, Shape, StepPlan, Ticket

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


def test_f5_models_do_not_share_a_batch_and_know_their_own_costs() -> None:
    other = Shape(16, 16, "other")
    model = CostModel(4, tick_budget_s=10)
    for rows in (1, 2):
        model.calibrate(SMALL, rows, 0.1 * rows)
        model.calibrate(Shape(64, 64, "other"), rows, 16.0 * rows)

    assert model.predict(other, 1) == pytest.approx(1.0)


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


def test_f6_batches_stop_growing_where_rows_gain_nothing() -> None:
    flat = CostModel(16, tick_budget_s=10)
    steep = CostModel(16, tick_budget_s=10)
    for rows in (1, 2, 4, 8, 16):
        flat.calibrate(SMALL, rows, 0.1)
        steep.calibrate(SMALL, rows, 0.1 * rows)

    assert flat.best_rows(SMALL) == 16
    assert steep.best_rows(SMALL) == 1


def test_f6_a_tick_never_takes_longer_than_its_budget_for_the_sake_of_others() -> None:
    model = CostModel(16, tick_budget_s=0.1)
    for rows in (1, 2, 4, 8, 16):
        model.calibrate(SMALL, rows, 0.02 + 0.01 * rows)

    assert model.best_rows(SMALL) in (7, 8)


def test_f6_a_slow_machine_batches_all_the_same() -> None:
    model = CostModel(16, tick_budget_s=0.1)
    for rows in (1, 2, 4, 8, 16):
        model.calibrate(SMALL, rows, 10 * (0.02 + 0.01 * rows))

    assert model.best_rows(SMALL) == 7


def test_f6_what_did_not_fit_into_memory_is_not_tried_again() -> None:
    model = costs(max_rows=8)
    model.forbid(SMALL, 4)

    assert model.best_rows(SMALL) == 3


def test_f6_a_slow_moment_does_not_make_small_batches_look_better() -> None:
    model = costs(max_rows=8)
    for _ in range(50):
        model.observe(SMALL, 8, 3 * (0.05 + 0.005 * 8))

    assert model.best_rows(SMALL) >= 7
    assert model.predict(SMALL, 8) == pytest.approx(0.27, rel=0.05)
    assert model.predict(SMALL, 1) > 2 * 0.055


def test_f6_one_measured_size_of_a_new_shape_does_not_end_batching() -> None:
    model = CostModel(8)
    for rows in (1, 2, 4, 8):
        model.calibrate(LARGE, rows, 0.02 + 0.02 * rows)
    model.observe(SMALL, 8, 0.08)

    assert model.predict(SMALL, 8) == pytest.approx(0.08)
    assert model.predict(SMALL, 1) == pytest.approx(0.08 * 0.025 / 0.06)
    assert model.best_rows(SMALL) == 8


def test_f6_the_curve_follows_the_machine() -> None:
    model = CostModel(8, tick_budget_s=10)
    for rows in (1, 2, 4, 8):
        model.calibrate(SMALL, rows, 0.1)
    for _ in range(200):
        for rows in (1, 3, 8):
            model.observe(SMALL, rows, 0.1 * rows)

    assert model.best_rows(SMALL) <= 3
    assert model.predict(SMALL, 8) == pytest.approx(0.8, rel=0.1)


def test_f6_batches_stay_right_on_a_machine_that_is_busy_with_other_work() -> None:
    """Found in use: one bad moment, and an engine made batches of one for good."""
    chance = random.Random(1)
    for _ in range(10):
        model, slow = CostModel(16, tick_budget_s=10), 1.0
        for rows in (1, 2, 4, 8):
            model.calibrate(LARGE, rows, 0.008 + 0.030 * rows)
        for moment in range(600):
            if moment % 50 == 0:
                slow = chance.uniform(1, 3)
            rows = min(model.best_rows(SMALL), chance.choice((1, 2, 4, 24)))
            noise = chance.lognormvariate(0, 0.2)
            model.observe(SMALL, rows, slow * noise * (0.010 + 0.005 * rows))
        assert model.best_rows(SMALL) >= 7


@pytest.mark.parametrize("rows", [1, 3, 6, 12])
def test_cost_of_a_shape_never_measured_is_scaled_by_its_pixels(rows: int) -> None:
    model = CostModel(16)
    for measured in (1, 2, 4, 8):
        model.calibrate(SMALL, measured, 0.02 + 0.01 * measured)

    assert model.predict(SMALL, rows) == pytest.approx(0.02 + 0.01 * rows)
    assert model.predict(LARGE, rows) == pytest.approx(0.02 + 0.04 * rows)


def test_f6_memory_that_was_short_is_tried_again_a_row_at_a_time() -> None:
    model = costs(max_rows=8)
    model.forbid(SMALL, 4)
    for _ in range(500):
        model.observe(SMALL, 3, 0.065)
    assert model.best_rows(SMALL) == 4

    for _ in range(4 * 500):
        model.observe(SMALL, 4, 0.07)
    assert model.best_rows(SMALL) == 8


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


def test_f8_a_newer_job_replaces_one_that_is_not_half_done() -> None:
    scheduler = Scheduler(costs())
    old = add(scheduler, ticket(slot="frame"), steps=4)
    tick(scheduler)
    new = ticket(slot="frame")

    outcome = scheduler.add(new)

    assert outcome.superseded == (old,)
    assert outcome.activated == (new.id,)
    assert old not in scheduler


def test_f8_one_past_half_is_let_finish_and_then_the_newest_goes() -> None:
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


def test_f8_half_of_a_job_of_two_passes_is_half_of_what_both_cost() -> None:
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

    # The first pass costs 4, the second 16: half of both is reached in the second.
    assert superseded_after(3, 0)
    assert superseded_after(4, 0)
    assert superseded_after(4, 1)
    assert not superseded_after(4, 2)


def test_f9_only_the_newest_waits() -> None:
    scheduler = Scheduler(costs())
    add(scheduler, ticket(slot="frame"), steps=2)
    tick(scheduler)
    first, second = ticket(slot="frame"), ticket(slot="frame")
    scheduler.add(first)

    assert scheduler.add(second).superseded == (first.id,)
    assert first.id not in scheduler


def half_done(scheduler: Scheduler, steps: int = 8) -> JobId:
    old = add(scheduler, ticket(slot="frame"), steps)
    for _ in range(steps // 2):
        tick(scheduler)
    return old


def test_f15_the_newest_takes_its_first_step_beside_an_older_picture_and_then_waits() -> None:
    scheduler = Scheduler(costs())
    old = half_done(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=3)

    plans = [tick(scheduler).ids for _ in range(6)]

    assert plans == [(new, old), (old,), (old,), (old,), (new,), (new,)]
    assert len(scheduler) == 0


def test_f15_each_newer_one_replaces_the_one_before_and_takes_a_first_step() -> None:
    scheduler = Scheduler(costs())
    old = half_done(scheduler)
    first = add(scheduler, ticket(slot="frame"), steps=8)
    tick(scheduler)
    second = ticket(slot="frame")

    outcome = scheduler.add(second)

    assert outcome == Outcome(activated=(second.id,), superseded=(first,))
    scheduler.ready(second.id, Demand(SMALL, 1, 8))
    assert [tick(scheduler).ids for _ in range(2)] == [(second.id, old), (old,)]


def test_f15_one_that_came_while_the_older_was_prepared_is_prepared_at_its_half() -> None:
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


def test_f15_a_first_step_that_is_half_of_a_picture_waits_for_its_turn() -> None:
    scheduler = Scheduler(costs())
    old = half_done(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=2)

    assert [tick(scheduler).ids for _ in range(5)] == [(old,)] * 4 + [(new,)]


def test_f15_where_the_older_is_cancelled_the_newest_goes_on_from_its_first_step() -> None:
    scheduler = Scheduler(costs())
    old = half_done(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=4)
    tick(scheduler)

    assert scheduler.remove(old).activated == ()
    assert [tick(scheduler).ids for _ in range(3)] == [(new,)] * 3
    assert len(scheduler) == 0


def test_f15_the_first_step_of_two_passes_may_be_the_first_pass() -> None:
    scheduler = Scheduler(costs())
    old = half_done(scheduler)
    (new,) = scheduler.add(ticket(slot="frame")).activated
    scheduler.ready(new, Demand(SMALL, 1, 1, later=2 * 32 * 32.0))
    plan = scheduler.plan()
    assert plan is not None
    assert scheduler.complete(plan).paused == (new,)
    scheduler.ready(new, Demand(LARGE, 1, 2))

    assert [tick(scheduler).ids for _ in range(5)] == [(old,)] * 3 + [(new,)] * 2


def test_f15_one_that_has_no_use_for_a_first_step_is_activated_in_its_turn() -> None:
    scheduler = Scheduler(costs())
    old = half_done(scheduler)
    (new,) = scheduler.add(ticket(slot="frame")).activated
    assert scheduler.is_waiting(new)
    scheduler.put_off(new)
    tick(scheduler)

    assert scheduler.remove(old).activated == (new,)
    assert not scheduler.is_waiting(new)


def test_f15_what_has_had_its_first_step_counts_for_no_turn_while_it_waits() -> None:
    scheduler = Scheduler(costs(max_rows=1))
    old = half_done(scheduler, steps=100)
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


def test_f10_cancelling_a_running_job_lets_the_waiting_one_go() -> None:
    scheduler = Scheduler(costs())
    old = add(scheduler, ticket(slot="frame"), steps=2)
    tick(scheduler)
    new = add(scheduler, ticket(slot="frame"), steps=2)
    scheduler.remove(old)

    assert tick(scheduler).ids == (new,)


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
