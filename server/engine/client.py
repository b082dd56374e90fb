"""The client of a GPU worker: starts one process after the other and keeps the open jobs.

Promises its caller that every job ends exactly once (E3) and that no call blocks the event
loop (E6), whatever the worker does. Knows nothing of rooms; what the worker is told and tells
is `gpu.api`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from gpu import api
from server.core.messages import Engine as EngineStatus
from server.core.messages import EngineState
from server.engine.process import Death, Patience, close_worker, run_worker, spawn

logger = logging.getLogger(__name__)

OnEvent = Callable[[api.Event], None]
OnStatus = Callable[[EngineStatus], None]


class QueueFull(Exception):
    """As many jobs are open as the client holds; try again when some have ended."""


class ModelUnavailable(Exception):
    """A model can't be used; the text says why, for people."""


class EnginePort(Protocol):
    """What generation needs of an engine. Events and statuses come on the event loop."""

    @property
    def status(self) -> EngineStatus: ...

    async def start(self) -> None: ...

    async def describe(self, model: str) -> api.ModelInfo:
        """What there is to know of a model, which is loaded for that if it never was.

        Raises ModelUnavailable.
        """
        ...

    def submit(self, job: api.Job) -> None:
        """Take on a job; raises QueueFull. It ends with one Done, Cancelled or Failed."""
        ...

    def cancel(self, job: api.JobId) -> None:
        """Ask for a job's end; nothing happens if it has ended already."""
        ...

    async def stop(self) -> None: ...


@dataclass(slots=True)
class _Open:
    """A job that hasn't ended. `runs` counts the workers that it was given to."""

    job: api.Job
    runs: int = 0
    cancelled: bool = False


class Engine:
    """One worker process after the other, and the jobs that are open."""

    def __init__(
        self,
        command: Sequence[str],
        on_event: OnEvent,
        on_status: OnStatus,
        *,
        patience: Patience | None = None,
        max_open: int = 512,
    ) -> None:
        self._command = list(command)
        self._on_event = on_event
        self._on_status = on_status
        self._patience = patience or Patience()
        self._max_open = max_open
        self._status = EngineStatus(state="starting", detail="starting the GPU worker")
        self._model: api.ModelInfo | None = None
        self._listings: tuple[api.ModelListing, ...] = ()
        self._infos: dict[str, api.ModelInfo] = {}
        self._wondering: dict[str, list[asyncio.Future[api.ModelInfo]]] = {}
        self._open: dict[api.JobId, _Open] = {}
        self._outbox: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._wake = asyncio.Event()
        self._stopping = False
        self._supervisor: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def status(self) -> EngineStatus:
        return self._status

    # --- calls ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the worker; returns at once, `on_status` tells when it is ready."""
        self._supervisor = asyncio.create_task(self._supervise(), name="gpu-worker")

    async def describe(self, model: str) -> api.ModelInfo:
        if model in self._infos:
            return self._infos[model]
        if self._status.state == "failed":
            raise ModelUnavailable(self._status.detail)
        answer: asyncio.Future[api.ModelInfo] = asyncio.get_running_loop().create_future()
        self._wondering.setdefault(model, []).append(answer)
        if self._status.state == "ready":
            self._post("load", model)
        return await answer

    def submit(self, job: api.Job) -> None:
        if len(self._open) >= self._max_open:
            raise QueueFull(f"expected at most {self._max_open} open jobs; wait for some to end")
        self._open[job.id] = _Open(job)
        if self._stopping:
            self._end_soon(api.Cancelled(job.id, "shutdown"))
        elif self._status.state == "failed":
            self._end_soon(api.Failed(job.id, self._status.detail))
        elif self._status.state == "ready":
            self._post("submit", job.id)

    def cancel(self, job: api.JobId) -> None:
        entry = self._open.get(job)
        if entry is None or entry.cancelled:
            return
        entry.cancelled = True
        if entry.runs and self._status.state == "ready":
            self._post("cancel", job)
        else:
            self._outbox.pop(("submit", job), None)
            self._end_soon(api.Cancelled(job, "asked"))

    async def stop(self) -> None:
        """End the worker, in good order if it lets us; open jobs end as cancelled."""
        self._stopping = True
        if self._supervisor is not None:
            if self._process is not None:
                await close_worker(self._process, self._patience)
                # The supervisor notices, and cleans up after the process.
                await asyncio.wait((self._supervisor,), timeout=self._patience.shutdown_s)
            self._supervisor.cancel()
            await asyncio.wait((self._supervisor,))
        for job in list(self._open):
            self._end(api.Cancelled(job, "shutdown"))

    # --- one worker after the other --------------------------------------------------------

    async def _supervise(self) -> None:
        try:
            await self._keep_running()
        except Exception:
            logger.exception("the client of the GPU worker failed")
            self._give_up("the server lost its GPU worker by a fault of its own; see its log")

    async def _keep_running(self) -> None:
        in_vain = restarts = 0
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._run_worker()
            except Death as death:
                if self._stopping:
                    return
                ready_s = loop.time() - death.ready_at if death.ready_at is not None else None
                logger.warning("the GPU worker is gone: %s", death.reason)
                in_vain = 0 if ready_s is not None else in_vain + 1
                if death.fatal or in_vain >= self._patience.max_starts_in_vain:
                    self._give_up(death.reason)
                    return
                proven = ready_s is not None and ready_s >= self._patience.proven_after_s
                restarts = 1 if proven else restarts + 1
                self._take_back()
                self._tell("restarting", f"{death.reason}; starting it again")
            backoff_s = self._patience.backoff_s * 2 ** min(restarts - 1, 20)
            await asyncio.sleep(min(backoff_s, self._patience.max_backoff_s))

    async def _run_worker(self) -> NoReturn:
        self._process = await spawn(self._command)
        self._outbox.clear()
        try:
            await run_worker(self._process, self._patience, self._heard, self._next_command)
        finally:
            self._process = None

    def _take_back(self) -> None:
        """After a death: run each open job once more, or end it."""
        for job, entry in list(self._open.items()):
            if entry.cancelled:
                self._end(api.Cancelled(job, "asked"))
            elif entry.runs >= 2:
                self._end(
                    api.Failed(job, "the GPU worker stopped twice while it made this picture")
                )

    def _give_up(self, reason: str) -> None:
        self._tell("failed", reason)
        for model in list(self._wondering):
            self._answer(model, ModelUnavailable(reason))
        for job, entry in list(self._open.items()):
            self._end(api.Cancelled(job, "asked") if entry.cancelled else api.Failed(job, reason))

    # --- what the worker says ----------------------------------------------------------------

    def _heard(self, event: api.Event) -> None:
        """Pass on what a worker said, less what would break the promises above."""
        if isinstance(event, api.Ready):
            self._heard_ready(event)
        elif isinstance(event, api.Loaded):
            self._infos[event.model.id] = event.model
            self._answer(event.model.id, event.model)
            self._tell(self._status.state, self._status.detail)
        elif isinstance(event, api.NotLoaded):
            self._answer(event.model, ModelUnavailable(event.reason))
        elif isinstance(event, api.Loading):
            state = self._status.state
            self._tell("starting" if state == "starting" else "restarting", event.detail)
        elif isinstance(event, api.Done | api.Failed | api.Cancelled):
            # A worker that shuts down on its own is a death: the job runs again.
            if not (isinstance(event, api.Cancelled) and event.reason == "shutdown"):
                self._end(event)
        elif isinstance(event, api.Started | api.Preview):
            entry = self._open.get(event.job)
            if entry is not None and not entry.cancelled:
                self._emit(event)

    def _heard_ready(self, event: api.Ready) -> None:
        self._listings = event.models
        self._infos[event.model.id] = event.model
        self._tell("ready", "", event.model)
        for model in self._wondering:
            self._post("load", model)
        for job in list(self._open):
            self._post("submit", job)

    def _answer(self, model: str, answer: api.ModelInfo | ModelUnavailable) -> None:
        """Tell all who wait to hear of a model."""
        for waiting in self._wondering.pop(model, ()):
            if waiting.done():
                continue
            if isinstance(answer, ModelUnavailable):
                waiting.set_exception(answer)
            else:
                waiting.set_result(answer)

    def _end(self, event: api.Done | api.Cancelled | api.Failed) -> None:
        entry = self._open.pop(event.job, None)
        if entry is None:
            return
        if entry.cancelled and isinstance(event, api.Cancelled | api.Failed):
            event = api.Cancelled(event.job, "asked")
        self._outbox.pop(("submit", event.job), None)
        self._outbox.pop(("cancel", event.job), None)
        self._emit(event)

    def _emit(self, event: api.Event) -> None:
        try:
            self._on_event(event)
        except Exception:  # a fault in one job's handling is no reason to lose the worker
            logger.exception("the handling of %s failed", type(event).__name__)

    def _end_soon(self, event: api.Cancelled | api.Failed) -> None:
        """From within a call of the caller's: not before that call has returned."""
        asyncio.get_running_loop().call_soon(self._end, event)

    def _tell(self, state: EngineState, detail: str, model: api.ModelInfo | None = None) -> None:
        self._model = model or self._model
        self._status = EngineStatus(
            state=state,
            detail=detail,
            model=self._model,
            models=self._listings,
            infos=tuple(self._infos.values()),
        )
        self._on_status(self._status)

    # --- what the worker is told ---------------------------------------------------------------

    def _post(self, verb: str, about: str) -> None:
        """Queue a command; never more than one of a kind for each open job, or each model."""
        self._outbox[verb, about] = None
        self._wake.set()

    async def _next_command(self) -> bytes:
        """The next frame for the worker's input, encoded only now to keep no copies of pictures."""
        while True:
            while not self._outbox:
                self._wake.clear()
                await self._wake.wait()
            (verb, about), _ = self._outbox.popitem(last=False)
            if verb == "load":
                return api.encode(api.Load(about))
            job = api.JobId(about)
            entry = self._open.get(job)
            if entry is None:
                continue
            if verb == "cancel":
                return api.encode(api.Cancel(job))
            entry.runs += 1
            return api.encode(api.Submit(entry.job))
