"""The desk: takes each request from the drawing of what lies under its frame to its last picture.

Runs on the event loop; drawing goes to threads and the model's work to the engine, so nothing
here blocks. Who may ask, and when a live frame asks, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread

from gpu import api
from server.core.access import access_of
from server.core.errors import Refusal
from server.core.ids import RoomId, new_id
from server.core.records import Candidate, Patch, Record
from server.engine import ModelUnavailable, QueueFull
from server.generation.height import height
from server.generation.making import Passed
from server.generation.plan import has_alpha, prepare
from server.render import strips

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from server.core.ids import PersonId
    from server.core.messages import Engine, Preview
    from server.core.records import Change, Frame
    from server.engine import EnginePort
    from server.generation.live import LiveFrames
    from server.generation.making import Making, Outcome
    from server.generation.plan import Plan
    from server.ports import BlobStore, RoomPort
    from server.render.renderer import Renderer

logger = logging.getLogger(__name__)

RENDER_THREADS = 2
_OF_NO_JOB = (api.Loading, api.Ready, api.Loaded, api.NotLoaded, api.Fatal)
STORE_TIMEOUT_S = 5.0
CANCELLED = "cancelled"
WITHDRAWN = "a host has stopped this"
FRAME_DELETED = "the frame was deleted"
REPLACED = "replaced by a newer request"


class Desk:
    """All requests in progress, in the order in which they came."""

    def __init__(
        self, worker: EnginePort | None, blobs: BlobStore, renderer: Renderer, live: LiveFrames
    ) -> None:
        self._worker = worker
        self._blobs = blobs
        self._renderer = renderer
        self._live = live
        self.model: api.ModelInfo | None = None
        self._why_no_model = ""
        self._model_decided = asyncio.Event()
        self._threads = anyio.CapacityLimiter(RENDER_THREADS)
        self._makings: dict[str, list[Making]] = {}
        self._pictures: dict[api.JobId, tuple[Making, int]] = {}
        self._preparing: set[asyncio.Task[None]] = set()
        self._storing: set[asyncio.Task[None]] = set()
        self._stopping = False

    # --- commands and questions ------------------------------------------------------------

    def begin(self, making: Making) -> None:
        """Start on a request, of the canvas as it is now."""
        self._makings.setdefault(making.room.id, []).append(making)
        records = tuple(making.room.records.values())
        self._spawn(self._prepare(making, records), self._preparing)

    def cancel_frame(
        self, room: RoomId, frame: str, reason: str = CANCELLED, *, only_live: bool = False
    ) -> None:
        for making in self.makings(room):
            if making.frame.id == frame and (making.is_live or not only_live):
                self._finish(making, "cancelled", reason)

    def withdraw(self, room: RoomId, person: PersonId | None) -> None:
        for making in self.makings(room):
            if person is None or making.by == person:
                self._finish(making, "cancelled", WITHDRAWN)

    def makings(self, room: RoomId) -> list[Making]:
        return list(self._makings.get(room, ()))

    def all_makings(self) -> Iterator[Making]:
        return (making for in_room in self._makings.values() for making in in_room)

    def previews(self, room: RoomId) -> list[Preview]:
        return [shown for making in self.makings(room) for shown in making.previews.values()]

    def set_status(self, status: Engine) -> None:
        self.model = status.model or self.model
        self._why_no_model = status.detail
        if status.state in ("ready", "failed"):
            self._model_decided.set()

    async def stop(self) -> None:
        """Stop working. Pictures that are there are still stored; the rest stays unfinished."""
        self._stopping = True
        for task in self._preparing:
            task.cancel()
        if tasks := self._preparing | self._storing:
            await asyncio.wait(tasks, timeout=STORE_TIMEOUT_S)

    # --- from the request to the engine ------------------------------------------------------

    async def _prepare(self, making: Making, records: tuple[Record, ...]) -> None:
        try:
            await self._model_decided.wait()
            plan = await self._draw_under(making, records)
        except Refusal as refusal:
            self._finish(making, "failed", refusal.reason, refusal.code)
        except Exception:
            logger.exception("job %s: what lies under its frame can't be drawn", making.job)
            self._finish(
                making, "failed", "what lies under the frame couldn't be drawn", "not_drawn"
            )
        else:
            if making.outcome is None:
                self._submit(making, plan)

    async def _draw_under(self, making: Making, records: tuple[Record, ...]) -> Plan:
        model = await self._model_of(making)
        room = making.room.id

        def draw() -> Plan:
            making.layer, making.above = height(records, making.frame)
            return prepare(self._renderer, room, making.by, making.frame, records, model, fetch)

        def fetch(blob: str) -> bytes | None:
            return anyio.from_thread.run(self._blobs.get, room, blob)

        return await anyio.to_thread.run_sync(draw, limiter=self._threads)

    def known_model(self, room: RoomPort, frame: Frame) -> api.ModelInfo | None:
        """The default model, if a frame asks for that one and it is known."""
        wanted = _wanted(room, frame)
        return self.model if self.model and wanted in ("", self.model.id) else None

    async def _model_of(self, making: Making) -> api.ModelInfo:
        """The model that a frame asks for, loaded for it if need be; raises Refusal."""
        if self.model is None:
            raise Refusal("engine_failed", self._why_no_model)
        known = self.known_model(making.room, making.frame)
        if known is not None:
            return known
        assert self._worker is not None
        try:
            return await self._worker.describe(_wanted(making.room, making.frame))
        except ModelUnavailable as error:
            raise Refusal("no_model", str(error)) from None

    def _submit(self, making: Making, plan: Plan) -> None:
        making.plan = plan
        if self._live.shows(making):
            self._drop_older(making)
            self._release(making, "done")
            return
        assert self._worker is not None
        for index in sorted(making.missing):
            job = plan.job_for(new_id(), making.slot(index), making.seeds(index))
            try:
                self._worker.submit(job)
            except QueueFull:
                reason = "too many pictures are waiting: try again later"
                making.lose(index, "failed", reason, "too_many_pictures")
                continue
            making.submitted[index] = job.id
            self._pictures[job.id] = (making, index)
        self._settle(making)
        self._live.advanced(making)

    # --- what the engine says ------------------------------------------------------------------

    def heard(self, event: api.Event) -> None:
        if self._stopping or isinstance(event, _OF_NO_JOB):
            return
        making, index = self._pictures.get(event.job, (None, 0))
        if making is None:
            return
        match event:
            case api.Started():
                self._started(making, index)
            case api.Preview():
                self._preview(making, index, event)
            case api.Done(png=png):
                del self._pictures[event.job]
                self._spawn(self._store(making, index, png), self._storing)
            case api.Failed(reason=reason):
                self._lost(making, index, event.job, "failed", reason, "engine_error")
            case api.Cancelled(reason=why):
                reason = REPLACED if why == "superseded" else CANCELLED
                self._lost(making, index, event.job, "cancelled", reason)

    def _started(self, making: Making, index: int) -> None:
        first = not making.has_started
        if making.begin(index):
            self._patch(making, {"attempt": making.attempt})
        elif first and making.is_live:
            about = {"seed": making.seed, "prompt": making.frame.prompt}
            fresh = {"state": "running", "done": 0, "reason": "", "code": ""}
            self._patch(making, fresh | about)
        elif first:
            self._patch(making, {"state": "running"})

    def _preview(self, making: Making, index: int, event: api.Preview) -> None:
        preview = making.preview(index, event)
        if preview is None or not self._live.is_newest(making):
            return
        if not making.is_live:
            making.passed.setdefault(index, Passed()).add(preview)
        older, newer = self._around(making, index)
        if newer and index in making.overtaken:
            return
        for other in older:
            other.overtaken.add(index)
            other.previews.pop(index, None)
        making.previews[index] = preview
        making.room.relay_preview(preview)

    def _around(self, making: Making, index: int) -> tuple[list[Making], list[Making]]:
        """The requests under way whose pictures have the same place: those before, those after."""
        in_room = self.makings(making.room.id)
        place = making.slot(index)
        same = [other for other in in_room if index in other.missing and other.slot(index) == place]
        at = same.index(making)
        return same[:at], same[at + 1 :]

    async def _store(self, making: Making, index: int, png: bytes) -> None:
        try:
            blob, strip = await asyncio.gather(
                self._blobs.put(making.room.id, png), self._store_strip(making, index)
            )
        except Exception:
            logger.exception("job %s: picture %d can't be stored", making.job, index)
            reason = "the picture was made but couldn't be stored: try again"
            making.lose(index, "failed", reason, "not_stored")
            self._settle(making)
            return
        if making.frame.id not in making.room.records:
            # That is told once it is durable; nothing may land on the canvas until then.
            self._finish(making, "cancelled", FRAME_DELETED)
        elif making.outcome is None:
            masked = has_alpha(png)
            self._deliver(making, index, making.candidate(new_id(), index, blob, masked, strip))

    async def _store_strip(self, making: Making, index: int) -> tuple[str, int]:
        """Keep how the picture came into being; it does without where that can't be kept."""
        passed = making.passed.pop(index, None)
        if passed is None:
            return "", 0
        try:
            joined = await anyio.to_thread.run_sync(
                strips.join, passed.all(), making.frame, limiter=self._threads
            )
            if joined is not None:
                return await self._blobs.put(making.room.id, joined[0]), joined[1]
        except Exception:
            logger.exception("job %s: previews of picture %d can't be kept", making.job, index)
        return "", 0

    def _deliver(self, making: Making, index: int, candidate: Candidate) -> None:
        """Put a finished picture into the room, in one op with what it means for the job."""
        making.gain(index)
        making.previews.pop(index, None)
        fields: dict[str, object] = {"done": making.done}
        outcome, reason, code = making.verdict()
        if not making.missing:
            fields |= {"state": outcome, "reason": reason, "code": code}
        if making.is_live:
            fields["attempt"] = 1
            self._drop_older(making)
        changes: list[Change] = [self._live.offer(making, candidate)]
        if self._live.is_newest(making):
            changes.append(Patch(making.job, fields))
        making.room.append(changes, making.by)
        if not making.missing:
            self._release(making, outcome)

    def _drop_older(self, making: Making) -> None:
        """A live picture that comes after a newer one would be a step back."""
        in_room = self.makings(making.room.id)
        for older in in_room[: in_room.index(making)]:
            if older.is_live and older.frame.id == making.frame.id:
                self._finish(older, "cancelled", REPLACED)

    def _lost(
        self,
        making: Making,
        index: int,
        job: api.JobId,
        outcome: Outcome,
        reason: str,
        code: str = "",
    ) -> None:
        del self._pictures[job]
        making.lose(index, outcome, reason, code)
        making.previews.pop(index, None)
        self._settle(making)

    # --- how requests end ------------------------------------------------------------------

    def _settle(self, making: Making) -> None:
        """End a request of which nothing more will come."""
        if not making.missing:
            self._finish(making, *making.verdict())

    def _finish(self, making: Making, outcome: Outcome, reason: str, code: str = "") -> None:
        """End a request now, whatever is still missing; does nothing if it has ended."""
        if making.outcome is None and not self._stopping:
            self._patch(making, {"state": outcome, "reason": reason, "code": code})
            self._release(making, outcome)

    def _release(self, making: Making, outcome: Outcome) -> None:
        """Forget a request that has ended, and what the worker still has of it."""
        making.outcome = outcome
        making.previews.clear()
        for index, job in making.submitted.items():
            self._pictures.pop(job, None)
            if index in making.missing and self._worker is not None:
                self._worker.cancel(job)
        in_room = self._makings[making.room.id]
        in_room.remove(making)
        if not in_room:
            del self._makings[making.room.id]
        self._live.ended(making)

    def _patch(self, making: Making, fields: dict[str, object]) -> None:
        if self._live.is_newest(making):
            making.room.append([Patch(making.job, fields)], making.by)

    def _spawn(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_log_failure)


def _wanted(room: RoomPort, frame: Frame) -> str:
    """The id of the model that a frame asks for: its own, or the room's."""
    return frame.model or access_of(room.records).model


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a request for a picture broke off", exc_info=error)
