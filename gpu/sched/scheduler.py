"""Chooses which jobs take the next denoising step. No torch, no clock, no I/O.

There are no fixed batches: a job has steps left, and every plan fills one forward, so jobs
join and leave between any two steps. Whose turn it is follows from three ledgers: of rooms,
of people within a room, and of latent shapes, which can't share a forward and take turns.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gpu.sched.ledger import Ledger
from gpu.sched.work import Demand, Outcome, Progress, Seat, Shape, StepPlan, Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpu.api import JobId
    from gpu.sched.cost import CostModel

BULK_EVERY = 4
"""At least one plan in this many is led by bulk work where both kinds wait (F4)."""
RIDE_SLOWDOWN = 1.5
"""Bulk work that rides along may make an urgent plan take this many times as long (F7)."""
PATIENCE = 64
"""A picture that took no step in so many batches is overdue (F13)."""
AGE_PAUSE = 15
"""After a batch led by age others come first, for so many times as long as it took (F13): what
is overdue gets at most a sixteenth of the time out of turn, however much of it there is."""

Person = tuple[str, str]


class Scheduler:
    def __init__(self, costs: CostModel, max_jobs: int = 256, patience: int = PATIENCE) -> None:
        self._costs = costs
        self._max_jobs = max_jobs
        self._patience = patience
        self._batches = 0
        self._age_pause_s = 0.0
        self._jobs: dict[JobId, Progress] = {}
        self._active: dict[str, JobId] = {}
        self._waiting: dict[str, JobId] = {}
        self._rooms: Ledger[str] = Ledger()
        self._people: Ledger[Person] = Ledger()
        self._shapes: Ledger[Shape] = Ledger()
        self._arrivals = 0
        self._urgent_in_a_row = 0

    # --- questions ---------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: JobId) -> bool:
        return job in self._jobs

    @property
    def is_full(self) -> bool:
        return len(self._jobs) >= self._max_jobs

    @property
    def jobs(self) -> tuple[JobId, ...]:
        return tuple(self._jobs)

    def steps_done(self, job: JobId) -> int:
        return self._jobs[job].steps_done

    def is_waiting(self, job: JobId) -> bool:
        """Whether an older picture of the job's place is finished first (F9)."""
        return self._jobs[job].waits

    def plan(self) -> StepPlan | None:
        """Choose the next batch without changing any state; None when nothing is ready."""
        ready = self._ready()
        if not ready:
            return None
        waits_longest = min(ready, key=lambda progress: progress.waits_since)
        is_overdue = self._batches - waits_longest.waits_since >= self._patience
        if is_overdue and self._age_pause_s <= 0:
            return self._led_by_age(waits_longest, ready)
        urgent = [progress for progress in ready if progress.is_urgent]
        bulk = [progress for progress in ready if not progress.is_urgent]
        bulk_leads = bool(bulk) and (not urgent or self._urgent_in_a_row >= BULK_EVERY - 1)
        leading, riding = (bulk, urgent) if bulk_leads else (urgent, bulk)
        shape = self._next_shape(leading)
        draft = _Draft(self._rooms, self._people)
        limit = self._costs.best_rows(shape)
        if bulk_leads and urgent:
            draft.take(_at(shape, leading), max(1, limit // BULK_EVERY))
            draft.take(_at(shape, riding), limit)
            draft.take(_at(shape, leading), limit)
        else:
            draft.take(_at(shape, leading), limit)
            if leading is urgent:
                limit = self._costs.rows_within(shape, draft.rows, RIDE_SLOWDOWN)
            draft.take(_at(shape, riding), limit)
        return StepPlan(shape, tuple(draft.seats), bulk_leads)

    def _led_by_age(self, leader: Progress, ready: Sequence[Progress]) -> StepPlan:
        """The batch of one that is overdue; who else is in it goes by the usual turns."""
        assert leader.demand is not None
        shape = leader.demand.shape
        draft = _Draft(self._rooms, self._people)
        limit = self._costs.best_rows(shape)
        draft.take([leader], limit)
        draft.take(_at(shape, ready), limit)
        return StepPlan(shape, tuple(draft.seats), not leader.is_urgent, led_by_age=True)

    # --- commands ----------------------------------------------------------------------

    def add(self, ticket: Ticket) -> Outcome:
        """Take a job in. The newest of a slot wins, unless the one before has its turn.

        It is well begun (F8), or others came already while it was prepared (F12); then the
        newest waits (F9), and is prepared for its first step beside one that is well begun (F15).
        """
        assert ticket.id not in self._jobs, f"job {ticket.id} was added twice"
        assert not self.is_full, "ask is_full first"
        superseded = []
        running = self._active.get(ticket.slot)
        waiting = self._waiting.get(ticket.slot)
        if running is not None and (waiting is not None or self._jobs[running].keeps_its_turn):
            if waiting is not None:
                superseded.append(waiting)
                self._forget(waiting)
            self._enter(ticket).waits = True
            self._waiting[ticket.slot] = ticket.id
            return Outcome(self._activate_beside(running), tuple(superseded))
        if running is not None:
            superseded.append(running)
            self._forget(running)
        self._enter(ticket).is_activated = True
        self._active[ticket.slot] = ticket.id
        return Outcome((ticket.id,), tuple(superseded))

    def ready(self, job: JobId, demand: Demand) -> None:
        """An activated job, or a paused one, is prepared: it takes part from the next plan on."""
        if demand.steps < 1 or demand.rows < 1:
            raise ValueError(f"expected at least one step and one row, got {demand}")
        progress = self._jobs[job]
        self._join_shape(demand.shape)
        progress.begin(demand)
        progress.waits_since = self._batches

    def put_off(self, job: JobId) -> None:
        """A job that waits has no use for a first step: it is activated again in its turn."""
        self._jobs[job].is_activated = False

    def complete(self, plan: StepPlan) -> Outcome:
        """Record that `plan` ran. Jobs that left while it ran are passed over."""
        present = [self._jobs[job] for job in plan.ids if job in self._jobs]
        self._charge(plan, present)
        mixed = any(not progress.is_urgent for progress in self._ready())
        self._urgent_in_a_row = 0 if plan.led_by_bulk or not mixed else self._urgent_in_a_row + 1
        self._batches += 1
        for progress in present:
            progress.waits_since = self._batches
        begun = [progress for progress in present if not progress.well_begun]
        ended = [progress for progress in present if progress.step()]
        paused = [progress for progress in ended if progress.demand and progress.demand.later]
        finished = [progress.ticket.id for progress in ended if progress not in paused]
        for progress in paused:
            progress.pause()
        activated = [job for done in finished for job in self._remove(done)]
        activated += [job for older in begun for job in self._activate_beside(older.ticket.id)]
        return Outcome(
            activated=tuple(activated),
            finished=tuple(finished),
            paused=tuple(progress.ticket.id for progress in paused),
        )

    def remove(self, job: JobId) -> Outcome:
        """A job was cancelled or failed: its place is free in the next plan (F10)."""
        return Outcome(activated=self._remove(job))

    # --- turns -------------------------------------------------------------------------

    def _next_shape(self, leading: Sequence[Progress]) -> Shape:
        """The shape least served, the one with the oldest job among equals (F5)."""
        oldest: dict[Shape, int] = {}
        for progress in leading:
            assert progress.demand is not None
            oldest.setdefault(progress.demand.shape, progress.number)
        return min(oldest, key=lambda shape: (self._shapes.served(shape), oldest[shape]))

    def _charge(self, plan: StepPlan, present: Iterable[Progress]) -> None:
        for progress in present:
            assert progress.demand is not None
            ticket = progress.ticket
            self._rooms.charge(ticket.room, progress.demand.cost)
            self._people.charge((ticket.room, ticket.person), progress.demand.cost)
        # A shape that more rooms wait for gets proportionally more of the time.
        waiting = {p.ticket.room for p in _at(plan.shape, self._ready())}
        seconds = self._costs.predict(plan.shape, plan.rows)
        self._shapes.charge(plan.shape, seconds / max(1, len(waiting)))
        self._age_pause_s = AGE_PAUSE * seconds if plan.led_by_age else self._age_pause_s - seconds

    def _ready(self) -> list[Progress]:
        return [progress for progress in self._jobs.values() if progress.takes_part]

    def _join_shape(self, shape: Shape) -> None:
        """A job of `shape` takes part from now on."""
        present = {other.demand.shape for other in self._ready() if other.demand}
        if shape not in present:
            self._shapes.join(shape, present)
            self._shapes.forget(present | {shape})

    # --- who is here -------------------------------------------------------------------

    def _enter(self, ticket: Ticket) -> Progress:
        rooms = {other.ticket.room for other in self._jobs.values()}
        if ticket.room not in rooms:
            self._rooms.join(ticket.room, rooms)
        people = {(other.ticket.room, other.ticket.person) for other in self._jobs.values()}
        person = (ticket.room, ticket.person)
        if person not in people:
            self._people.join(person, {other for other in people if other[0] == ticket.room})
        progress = self._jobs[ticket.id] = Progress(ticket, self._arrivals)
        self._arrivals += 1
        return progress

    def _forget(self, job: JobId) -> None:
        ticket = self._jobs.pop(job).ticket
        for slots in (self._active, self._waiting):
            if slots.get(ticket.slot) == job:
                del slots[ticket.slot]
        self._rooms.forget({other.ticket.room for other in self._jobs.values()})
        self._people.forget({(p.ticket.room, p.ticket.person) for p in self._jobs.values()})

    def _remove(self, job: JobId) -> tuple[JobId, ...]:
        """Forget a job; returns the one that takes over its slot, if it is to be prepared."""
        ticket = self._jobs[job].ticket
        was_active = self._active.get(ticket.slot) == job
        self._forget(job)
        successor = self._waiting.pop(ticket.slot, None) if was_active else None
        if successor is None:
            return ()
        self._active[ticket.slot] = successor
        progress = self._jobs[successor]
        if progress.demand is not None:
            self._join_shape(progress.demand.shape)
        progress.waits, progress.waits_since = False, self._batches
        was_activated, progress.is_activated = progress.is_activated, True
        return () if was_activated else (successor,)

    def _activate_beside(self, older: JobId) -> tuple[JobId, ...]:
        """The job that waits for one that is well begun, if it is to be prepared now (F15)."""
        if older not in self._jobs or not self._jobs[older].well_begun:
            return ()
        successor = self._waiting.get(self._jobs[older].ticket.slot)
        if successor is None or self._jobs[successor].is_activated:
            return ()
        self._jobs[successor].is_activated = True
        return (successor,)


def _at(shape: Shape, jobs: Iterable[Progress]) -> list[Progress]:
    return [progress for progress in jobs if progress.demand and progress.demand.shape == shape]


class _Draft:
    """A batch in the making: the least-served room's least-served person sends their oldest job."""

    def __init__(self, rooms: Ledger[str], people: Ledger[Person]) -> None:
        self.seats: list[Seat] = []
        self.rows = 0
        self._rooms = rooms
        self._people = people
        self._room_extra: dict[str, float] = {}
        self._person_extra: dict[Person, float] = {}

    def take(self, jobs: Sequence[Progress], limit: int) -> None:
        """Fill up to `limit` rows; the first job gets a seat even if it alone needs more."""
        seated = {seat.id for seat in self.seats}
        queues: dict[str, dict[Person, deque[Progress]]] = {}
        for job in jobs:
            if job.ticket.id not in seated:
                person = (job.ticket.room, job.ticket.person)
                queues.setdefault(person[0], {}).setdefault(person, deque()).append(job)
        while queues:
            room = min(queues, key=lambda key: self._room_turn(key, queues[key]))
            people = queues[room]
            person = min(people, key=lambda key: self._person_turn(key, people[key]))
            job = people[person].popleft()
            if not people[person]:
                del people[person]
            if not people:
                del queues[room]
            if not self._seat(job, person, limit):
                return

    def _seat(self, job: Progress, person: Person, limit: int) -> bool:
        assert job.demand is not None
        if self.seats and self.rows + job.demand.rows > limit:
            return False
        self.seats.append(Seat(job.ticket.id, job.demand.rows))
        self.rows += job.demand.rows
        room = person[0]
        self._room_extra[room] = self._room_extra.get(room, 0.0) + job.demand.cost
        self._person_extra[person] = self._person_extra.get(person, 0.0) + job.demand.cost
        return True

    def _room_turn(self, room: str, people: dict[Person, deque[Progress]]) -> tuple[float, int]:
        oldest = min(jobs[0].number for jobs in people.values())
        return self._rooms.served(room) + self._room_extra.get(room, 0.0), oldest

    def _person_turn(self, person: Person, jobs: deque[Progress]) -> tuple[float, int]:
        return self._people.served(person) + self._person_extra.get(person, 0.0), jobs[0].number
