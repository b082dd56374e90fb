"""The loop: plan, run, complete. What doesn't belong into a step runs beside it.

One thread takes steps; others prepare jobs (prompt, pixels, noise), finish them (decode, PNG)
and encode previews. Every job ends exactly once, done, cancelled or failed. Knows nothing of
pipes or processes: events go to a callback.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import torch

from gpu import api
from gpu.api import Cancelled, Done, Event, Failed, Job, JobId, NotLoaded, Preview, Started
from gpu.errors import is_fatal, is_out_of_memory, reason_of, why_not_loaded
from gpu.finished import FinishedPictures, fingerprint
from gpu.inbox import Inbox
from gpu.lanes import Lanes
from gpu.open_jobs import OpenJobs
from gpu.previews import encode_jpeg
from gpu.sched.faults import Failure, attempt
from gpu.sched.scheduler import Scheduler
from gpu.sched.work import Outcome, StepPlan, Ticket

if TYPE_CHECKING:
    from gpu.library import Arrival, Library, Loaded
    from gpu.painting import Painting
    from gpu.runner import PreviewBatch, Runner
    from gpu.sched.cost import CostModel

MAX_JOBS = 256
PREVIEW_INTERVAL_S = 0.04
"""No more than 25 previews a second of one job: nobody sees more."""
PREPARED_WITHIN_S = 0.002
"""A step waits so long for those who have just come: most are ready by then, and would
otherwise miss it for the sake of a millisecond (F14)."""
_CLOSE_TIMEOUT_S = 3.0

Emit = Callable[[Event], None]


class Engine:
    def __init__(
        self,
        library: Library,
        costs: CostModel,
        emit: Emit,
        crashed: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        preview_interval_s: float = PREVIEW_INTERVAL_S,
        prepared_within_s: float = PREPARED_WITHIN_S,
        num_finishing: int = 1,
    ) -> None:
        """`emit` may be called from any thread; `crashed` gets a traceback when the loop died.

        So many threads finish pictures, and as many live ones.
        """
        self._preview_interval_s = preview_interval_s
        self._prepared_within_s = prepared_within_s
        self._just_come: set[JobId] = set()
        self._library = library
        self._costs = costs
        self._emit = emit
        self._crashed = crashed
        self._clock = clock
        self._scheduler = Scheduler(costs, MAX_JOBS)
        self._open = OpenJobs(emit)
        self._pictures = FinishedPictures()
        self._inbox = Inbox(MAX_JOBS)
        self._lanes = Lanes(self._over, num_finishing)
        self._thread = threading.Thread(target=self._run, name="steps", daemon=True)

    # --- from other threads ----------------------------------------------------------------

    def start(self) -> None:
        self._library.start(lambda arrival: self._inbox.post(partial(self._arrived, arrival)))
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job. A queue that is full fails it at once, with a reason (F11).

        Waits for the loop where very many commands came within one tick.
        """
        submitted_s = self._clock()
        self._inbox.wait_for_room()
        self._inbox.post(partial(self._add, job, submitted_s))

    def cancel(self, job: JobId) -> None:
        """Stop a job before its next step; one that has ended is let be."""
        self._inbox.post(partial(self._cancel, job))

    def load(self, model: str) -> None:
        """Tell of a model, loaded if it isn't."""
        self._inbox.post(partial(self._look_up, model))

    def close(self) -> None:
        """Cancel everything and stop; returns when no thread will emit any more."""
        self._library.close()
        self._inbox.close()
        self._thread.join(_CLOSE_TIMEOUT_S)
        for job in self._open:
            self._end(job, Cancelled(job, "shutdown"))
        self._lanes.close()

    # --- the loop --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._inbox.closed:
                self._inbox.run()
                self._await_just_come()
                plan = self._scheduler.plan()
                if plan is not None:
                    self._tick(plan)
                else:
                    self._inbox.wait()
        except BaseException:
            # A step that outlasts `close` finds its jobs gone.
            if not self._inbox.closed:
                self._crashed(traceback.format_exc())

    def _await_just_come(self) -> None:
        """Let those who have just come be prepared, if that is a matter of a moment (F14)."""
        until = time.monotonic() + self._prepared_within_s
        while self._just_come and not self._inbox.closed:
            if not self._inbox.wait(until - time.monotonic()):
                # Whoever takes longer is not waited for again, however many more come.
                self._just_come.clear()
                return
            self._inbox.run()

    def _tick(self, plan: StepPlan) -> None:
        """Run a plan; one that fails is halved until only the culprit is left (G7)."""
        self._announce(plan)
        attempt(plan, self._step, lambda job, why: self._fail(job, why.reason), self._costs)

    def _step(self, plan: StepPlan) -> Failure | None:
        """Take a plan's step, or say why none of it was taken."""
        now = self._clock()
        failure: Exception | None = None
        try:
            batch = self._runner_of(plan.ids[0]).step(plan, self._due_previews(plan, now))
        except Exception as error:
            if is_fatal(error):
                raise
            # Its frames hold the batch's activations: they go before the halves run.
            failure = error.with_traceback(None)
        if failure is not None:
            if is_out_of_memory(failure):
                torch.cuda.empty_cache()
            return Failure(reason_of(failure), is_out_of_memory(failure))
        for timing in self._runner_of(plan.ids[0]).timings():
            self._costs.observe(timing.shape, timing.rows, timing.seconds)
        if batch is not None:
            for job in batch.jobs:
                self._open[job].previewed_s = now
                self._open[job].previews_under_way += 1
            self._lanes.preview(partial(self._send_previews, batch))
        outcome = self._scheduler.complete(plan)
        for name in outcome.finished:
            request = self._open[name].job
            painting = self._runner_of(name).release(name)
            self._lanes.finish(request, partial(self._finish, painting, request))
        for name in outcome.paused:
            request = self._open[name].job
            painting = self._runner_of(name).release(name)
            self._lanes.prepare(request, partial(self._refine, painting, request))
        self._act(outcome)
        return None

    def _announce(self, plan: StepPlan) -> None:
        for job in plan.ids:
            state = self._open[job]
            if not state.started:
                state.started = True
                self._open.say(job, Started(job))

    def _act(self, outcome: Outcome) -> None:
        for job in outcome.superseded:
            self._just_come.discard(job)
            self._forget(job)
            self._end(job, Cancelled(job, "superseded"))
        for job in outcome.activated:
            model = self._open[job].job.model
            loaded = self._library.borrow(model, job)
            if loaded is None:
                self._library.ask(model, job)
            else:
                self._begin(job, loaded)

    def _begin(self, job: JobId, loaded: Loaded) -> None:
        state = self._open[job]
        state.runner = loaded.runner
        if state.job.image is None:
            self._just_come.add(job)
        self._lanes.prepare(state.job, partial(self._prepare, state.job, loaded.runner))

    def _runner_of(self, job: JobId) -> Runner:
        runner = self._open[job].runner
        assert runner is not None, f"job {job} takes a step and has no model"
        return runner

    def _forget(self, job: JobId) -> None:
        """Drop a job's tensors, if it has any."""
        state = self._open.get(job)
        if state is not None and state.runner is not None:
            state.runner.drop(job)

    # --- commands, on the loop's thread ------------------------------------------------------

    def _add(self, job: Job, submitted_s: float) -> None:
        if job.id in self._open:
            return
        opened = self._open.open(job, submitted_s)
        try:
            model = self._library.id_of(job.model)
        except ValueError as error:
            self._end(job.id, Failed(job.id, str(error)))
            return
        # As the registry names it, so that the same wish is the same wherever jobs are compared.
        opened.job = msgspec.structs.replace(job, model=model)
        if self._scheduler.is_full:
            reason = f"{MAX_JOBS} pictures are waiting already: try again when some are done"
            self._end(job.id, Failed(job.id, reason))
            return
        self._act(self._scheduler.add(Ticket(job.id, job.room, job.person, job.slot, job.live)))

    def _cancel(self, job: JobId) -> None:
        self._leave(job)
        self._end(job, Cancelled(job, "asked"))

    def _fail(self, job: JobId, reason: str) -> None:
        self._leave(job)
        self._end(job, Failed(job, reason))

    def _leave(self, job: JobId) -> None:
        self._just_come.discard(job)
        self._forget(job)
        if job in self._scheduler:
            self._act(self._scheduler.remove(job))

    def _prepared(self, painting: Painting, key: bytes) -> None:
        self._just_come.discard(painting.job)
        if painting.job not in self._scheduler:
            return
        state = self._open[painting.job]
        state.fingerprint = key
        state.box, state.steps = painting.region.box, painting.num_steps
        state.rows_per_step = painting.table.rows_per_step
        # The pixels are latents now; hundreds of waiting jobs need not hold them twice.
        state.job = msgspec.structs.replace(state.job, image=None, mask=None, control=None)
        self._admit(painting)

    def _refined(self, painting: Painting) -> None:
        if painting.job in self._scheduler:
            self._admit(painting)

    def _admit(self, painting: Painting) -> None:
        """Let a pass have its steps."""
        self._runner_of(painting.job).admit(painting)
        self._scheduler.ready(painting.job, painting.demand)

    def _look_up(self, model: str) -> None:
        try:
            id = self._library.id_of(model)
        except ValueError as error:
            self._emit(NotLoaded(model, str(error)))
            return
        loaded = self._library.find(id)
        if loaded is None:
            self._library.ask(id)
        else:
            self._emit(api.Loaded(loaded.info))

    def _arrived(self, arrival: Arrival) -> None:
        """A model was loaded, or couldn't be; jobs that ended meanwhile give it back."""
        if arrival.loaded is None:
            assert arrival.error is not None
            self._end_if_fatal(arrival.error)
            reason = why_not_loaded(arrival.error)
            self._emit(NotLoaded(arrival.model, reason))
            for job in arrival.jobs:
                self._fail(job, reason)
            return
        for timing in arrival.loaded.timings:
            self._costs.calibrate(timing.shape, timing.rows, timing.seconds)
        self._emit(api.Loaded(arrival.loaded.info))
        for job in arrival.jobs:
            if job in self._open:
                self._begin(job, arrival.loaded)
            else:
                self._library.give_back(job)

    def _recall(self, job: JobId, png: bytes) -> None:
        """A job's picture is there already: it takes no step (G46)."""
        if job not in self._scheduler:
            return
        if self._scheduler.is_waiting(job):
            # The older picture of its place comes first: nobody is to see them the other way round.
            self._just_come.discard(job)
            self._scheduler.put_off(job)
            return
        state = self._open[job]
        self._open.say(job, Started(job))
        self._leave(job)
        done = Done(job=job, png=png, seconds=self._clock() - state.submitted_s)
        # Behind those whose steps are over: the one before it may be among them.
        self._lanes.finish(state.job, partial(self._end, job, done))

    # --- beside the loop -----------------------------------------------------------------------

    def _prepare(self, job: Job, runner: Runner) -> None:
        if job.id not in self._open:
            return
        try:
            key = fingerprint(job, runner.adapter_versions(job))
            known = self._pictures.get(key)
            if known is not None:
                self._inbox.post(partial(self._recall, job.id, known))
                return
            painting = runner.prepare(job)
        except Exception as error:
            self._end_if_fatal(error)
            self._inbox.post(partial(self._fail, job.id, reason_of(error)))
        else:
            self._inbox.post(partial(self._prepared, painting, key))

    def _refine(self, painting: Painting, job: Job) -> None:
        """Prepare a second pass (G49)."""
        state = self._open.get(job.id)
        if state is None:
            return
        assert state.runner is not None
        try:
            following = state.runner.refine(painting, job)
        except Exception as error:
            self._end_if_fatal(error)
            self._inbox.post(partial(self._fail, job.id, reason_of(error)))
        else:
            self._inbox.post(partial(self._refined, following))

    def _finish(self, painting: Painting, job: Job) -> None:
        state = self._open.get(job.id)
        if state is None:
            return
        assert state.runner is not None
        try:
            png = state.runner.finish(painting, job)
        except Exception as error:
            self._end_if_fatal(error)
            self._end(job.id, Failed(job.id, reason_of(error)))
        else:
            seconds = self._clock() - state.submitted_s
            self._pictures.put(state.fingerprint, png)
            self._end(job.id, Done(job=job.id, png=png, seconds=seconds))

    def _due_previews(self, plan: StepPlan, now: float) -> set[JobId]:
        return {
            job
            for job in plan.ids
            if self._open[job].wants_preview(
                now, self._scheduler.steps_done(job) + 1, self._preview_interval_s
            )
        }

    def _send_previews(self, batch: PreviewBatch) -> None:
        try:
            pixels = batch.wait()
        except Exception as error:
            self._end_if_fatal(error)
            raise
        for job, step, picture in zip(batch.jobs, batch.steps, pixels, strict=True):
            state = self._open.get(job)
            if state is None:
                continue
            jpeg = encode_jpeg(picture)
            done, steps = state.shown(step), state.shown(state.steps)
            preview = Preview(job=job, step=done, steps=steps, box=state.box, jpeg=jpeg)
            state.previews_under_way -= 1
            self._open.say(job, preview)

    def _end_if_fatal(self, error: Exception) -> None:
        """A device that is lost ends the worker, even if no step would find out (P7)."""
        if is_fatal(error) and not self._inbox.closed:
            self._crashed("".join(traceback.format_exception(error)))

    def _end(self, job: JobId, event: Event) -> None:
        self._open.end(job, event)
        if not self._lanes.holds(job):
            self._library.give_back(job)

    def _over(self, job: JobId) -> None:
        """Nothing is done beside the loop for a job: if it has ended, its model is free (M13)."""
        if job not in self._open:
            self._library.give_back(job)
