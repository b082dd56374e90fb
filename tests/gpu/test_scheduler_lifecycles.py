"""Whatever comes in whatever order, the scheduler's rules hold. A fake clock, no model.

The machine plays the server and the engine around the scheduler: it submits and cancels, loses
people and whole workers, runs out of memory and meets pictures that always fail.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from gpu.api import JobId
from gpu.sched.faults import Failure, attempt
from gpu.sched.scheduler import AGE_PAUSE, BULK_EVERY, Scheduler
from gpu.sched.work import Demand, Outcome, Shape, StepPlan, Ticket
from tests.gpu.imagined import (
    LONGEST_S,
    MAX_JOBS,
    MAX_ROWS,
    SHAPES,
    fresh_costs,
    in_passes,
    seconds,
)

PATIENCE = 6
ATTEMPTS = 2
"""A picture whose worker dies is made again once."""


@dataclass(slots=True)
class Picture:
    """A job as those see it who asked for it."""

    ticket: Ticket
    passes: tuple[Demand, ...]
    is_cursed: bool
    attempts: int = 1
    number: int = 0
    """Of the pass that it is in, or is being prepared for."""
    steps: int = 0
    """In this attempt, of all passes."""
    events: list[str] = field(default_factory=list)
    waits_since_s: float | None = None
    is_newest_state: bool = False
    """An older picture of its place is finished first."""

    @property
    def demand(self) -> Demand:
        return self.passes[self.number]

    @property
    def steps_by_now(self) -> int:
        """Those of all passes up to this one's end."""
        return sum(demand.steps for demand in self.passes[: self.number + 1])

    @property
    def is_well_begun(self) -> bool:
        costs = [demand.cost for demand in self.passes for _ in range(demand.steps)]
        return 5 * sum(costs[: self.steps]) >= 2 * sum(costs)

    def begin_again(self) -> None:
        self.number, self.steps, self.waits_since_s, self.is_newest_state = 0, 0, None, False
        self.attempts += 1

    @property
    def has_its_turn(self) -> bool:
        """While it waits for an older picture it takes a first step, if that isn't much (F15)."""
        is_short = 5 * self.passes[0].cost >= 2 * sum(p.steps * p.cost for p in self.passes)
        return not self.is_newest_state or (self.steps == 0 and not is_short)

    @property
    def is_open(self) -> bool:
        return self.events[-1:] not in (["done"], ["cancelled"], ["failed"])

    def tell(self, event: str) -> None:
        assert self.is_open, f"{event} after {self.events[-1]}"
        self.events.append(event)


class Lifecycles(RuleBasedStateMachine):
    pictures = Bundle("pictures")

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.free_rows = MAX_ROWS
        self.numbers = itertools.count()
        self.all: dict[JobId, Picture] = {}
        self.urgent_in_a_row = 0
        self.start_worker()

    def start_worker(self) -> None:
        self.costs = fresh_costs()
        self.scheduler = Scheduler(self.costs, MAX_JOBS, PATIENCE)
        self.unprepared: list[JobId] = []
        self.urgent_in_a_row = 0

    # --- what people do --------------------------------------------------------------------

    @rule(
        target=pictures,
        room=st.sampled_from(["a", "b", "c"]),
        person=st.sampled_from(["ann", "bob"]),
        slot=st.sampled_from(["s1", "s2", "", ""]),
        live=st.booleans(),
        steps=st.integers(1, 8),
        more_steps=st.sampled_from([0, 1, 3]),
        rows=st.integers(1, 2),
        shape=st.sampled_from(SHAPES),
        is_cursed=st.sampled_from([False] * 7 + [True]),
    )
    def submit(
        self,
        room: str,
        person: str,
        slot: str,
        live: bool,
        steps: int,
        more_steps: int,
        rows: int,
        shape: Shape,
        is_cursed: bool,
    ) -> JobId:
        number = next(self.numbers)
        id = JobId(f"job{number}")
        slot = f"{room}-{slot}" if slot else f"own{number}"
        ticket = Ticket(id, room, person, slot, live)
        self.all[id] = Picture(ticket, in_passes(shape, rows, steps, more_steps), is_cursed)
        self.hand_in(id)
        return id

    @precondition(lambda self: self.open_jobs())
    @rule(target=pictures, chosen=st.integers(0, MAX_JOBS), ticks=st.integers(0, 4))
    def ask_again(self, chosen: int, ticks: int) -> JobId:
        """A newer picture for the same place, while the one before is at work."""
        for _ in range(ticks):
            self.prepare(MAX_JOBS)
            self.run(1, None)
        at_work = self.open_jobs() or list(self.all)
        before = self.all[at_work[chosen % len(at_work)]]
        id = JobId(f"job{next(self.numbers)}")
        self.all[id] = Picture(replace(before.ticket, id=id), before.passes, False)
        self.hand_in(id)
        return id

    def hand_in(self, job: JobId) -> None:
        picture = self.all[job]
        if self.scheduler.is_full:
            picture.tell("failed")
            return
        slot = picture.ticket.slot
        held = [job for job in self.scheduler.jobs if self.all[job].ticket.slot == slot]
        outcome = self.scheduler.add(picture.ticket)
        if len(held) == 1 and self.all[held[0]].waits_since_s is not None:
            assert outcome.superseded == (() if self.all[held[0]].is_well_begun else (held[0],))
        for other in outcome.superseded:
            replaced = self.all[other]
            assert replaced.ticket.slot == picture.ticket.slot
            assert not replaced.is_well_begun
            replaced.tell("cancelled")
        assert len(outcome.superseded) <= 1
        picture.is_newest_state = any(self.all[older].is_open for older in held)
        self.act(outcome)

    @rule(job=pictures)
    def cancel(self, job: JobId) -> None:
        if self.all[job].is_open:
            self.all[job].tell("cancelled")
            self.act(self.scheduler.remove(job))
            plan = self.scheduler.plan()
            assert plan is None or job not in plan.ids

    @rule(room=st.sampled_from(["a", "b", "c"]), person=st.sampled_from(["ann", "bob"]))
    def disconnect(self, room: str, person: str) -> None:
        for job in self.open_jobs():
            ticket = self.all[job].ticket
            if (ticket.room, ticket.person) == (room, person):
                self.cancel(job)

    # --- what the machine does -------------------------------------------------------------

    @rule(some=st.integers(1, 6))
    def prepare(self, some: int) -> None:
        ready, self.unprepared = self.unprepared[:some], self.unprepared[some:]
        for job in ready:
            if job in self.scheduler:
                self.scheduler.ready(job, self.all[job].demand)
                self.all[job].waits_since_s = self.now_s

    @precondition(lambda self: self.unprepared)
    @rule()
    def recall(self) -> None:
        """A picture was made before, as turns out when it is prepared (G46)."""
        job, *self.unprepared = self.unprepared
        if job not in self.scheduler:
            return
        if self.all[job].number > 0:
            self.unprepared.append(job)
        elif self.scheduler.is_waiting(job):
            self.scheduler.put_off(job)
        else:
            self.all[job].tell("done")
            self.act(self.scheduler.remove(job))

    @rule(rows=st.integers(1, MAX_ROWS))
    def fill_memory(self, rows: int) -> None:
        self.free_rows = rows

    @rule()
    def crash(self) -> None:
        """The worker dies: whatever it had goes to a new one, once."""
        had = self.open_jobs()
        self.start_worker()
        for job in had:
            picture = self.all[job]
            picture.begin_again()
            if not picture.is_open:
                continue
            if picture.attempts > ATTEMPTS:
                picture.tell("failed")
            else:
                self.hand_in(job)

    @rule(ticks=st.integers(1, 40), meanwhile=st.one_of(st.none(), pictures))
    def run(self, ticks: int, meanwhile: JobId | None) -> None:
        for _ in range(ticks):
            plan = self.scheduler.plan()
            if plan is None:
                return
            assert self.scheduler.plan() == plan, "planning changed something"
            self.check(plan)
            self.note_turn(plan)
            attempt(plan, self.step, self.blame, self.costs)
            if meanwhile is not None and self.all[meanwhile].is_open:
                self.cancel(meanwhile)

    def step(self, plan: StepPlan) -> Failure | None:
        self.now_s += seconds(plan.shape, plan.rows)
        if plan.rows > self.free_rows and len(plan.seats) > 1:
            return Failure("no memory", out_of_memory=True)
        if any(self.all[job].is_cursed for job in plan.ids):
            return Failure("cursed")
        self.costs.observe(plan.shape, plan.rows, seconds(plan.shape, plan.rows))
        for job in plan.ids:
            self.all[job].steps += 1
            self.all[job].tell("step")
            self.all[job].waits_since_s = self.now_s
        outcome = self.scheduler.complete(plan)
        # As many steps as it asked for, however often its batches failed.
        at_an_end = {job for job in plan.ids if self.all[job].steps == self.all[job].steps_by_now}
        assert set(outcome.finished) | set(outcome.paused) == at_an_end
        for job in outcome.finished:
            assert self.all[job].number + 1 == len(self.all[job].passes)
            self.all[job].tell("done")
        for job in outcome.paused:
            self.all[job].number += 1
            self.all[job].waits_since_s = None
        self.act(outcome)
        return None

    def blame(self, job: JobId, failure: Failure) -> None:
        assert self.all[job].is_cursed, "only the culprit fails"
        self.all[job].tell("failed")
        self.act(self.scheduler.remove(job))

    def act(self, outcome: Outcome) -> None:
        self.unprepared += outcome.activated + outcome.paused
        assert len(set(self.unprepared)) == len(self.unprepared), "prepared twice"
        taken = Counter(self.all[job].ticket.slot for job in self.open_jobs())
        for job in self.open_jobs():
            picture = self.all[job]
            if picture.is_newest_state and taken[picture.ticket.slot] == 1:
                picture.is_newest_state = False
                if picture.waits_since_s is not None:
                    picture.waits_since_s = self.now_s

    # --- what has to hold ------------------------------------------------------------------

    def check(self, plan: StepPlan) -> None:
        assert len(set(plan.ids)) == len(plan.ids)
        assert set(plan.ids) <= set(self.ready_jobs()), "between two passes there are no steps"
        assert {self.all[job].demand.shape for job in plan.ids} == {plan.shape}
        most = self.costs.best_rows(plan.shape)
        assert plan.rows <= most or len(plan.seats) == 1
        if not plan.led_by_age:
            self.check_turns(plan)

    def check_turns(self, plan: StepPlan) -> None:
        """No room has two places while one that was served no more waits in vain."""
        leads_bulk = plan.led_by_bulk
        leading = [
            job
            for job in self.ready_jobs()
            if self.all[job].demand.shape == plan.shape and self.is_bulk(job) == leads_bulk
        ]
        seats = Counter(self.all[job].ticket.room for job in plan.ids if job in leading)
        served = self.scheduler._rooms.served
        for room in {self.all[job].ticket.room for job in leading} - set(seats):
            assert not any(
                count > 1 and served(other) >= served(room) for other, count in seats.items()
            )

    def note_turn(self, plan: StepPlan) -> None:
        """Bulk work leads every fourth batch where both kinds wait, but for one led by age."""
        ready = self.ready_jobs()
        is_mixed = len({self.is_bulk(job) for job in ready}) == 2
        if plan.led_by_bulk or not is_mixed:
            self.urgent_in_a_row = 0
        else:
            self.urgent_in_a_row += 1
        assert self.urgent_in_a_row <= BULK_EVERY

    def is_bulk(self, job: JobId) -> bool:
        picture = self.all[job]
        return not picture.ticket.live and self.scheduler.steps_done(job) > 0

    def ready_jobs(self) -> list[JobId]:
        pictures = ((job, self.all[job]) for job in self.open_jobs())
        return [job for job, p in pictures if p.waits_since_s is not None and p.has_its_turn]

    def open_jobs(self) -> list[JobId]:
        return [job for job, picture in self.all.items() if picture.is_open]

    @invariant()
    def each_picture_is_either_here_or_has_ended_once(self) -> None:
        assert set(self.scheduler.jobs) == set(self.open_jobs())
        for picture in self.all.values():
            ends = [event for event in picture.events if event != "step"]
            assert len(ends) <= 1

    @invariant()
    def a_place_holds_one_picture_and_one_newest_state(self) -> None:
        held: dict[str, list[JobId]] = {}
        for job in self.open_jobs():
            held.setdefault(self.all[job].ticket.slot, []).append(job)
        for jobs in held.values():
            assert len(jobs) <= 2
            if len(jobs) == 2:
                older, newest = (self.all[job] for job in jobs)
                assert newest.is_newest_state
                assert newest.steps <= older.is_well_begun, "the newest waits"

    @invariant()
    def nothing_waits_longer_than_the_bound(self) -> None:
        # A batch that fails is run again in parts: at most twice as many as it has seats.
        longest_s = LONGEST_S * 2 * MAX_ROWS
        bound_s = longest_s * (PATIENCE + (AGE_PAUSE + 2) * MAX_JOBS)
        for job in self.ready_jobs():
            since_s = self.all[job].waits_since_s
            assert since_s is not None
            assert self.now_s - since_s <= bound_s

    def teardown(self) -> None:
        """Everything that is here can be brought to its end."""
        self.free_rows = MAX_ROWS
        for _ in range(200):
            self.prepare(MAX_JOBS)
            self.run(20, None)
        assert self.open_jobs() == []


Lifecycles.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLifecycles = Lifecycles.TestCase
