"""`Generation`: what rooms ask of generation, wired to the desk, the live frames and the worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from server.core.errors import Refusal
from server.core.ids import PersonId, RoomId, new_id
from server.core.messages import Cancel, Engine, Generate, Preview
from server.core.records import Candidate, Frame, Job, Patch, Put
from server.engine import Engine as Worker
from server.engine import EnginePort, OnEvent, OnStatus, worker_command
from server.generation import leftover, quota
from server.generation.desk import FRAME_DELETED, Desk
from server.generation.live import Defer, LiveFrame, LiveFrames
from server.generation.making import Making
from server.generation.plan import picture_size
from server.render.renderer import Renderer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpu.api import Event
    from server.core.records import Change, Record
    from server.ports import BlobStore, RoomPort

NO_MODEL = "none"
Connect = Callable[[OnEvent, OnStatus], EnginePort]


class GenerationSettings(Protocol):
    @property
    def model(self) -> str:
        """What the worker is to load; "none" switches generation off."""
        ...

    @property
    def worker_flags(self) -> Sequence[str]:
        """Further options of the worker's command line."""
        ...

    @property
    def max_blob_px(self) -> int:
        """Pictures with more pixels aren't decoded."""
        ...


class Generation:
    """Implements `ports.GenerationPort` with one GPU worker."""

    def __init__(
        self,
        settings: GenerationSettings,
        blobs: BlobStore,
        *,
        connect: Connect | None = None,
        renderer: Renderer | None = None,
        limits: quota.Limits | None = None,
        rng: random.Random | None = None,
        defer: Defer | None = None,
    ) -> None:
        self._limits = limits or quota.Limits()
        self._rng = rng or random.SystemRandom()
        self._status = Engine(state="starting", detail="starting the GPU worker")
        self._on_engine: Callable[[Engine], None] = lambda status: None
        self._worker: EnginePort | None = None
        if settings.model != NO_MODEL:
            connect = connect or _worker_of(settings)
            self._worker = connect(self._on_event, self._on_status)
        self._renderer = renderer or Renderer(max_picture_px=settings.max_blob_px)
        self._live = LiveFrames(self._draw_live, defer or _call_later, self._new_seed)
        self._desk = Desk(self._worker, blobs, self._renderer, self._live)

    async def start(self, on_engine: Callable[[Engine], None]) -> None:
        """Start the worker. `on_engine` hears of every change of its state."""
        self._on_engine = on_engine
        if self._worker is None:
            self._on_status(Engine(state="failed", detail="generation is switched off"))
        else:
            await self._worker.start()

    async def stop(self) -> None:
        """Stop the worker. What is unfinished stays so in the log, for `opened` to take up."""
        self._live.stop()
        await self._desk.stop()
        if self._worker is not None:
            await self._worker.stop()

    # --- ports.GenerationPort ------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        return self._status

    def generate(self, room: RoomPort, by: PersonId, request: Generate) -> None:
        known = room.records.get(request.id)
        if isinstance(known, Job):
            return
        if known is not None:
            raise Refusal("exists", f"there is a record {request.id} already: choose another id")
        frame = room.records.get(request.frame)
        if not isinstance(frame, Frame):
            raise Refusal("missing_frame", "this frame is gone: put a new one on the canvas")
        self._check_can_generate(room, by, frame)
        seed = self._new_seed() if frame.seed is None else frame.seed
        job = _queued(request.id, frame, seed, count=frame.count, live=False)
        room.append([Put(job)], by)
        still = msgspec.structs.replace(frame, live=False)
        missing = set(range(frame.count))
        self._desk.begin(Making(room, still, job=job.id, by=by, seed=seed, missing=missing))

    def cancel(self, room: RoomPort, by: PersonId, request: Cancel) -> None:
        self._live.forgive(room.id, request.frame)
        self._desk.cancel_frame(room.id, request.frame)

    def withdraw(self, room: RoomPort, person: PersonId | None) -> None:
        self._live.withdraw(room.id, person)
        self._desk.withdraw(room.id, person)

    def changed(
        self,
        room: RoomPort,
        changes: Sequence[Change],
        before: Mapping[str, Record | None],
        by: PersonId,
    ) -> None:
        for id, old in before.items():
            new = room.records.get(id)
            if isinstance(new, Frame) and new.live:
                self._live.watch(room, id, by)
            elif isinstance(old, Frame):
                self._end_live(room.id, id)
                if new is None:
                    self._desk.cancel_frame(room.id, id, FRAME_DELETED)
        for id, old in before.items():
            new = room.records.get(id)
            if old is None and isinstance(new, Candidate):
                self._live.recognise(room.id, new)
        self._live.changed(room, before, by)

    def previews(self, room: RoomId) -> Sequence[Preview]:
        return self._desk.previews(room)

    def opened(self, room: RoomPort) -> None:
        records = list(room.records.values())
        for record in records:
            if isinstance(record, Frame) and record.live:
                self._live.watch(room, record.id, PersonId(record.by))
        for record in records:
            if isinstance(record, Candidate):
                self._live.recognise(room.id, record)
            elif isinstance(record, Job) and record.state in ("queued", "running"):
                self._resume(room, record)

    def closed(self, room: RoomId) -> None:
        # Where a room failed, nobody will hear of them; its journal has the jobs as unfinished.
        self._desk.withdraw(room, None)
        self._live.close(room)
        self._renderer.forget(room)

    def busy(self, room: RoomId) -> bool:
        return bool(self._desk.makings(room)) or self._live.is_waiting(room)

    # --- requests -----------------------------------------------------------------------------

    def _check_can_generate(self, room: RoomPort, by: PersonId, frame: Frame) -> None:
        if self._status.state == "failed":
            raise Refusal("engine_failed", self._status.detail)
        model = self._desk.known_model(room, frame)
        if model is not None:
            picture_size(frame, model)
        quota.check(self._limits, self._desk.all_makings(), room.id, by, frame.count)

    def _resume(self, room: RoomPort, job: Job) -> None:
        """Take up a job that the log holds as unfinished."""
        by = PersonId(job.by)
        verdict = leftover.judge(job, room)
        room.append([Patch(job.id, verdict.fields)], by)
        if verdict.frame is None:
            return
        if job.live:
            self._live.touch(self._live.watch(room, job.frame, by), by)
        else:
            self._desk.begin(leftover.rest_of(job, verdict.frame, room))

    # --- live frames ---------------------------------------------------------------------------

    def _draw_live(self, live: LiveFrame) -> None:
        room = live.room
        frame = room.records.get(live.frame)
        if not isinstance(frame, Frame) or self._status.state == "failed":
            return
        seed = live.seed if frame.seed is None else frame.seed
        job = self._live_job(live, frame, seed)
        live.making = Making(
            room, frame, job=job.id, by=live.by, seed=seed, missing={0}, attempt=job.attempt
        )
        self._desk.begin(live.making)

    def _live_job(self, live: LiveFrame, frame: Frame, seed: int) -> Job:
        """The one job record of a live frame; looked for in the room, else made."""
        records = live.room.records
        job = records.get(live.job or "")
        if not isinstance(job, Job):
            owned = (r for r in records.values() if isinstance(r, Job) and r.frame == frame.id)
            job = next((record for record in owned if record.live), None)
        if job is None:
            job = _queued(new_id(), frame, seed, count=1, live=True)
            live.room.append([Put(job)], live.by)
        live.job = job.id
        return job

    def _end_live(self, room: RoomId, frame: str) -> None:
        """A frame is live no more: what it showed last stays, as a candidate like any other."""
        live = self._live.get(room, frame)
        if live is None:
            return
        self._desk.cancel_frame(room, frame, "the frame is no longer live", only_live=True)
        self._live.unwatch(room, frame)
        offered = live.room.records.get(live.candidate or "")
        if isinstance(offered, Candidate) and offered.live:
            live.room.append([Patch(offered.id, {"live": False})], live.by)

    # --- the worker ------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        self._desk.heard(event)

    def _on_status(self, status: Engine) -> None:
        self._status = status
        self._desk.set_status(status)
        self._on_engine(status)

    def _new_seed(self) -> int:
        return self._rng.randrange(2**32)


def _queued(id: str, frame: Frame, seed: int, *, count: int, live: bool) -> Job:
    return Job(
        id=id,
        frame=frame.id,
        state="queued",
        count=count,
        live=live,
        seed=seed,
        prompt=frame.prompt,
    )


def _worker_of(settings: GenerationSettings) -> Connect:
    command = worker_command(settings.model, settings.worker_flags)

    def connect(on_event: OnEvent, on_status: OnStatus) -> EnginePort:
        return Worker(command, on_event, on_status)

    return connect


def _call_later(delay_s: float, then: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay_s, then)
