"""What the scheduler knows of a job, and what it asks for. Knows nothing of pixels or tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gpu.api import JobId


class Shape(NamedTuple):
    """Height and width of the latents, and the model: jobs share a forward only if theirs are
    equal."""

    height: int
    width: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job as it is handed in: whose it is, and what it may replace."""

    id: JobId
    room: str
    person: str
    slot: str
    live: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What a prepared job needs: `steps` forwards of `rows` rows (2 with guidance) at `shape`."""

    shape: Shape
    rows: int
    steps: int
    extra: float = 0.0
    """What a row costs on average beyond a plain one, as a part of it: a control, say."""
    later: float = 0.0
    """What the passes after this one will cost, each step of them as `cost` counts; 0 for none."""

    @property
    def cost(self) -> float:
        """One step's share of the machine: rows weighted by latent pixels."""
        return self.rows * (1 + self.extra) * self.shape[0] * self.shape[1]


@dataclass(frozen=True, slots=True)
class Seat:
    """One job's place in a batch."""

    id: JobId
    rows: int


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One denoising step for each of `seats`, in one forward of `rows` rows."""

    shape: Shape
    seats: tuple[Seat, ...]
    led_by_bulk: bool = False
    led_by_age: bool = False
    """Its first seat is that of the picture that has waited longest (F13)."""

    @property
    def ids(self) -> tuple[JobId, ...]:
        return tuple(seat.id for seat in self.seats)

    @property
    def rows(self) -> int:
        return sum(seat.rows for seat in self.seats)

    def halves(self) -> tuple[StepPlan, StepPlan]:
        """Split in two, to find the row that fails; needs at least two seats."""
        middle = len(self.seats) // 2
        first, second = self.seats[:middle], self.seats[middle:]
        return replace(self, seats=first), replace(self, seats=second, led_by_age=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command of the scheduler brought about, for the engine to act on.

    `activated` jobs are to be prepared now, `superseded` ones are over, `finished` ones have
    taken their last step. `paused` ones have taken the last step of a pass and are to be
    prepared for the next; they keep their places meanwhile.
    """

    activated: tuple[JobId, ...] = ()
    superseded: tuple[JobId, ...] = ()
    finished: tuple[JobId, ...] = ()
    paused: tuple[JobId, ...] = ()


def _is_well_begun(spent: float, total: float) -> bool:
    """Whether two fifths of a job are done: then it is let finish (F8).

    Since something newer is seen meanwhile (F15), that costs nobody a preview; at a half more
    would be thrown away and finished pictures come later.
    """
    return 5 * spent >= 2 * total


@dataclass(slots=True)
class Progress:
    """A job's state inside the scheduler; `number` is its place in the order of arrival.

    `demand` is None while the job is prepared, for its first pass or for another.
    """

    ticket: Ticket
    number: int
    demand: Demand | None = None
    steps_done: int = 0
    """Of all its passes."""
    waits_since: int = 0
    """How many batches there had been when it took its last step, or was ready for its first."""
    steps_before: int = 0
    """Of the passes before this one, and what they cost."""
    cost_before: float = 0.0
    well_begun: bool = False
    waits: bool = False
    """An older picture of its place is finished first (F9)."""
    is_activated: bool = False
    """It is prepared, or being prepared."""

    def begin(self, demand: Demand) -> None:
        """Begin a pass."""
        self.demand = demand
        self.steps_before = self.steps_done

    def step(self) -> bool:
        """Count a step; says whether it was the last one of its pass."""
        assert self.demand is not None
        self.steps_done += 1
        taken = self.steps_done - self.steps_before
        spent = self.cost_before + taken * self.demand.cost
        total = self.cost_before + self.demand.steps * self.demand.cost + self.demand.later
        self.well_begun = _is_well_begun(spent, total)
        return taken >= self.demand.steps

    def pause(self) -> None:
        """End a pass that another one follows."""
        assert self.demand is not None
        self.cost_before += self.demand.steps * self.demand.cost
        self.demand = None

    @property
    def takes_part(self) -> bool:
        """Whether it may be in the next batch; while it waits, for its first step only (F15).

        A step that is too much of it isn't taken: it couldn't be replaced any more (F8).
        """
        if self.demand is None or not self.waits:
            return self.demand is not None
        total = self.demand.steps * self.demand.cost + self.demand.later
        return self.steps_done == 0 and not _is_well_begun(self.demand.cost, total)

    @property
    def is_urgent(self) -> bool:
        """Live, or nothing of it has been seen yet (F4)."""
        return self.ticket.live or self.steps_done == 0

    @property
    def keeps_its_turn(self) -> bool:
        """Well begun (F8), or live and being prepared (F12): a hand that doesn't rest would
        replace each live picture before it was ready."""
        is_being_prepared = self.demand is None
        return self.well_begun or (is_being_prepared and self.ticket.live)
