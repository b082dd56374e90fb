"""Loads on a virtual clock: the real scheduler, on a machine whose forwards take what was measured.

A machine that does other work too can't resolve a tenth; here the same load gives the same
figures to the last digit. Steps and decoding share one core, half of it each while both have
something to do. What an engine itself costs is left out, and so are prompts and pixels.
"""

from __future__ import annotations

import heapq
import itertools
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gpu.api import Cancelled, Done
from gpu.sched.cost import CostModel
from gpu.sched.scheduler import Scheduler
from gpu.sched.work import Demand, Shape, Ticket
from scripts.benchmarks import loads
from scripts.benchmarks.play import Record
from scripts.benchmarks.waits import edits_seen, finals, first_previews, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpu.api import Event, Job, JobId
    from gpu.sched.work import Outcome, StepPlan
    from scripts.benchmarks.loads import Request

    Follow = Callable[[Record, float], Request | None]
    Arm = Callable[[Mapping[int, float], float], "Machine"]

SIDE_PX = 128
_SHAPE = Shape(8, 8)
_IDLE = float("inf")
USUAL_FORWARD_S = 0.015
"""People take the time that they do on a machine whose forward of one row takes this long."""


class Machine(ABC):
    """A core that takes one step at a time and decodes one picture at a time.

    A subclass chooses what the next step is (`begin`) and what comes of it (`stepped`).
    """

    def __init__(self, curve: Mapping[int, float], decode_s: float) -> None:
        self.curve = curve
        self.now_s = 0.0
        self.records: dict[JobId, Record] = {}
        self._decode_s = decode_s
        self._step_left_s: float | None = None
        self._decoding: list[list[Any]] = []
        self._due: list[tuple[float, int, Request]] = []
        self._numbers = itertools.count()
        self._follow: Follow | None = None

    def play(self, requests: Sequence[Request], follow: Follow | None = None) -> list[Record]:
        """See `play.play`."""
        self._follow = follow
        for request in requests:
            self._plan(request)
        while True:
            if self._step_left_s is None:
                self._step_left_s = self.begin()
            if not self._advance():
                return list(self.records.values())

    def forward_s(self, rows: int) -> float:
        """Between measured sizes by interpolation, beyond them in proportion."""
        below = max(size for size in self.curve if size <= rows)
        above = min((size for size in self.curve if size >= rows), default=None)
        if above is None:
            return self.curve[below] * rows / below
        part = (rows - below) / (above - below) if above > below else 0.0
        return self.curve[below] + part * (self.curve[above] - self.curve[below])

    # --- for arms --------------------------------------------------------------------------

    @abstractmethod
    def submit(self, job: Job) -> None: ...

    @abstractmethod
    def begin(self) -> float | None:
        """Begin the next step; seconds that it takes with the core to itself."""

    @abstractmethod
    def stepped(self) -> None: ...

    def show(self, job: JobId) -> None:
        self.records[job].previews_s.append(self.now_s)

    def decode(self, job: JobId) -> None:
        self._decoding.append([job, self._decode_s])

    def end(self, job: JobId, event: Event) -> None:
        record = self.records[job]
        record.end, record.ended_s = event, self.now_s
        following = self._follow and self._follow(record, self.now_s)
        if following:
            self._plan(following)

    # --- the clock -------------------------------------------------------------------------

    def _plan(self, request: Request) -> None:
        heapq.heappush(self._due, (request.at_s, next(self._numbers), request))

    def _advance(self) -> bool:
        """Go to what happens next; False when nothing will."""
        speed = 0.5 if self._step_left_s is not None and self._decoding else 1.0
        step_in_s = _IDLE if self._step_left_s is None else self._step_left_s / speed
        decoded_in_s = self._decoding[0][1] / speed if self._decoding else _IDLE
        asked_in_s = self._due[0][0] - self.now_s if self._due else _IDLE
        passed_s = min(step_in_s, decoded_in_s, asked_in_s)
        if passed_s == _IDLE:
            return False
        self.now_s += passed_s
        if self._step_left_s is not None:
            self._step_left_s -= passed_s * speed
        if self._decoding:
            self._decoding[0][1] -= passed_s * speed
        if passed_s == asked_in_s:
            job = heapq.heappop(self._due)[2].job
            self.records[job.id] = Record(job, self.now_s)
            self.submit(job)
        elif passed_s == decoded_in_s:
            job_id, _ = self._decoding.pop(0)
            self.end(job_id, Done(job=job_id, png=b"", seconds=0.0))
        else:
            self._step_left_s = None
            self.stepped()
        return True


class Ours(Machine):
    def __init__(self, curve: Mapping[int, float], decode_s: float) -> None:
        super().__init__(curve, decode_s)
        costs = CostModel(16)
        for rows, seconds in curve.items():
            costs.calibrate(_SHAPE, rows, seconds)
        self._scheduler = Scheduler(costs)
        self._running: StepPlan | None = None

    def submit(self, job: Job) -> None:
        self._act(self._scheduler.add(Ticket(job.id, job.room, job.person, job.slot, job.live)))

    def begin(self) -> float | None:
        self._running = self._scheduler.plan()
        return None if self._running is None else self.forward_s(self._running.rows)

    def stepped(self) -> None:
        assert self._running is not None
        for job in self._running.ids:
            if job in self._scheduler:
                self.show(job)
        outcome = self._scheduler.complete(self._running)
        for job in outcome.finished:
            self.decode(job)
        self._act(outcome)

    def _act(self, outcome: Outcome) -> None:
        for job in outcome.superseded:
            self.end(job, Cancelled(job, "superseded"))
        for job in outcome.activated:
            self._scheduler.ready(job, Demand(_SHAPE, 1, self.records[job].job.steps))


class Requests(Machine):
    """Request batching, up to eight; `supersedes` replaces stale requests that wait."""

    def __init__(
        self, curve: Mapping[int, float], decode_s: float, *, supersedes: bool = False
    ) -> None:
        super().__init__(curve, decode_s)
        self._supersedes = supersedes
        self._queue: list[Job] = []
        self._batch: list[Job] = []
        self._steps_left = 0

    def submit(self, job: Job) -> None:
        if self._supersedes:
            for other in [other for other in self._queue if other.slot == job.slot]:
                self._queue.remove(other)
                self.end(other.id, Cancelled(other.id, "superseded"))
        self._queue.append(job)

    def begin(self) -> float | None:
        if not self._batch and self._queue:
            self._batch, self._queue = self._queue[:8], self._queue[8:]
            self._steps_left = self._batch[0].steps
        return self.forward_s(len(self._batch)) if self._batch else None

    def stepped(self) -> None:
        self._steps_left -= 1
        for job in self._batch:
            self.show(job.id)
        if self._steps_left == 0:
            for job in self._batch:
                self.decode(job.id)
            self._batch = []


@dataclass(frozen=True, slots=True)
class Setting:
    """A machine by what was measured of it, and how long and how often loads are played."""

    curve: Mapping[int, float]
    decode_s: float
    seconds: float
    seeds: int

    @property
    def pace(self) -> float:
        """See `field.Field.pace`."""
        return self.curve[1] / USUAL_FORWARD_S

    @property
    def span_s(self) -> float:
        return self.seconds * self.pace

    @property
    def capacity_per_s(self) -> float:
        row_s = min(taken / rows for rows, taken in self.curve.items())
        return 1 / (loads.STEPS * row_s + self.decode_s)


Waits = dict[str, dict[str, dict[str, float]]]
"""By arm, then `preview` or `final`: percentiles in ms, as of the real loads."""


def figures(
    curve: Mapping[int, float], decode_s: float, seconds: float = 60.0, seeds: int = 3
) -> dict[str, Any]:
    """The ratios that depend on turns alone, and the waits at all loads."""
    setting = Setting(curve, decode_s, seconds, seeds)
    loaded = {
        f"poisson{part}".replace(".", ""): _independent(setting, part)
        for part in (0.3, 0.6, 0.8, 0.95)
    }
    loaded |= {f"rooms{num:02d}": _rooms(setting, num) for num in (4, 12, 24)}
    lone, beside = (_light(setting, num_hog) for num_hog in (0, 100))
    independent, rooms = loaded["poisson06"], loaded["rooms12"]
    return {
        **{
            f"poisson06_preview_{key}_vs_request_batching": _ratio(
                independent["ours"]["preview"], independent["requests"]["preview"], key
            )
            for key in ("p50", "p95")
        },
        **{
            f"rooms12_{what}_{key}_vs_superseding": _ratio(
                rooms["ours"][what], rooms["superseding"][what], key
            )
            for what, key in (("preview", "p50"), ("preview", "p95"), ("final", "p95"))
        },
        "hog_light_p95_ratio": _ratio(beside, lone, "p95"),
        **loaded,
    }


def _independent(setting: Setting, part: float) -> Waits:
    arms: dict[str, Arm] = {"ours": Ours, "requests": Requests}
    waits: Waits = {}
    for name, arm in arms.items():
        seen: list[float] = []
        finished: list[float] = []
        for seed in range(setting.seeds):
            maker = loads.Maker(SIDE_PX, 6000 + seed)
            asked = loads.poisson(maker, part * setting.capacity_per_s, setting.span_s)
            records = arm(setting.curve, setting.decode_s).play(asked)
            seen += first_previews(records)
            finished += finals(records)
        waits[name] = {"preview": milliseconds(seen), "final": milliseconds(finished)}
    return waits


def _rooms(setting: Setting, num_rooms: int) -> Waits:
    arms: dict[str, Arm] = {"ours": Ours, "superseding": partial(Requests, supersedes=True)}
    waits: Waits = {}
    for name, arm in arms.items():
        seen: list[float] = []
        finished: list[float] = []
        for seed in range(setting.seeds):
            maker = loads.Maker(SIDE_PX, 7000 + seed)
            per_s = setting.capacity_per_s / 12
            asked = loads.rooms(maker, num_rooms, per_s, setting.span_s, setting.pace)
            edits = edits_seen(arm(setting.curve, setting.decode_s).play(asked))
            seen += edits[0]
            finished += edits[1]
        waits[name] = {"preview": milliseconds(seen), "final": milliseconds(finished)}
    return waits


def _light(setting: Setting, num_hog: int) -> dict[str, float]:
    """What fifteen rooms wait for their pictures beside a room that always has `num_hog` open."""
    waits: list[float] = []
    for seed in range(setting.seeds):
        maker, think = loads.Maker(SIDE_PX, 8000 + seed), random.Random(seed)

        def again(
            record: Record,
            now_s: float,
            maker: loads.Maker = maker,
            think: random.Random = think,
        ) -> Request | None:
            is_hog = record.job.room == "hog"
            at_s = now_s + (0.0 if is_hog else 0.5 * setting.pace * think.expovariate(1))
            return (
                loads.Request(at_s, maker.job(record.job.room)) if at_s < setting.span_s else None
            )

        asked = [
            loads.Request(maker.rng.uniform(0, setting.pace), maker.job(f"light{number}"))
            for number in range(15)
        ]
        asked += [loads.Request(0.0, maker.job("hog")) for _ in range(num_hog)]
        records = Ours(setting.curve, setting.decode_s).play(asked, again)
        waits += finals([record for record in records if record.job.room != "hog"])
    return milliseconds(waits)


def _ratio(ours: Mapping[str, float], theirs: Mapping[str, float], key: str) -> float:
    return round(ours[f"{key}_ms"] / theirs[f"{key}_ms"], 3)
