"""A room, a store, an engine and a clock that tests of generation drive by hand."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from gpu import api
from server.core.ids import PersonId, RoomId
from server.core.messages import Engine, Preview
from server.core.records import Candidate, Change, Delete, Job, Patch, Put, Record
from server.engine import ModelUnavailable, OnEvent, OnStatus, QueueFull
from server.generation import Generation, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.ports import GenerationPort

PATIENT_S = 20
ANN = PersonId("ann")
BOB = PersonId("bob")
MODEL = api.ModelInfo(
    name="pocket", native_px=64, multiple_px=8, min_px=64, max_px=256, device="cpu", dtype="none",
    live_steps=4,
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    model: str = "pocket"
    worker_flags: tuple[str, ...] = ()
    max_blob_px: int = 1_000_000


class FakeRoom:
    """Applies changes as a room does, and tells generation of them at once."""

    def __init__(self, id: str = "room") -> None:
        self.id = RoomId(id)
        self.map: dict[str, Record] = {}
        self.ops: list[Sequence[Change]] = []
        self.relayed: list[Preview] = []
        self.news = asyncio.Event()
        self.generation: GenerationPort | None = None

    @property
    def records(self) -> Mapping[str, Record]:
        return self.map

    def append(self, changes: Sequence[Change], by: PersonId) -> None:
        self.ops.append(changes)
        self.apply(changes, by)

    def apply(self, changes: Sequence[Change], by: PersonId = ANN) -> None:
        before: dict[str, Record | None] = {}
        for change in changes:
            id = change.record.id if isinstance(change, Put) else change.id
            before.setdefault(id, self.map.get(id))
            self._apply(change, by)
        self.news.set()
        if self.generation is not None:
            self.generation.changed(self, changes, before, by)

    def _apply(self, change: Change, by: PersonId) -> None:
        if isinstance(change, Put):
            assert change.record.id not in self.map
            self.map[change.record.id] = msgspec.structs.replace(change.record, by=by)
        elif isinstance(change, Patch) and change.id in self.map:
            # Through the wire's own types, so that a field of a wrong type is noticed.
            raw = msgspec.to_builtins(self.map[change.id], builtin_types=(bytes,))
            self.map[change.id] = msgspec.convert(raw | change.fields, Record)
        elif isinstance(change, Delete):
            self.map.pop(change.id, None)

    def put(self, *records: Record, by: PersonId = ANN) -> None:
        self.apply([Put(record) for record in records], by)

    def relay_preview(self, preview: Preview) -> None:
        self.relayed.append(preview)

    def job(self, id: str) -> Job:
        job = self.map[id]
        assert isinstance(job, Job)
        return job

    def jobs(self) -> list[Job]:
        return [record for record in self.map.values() if isinstance(record, Job)]

    def candidates(self) -> list[Candidate]:
        return [record for record in self.map.values() if isinstance(record, Candidate)]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not true():
                self.news.clear()
                await self.news.wait()


@dataclass
class FakeBlobs:
    stored: dict[str, bytes] = field(default_factory=dict)
    broken: bool = False
    gate: asyncio.Event | None = None
    """If there is one, `put` waits for it."""

    async def put(self, room: RoomId, data: bytes) -> str:
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            raise OSError("the disk is full")
        name = hashlib.sha256(data).hexdigest()
        self.stored[name] = data
        return name

    async def get(self, room: RoomId, name: str) -> bytes | None:
        return self.stored.get(name)


class FakeEngine:
    """Takes jobs; says what the test tells it to say. Ready at once unless told otherwise."""

    def __init__(self, on_event: OnEvent, on_status: OnStatus, *, ready: bool = True) -> None:
        self.say = on_event
        self.on_status = on_status
        self.is_ready = ready
        self.full = False
        self.others: dict[str, api.ModelInfo] = {}
        self.jobs: list[api.Job] = []
        self.cancelled: list[str] = []
        self.news = asyncio.Event()
        self.status = Engine(state="starting")

    async def start(self) -> None:
        if self.is_ready:
            self.ready()

    def ready(self) -> None:
        self.tell("ready", MODEL)

    def fail(self, detail: str) -> None:
        self.status = Engine(state="failed", detail=detail)
        self.on_status(self.status)

    def tell(self, state: str, model: api.ModelInfo | None) -> None:
        raw = {"state": state, "model": model, "t": "engine"}
        self.status = msgspec.convert(raw, Engine)
        self.on_status(self.status)

    async def describe(self, model: str) -> api.ModelInfo:
        if model not in self.others:
            raise ModelUnavailable(f"expected a model, got {model}")
        return self.others[model]

    def submit(self, job: api.Job) -> None:
        if self.full:
            raise QueueFull("full")
        self.jobs.append(job)
        self.news.set()

    def cancel(self, job: api.JobId) -> None:
        self.cancelled.append(job)

    async def stop(self) -> None:
        pass

    async def until_jobs(self, count: int) -> list[api.Job]:
        async with asyncio.timeout(PATIENT_S):
            while len(self.jobs) < count:
                self.news.clear()
                await self.news.wait()
        assert len(self.jobs) == count
        return self.jobs

    def start_job(self, job: api.Job) -> None:
        self.say(api.Started(job.id))

    def preview(
        self,
        job: api.Job,
        step: int = 1,
        box: tuple[int, int, int, int] | None = None,
        jpeg: bytes = b"jpeg",
    ) -> None:
        box = box or (0, 0, job.width, job.height)
        self.say(api.Preview(job=job.id, step=step, steps=job.steps, box=box, jpeg=jpeg))

    def finish(self, job: api.Job, png: bytes) -> None:
        self.say(api.Done(job=job.id, png=png, seconds=0.1))


@dataclass
class FakeTimer:
    then: Callable[[], None]
    off: bool = False

    def cancel(self) -> None:
        self.off = True


@dataclass
class FakeClock:
    """Timers that go off when a test says so."""

    timers: list[FakeTimer] = field(default_factory=list)

    def defer(self, delay_s: float, then: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(then)
        self.timers.append(timer)
        return timer

    def pending(self) -> int:
        return sum(not timer.off for timer in self.timers)

    def ring(self) -> None:
        """Let the time of all timers that are set pass."""
        timers, self.timers = self.timers, []
        for timer in timers:
            if not timer.off:
                timer.then()


class Studio:
    """Generation with everything around it under a test's control."""

    def __init__(self, *, ready: bool = True, limits: Limits | None = None) -> None:
        self.room = FakeRoom()
        self.blobs = FakeBlobs()
        self.clock = FakeClock()
        self.engines: list[FakeEngine] = []
        self.statuses: list[Engine] = []
        self.generation = Generation(
            Settings(),
            self.blobs,
            connect=lambda on_event, on_status: self._connect(on_event, on_status, ready),
            limits=limits,
            rng=random.Random(7),
            defer=self.clock.defer,
        )
        self.room.generation = self.generation

    def _connect(self, on_event: OnEvent, on_status: OnStatus, ready: bool) -> FakeEngine:
        self.engines.append(FakeEngine(on_event, on_status, ready=ready))
        return self.engines[-1]

    def tasks(self) -> list[asyncio.Task[None]]:
        """What generation is doing beside the event loop's calls."""
        desk = self.generation._desk
        return [*desk._preparing, *desk._storing]

    @property
    def engine(self) -> FakeEngine:
        return self.engines[-1]

    async def __aenter__(self) -> Studio:
        await self.generation.start(self.statuses.append)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.generation.stop()
