"""The loop: events, faults, cancellation, with a real tiny model."""

from __future__ import annotations

import itertools
import queue
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import torch
from msgspec.structs import replace

from gpu.api import (
    Cancelled,
    Done,
    Event,
    Failed,
    Job,
    JobId,
    Loaded,
    NotLoaded,
    Preview,
    Started,
)
from gpu.engine import Engine
from gpu.errors import ModelError
from gpu.previews import fit
from gpu.runner import PreviewBatch, Runner
from gpu.samplers.table import Tables
from gpu.sched.cost import CostModel
from gpu.sched.work import Shape
from tests.gpu.pictures import job, open_png
from tests.gpu.shelves import GB, Models, shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gpu.library import Library
    from gpu.models.stable_diffusion import StableDiffusion
    from gpu.painting import Painting
    from gpu.sched.work import StepPlan

TIMEOUT_S = 60
EIGHT = Shape(8, 8, "tiny")
ENDS = (Done, Cancelled, Failed)


class Activations:
    """Stands for what a forward has in memory."""


class Faulty(Runner):
    """A runner that calls `sabotage` before each step."""

    sabotage: Callable[[StepPlan], None] = staticmethod(lambda _plan: None)

    def step(self, plan: StepPlan, previews: Collection[JobId] = ()) -> PreviewBatch | None:
        self.sabotage(plan)
        return super().step(plan, previews)


class Harness:
    def __init__(self, runner: Faulty, library: Library | None = None, **options: float) -> None:
        self.runner = runner
        self.events: queue.Queue[Event] = queue.Queue()
        self.seen: list[Event] = []
        self.crashes: queue.Queue[str] = queue.Queue()
        self.costs = CostModel(8)
        library = library or shelf(runner)
        emit, crashed = self.events.put, self.crashes.put
        self.engine = Engine(library, self.costs, emit, crashed, **options)  # type: ignore[arg-type]

    def next(self) -> Event:
        event = self.events.get(timeout=TIMEOUT_S)
        self.seen.append(event)
        return event

    def until_ended(self, *jobs: Job) -> dict[JobId, Event]:
        ends: dict[JobId, Event] = {}
        while len(ends) < len(jobs):
            event = self.next()
            if isinstance(event, ENDS):
                assert event.job not in ends
                ends[event.job] = event
        return ends


@pytest.fixture(scope="module")
def parts(tiny: StableDiffusion) -> tuple[StableDiffusion, Tables, object]:
    return tiny, Tables(tiny.scheduler_config), fit(tiny, 4)[0]


@pytest.fixture
def harness(parts: tuple[StableDiffusion, Tables, object]) -> Iterator[Harness]:
    harness = Harness(Faulty(*parts))  # type: ignore[arg-type]
    harness.engine.start()
    yield harness
    harness.engine.close()
    assert harness.crashes.empty()


def test_g6_a_job_starts_shows_previews_and_is_done(harness: Harness) -> None:
    request = job(steps=6, sampler="ddim")
    harness.engine.submit(request)

    end = harness.until_ended(request)[request.id]

    assert isinstance(end, Done)
    assert open_png(end.png).shape == (128, 128, 3)
    assert end.seconds > 0
    assert harness.seen[0] == Started(request.id)
    assert isinstance(harness.seen[1], Preview)
    assert harness.seen[1].box == (0, 0, 128, 128)
    assert harness.seen[1].steps == 6


def test_g8_previews_count_steps_not_evaluations_of_the_model(harness: Harness) -> None:
    request = job(steps=10, sampler="heun")
    harness.engine.submit(request)
    harness.until_ended(request)

    previews = [event for event in harness.seen if isinstance(event, Preview)]
    assert previews
    assert {preview.steps for preview in previews} == {10}
    assert previews[0].step == 1
    assert max(preview.step for preview in previews) <= 10


def test_g49_a_picture_in_two_passes_counts_its_steps_through_both(harness: Harness) -> None:
    request = job(width=256, height=192, hires_strength=0.5, steps=4, sampler="ddim")
    harness.engine.submit(request)

    end = harness.until_ended(request)[request.id]

    assert isinstance(end, Done)
    assert open_png(end.png).shape == (192, 256, 3)
    previews = [event for event in harness.seen if isinstance(event, Preview)]
    assert {(preview.steps, preview.box) for preview in previews} == {(6, (0, 0, 256, 192))}
    assert max(preview.step for preview in previews) > 4
    assert len([event for event in harness.seen if isinstance(event, Started)]) == 1


def test_g49_a_job_that_is_cancelled_between_its_passes_ends_at_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    refining, go_on = threading.Event(), threading.Event()
    refine = harness.runner.refine

    def held(*arguments: Any) -> Painting:
        refining.set()
        assert go_on.wait(TIMEOUT_S)
        return refine(*arguments)

    monkeypatch.setattr(harness.runner, "refine", held)
    request, other = job(width=256, height=192, hires_strength=0.5, steps=2), job(steps=1)
    harness.engine.submit(request)
    assert refining.wait(TIMEOUT_S)

    harness.engine.cancel(request.id)

    assert harness.until_ended(request)[request.id] == Cancelled(request.id, "asked")
    go_on.set()
    harness.engine.submit(other)
    assert isinstance(harness.until_ended(other)[other.id], Done)
    assert not harness.runner._paintings


def test_g49_a_second_pass_that_cannot_be_prepared_fails_with_the_reason(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Painting:
        raise ValueError("no room to enlarge it")

    monkeypatch.setattr(harness.runner, "refine", fail)
    request = job(width=256, height=192, hires_strength=0.5, steps=2)
    harness.engine.submit(request)

    assert harness.until_ended(request)[request.id] == Failed(request.id, "no room to enlarge it")


def test_g6_every_job_ends_exactly_once_and_no_event_follows(harness: Harness) -> None:
    jobs = [job(steps=3 + n % 4, slot=f"slot{n % 5}", guidance=1.0) for n in range(15)]
    for request in jobs:
        harness.engine.submit(request)
    for request in jobs[::4]:
        harness.engine.cancel(request.id)

    ends = harness.until_ended(*jobs)
    harness.engine.close()

    while not harness.events.empty():
        harness.next()
    assert set(ends) == {request.id for request in jobs}
    over: set[JobId] = set()
    for event in harness.seen:
        name = getattr(event, "job", None)
        assert name not in over
        if isinstance(event, ENDS):
            over.add(event.job)


def test_g7_one_bad_row_fails_alone_and_its_mates_go_on(harness: Harness) -> None:
    jobs = [job(steps=3) for _ in range(4)]
    bad = jobs[2].id

    def sabotage(plan: StepPlan) -> None:
        if bad in plan.ids:
            raise RuntimeError("matrix is cursed")

    harness.runner.sabotage = sabotage
    for request in jobs:
        harness.engine.submit(request)
    ends = harness.until_ended(*jobs)

    kinds = Counter(type(end) for end in ends.values())
    assert kinds == {Done: 3, Failed: 1}
    failed = ends[bad]
    assert isinstance(failed, Failed)
    assert "matrix is cursed" in failed.reason


def test_g7_a_batch_out_of_memory_is_split_and_the_limit_remembered(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(steps=4) for _ in range(4)]
    prepare, prepared = harness.runner.prepare, threading.Event()

    def noted(request: Job) -> Painting:
        painting = prepare(request)
        if request.id == jobs[-1].id:
            prepared.set()
        return painting

    def sabotage(plan: StepPlan) -> None:
        # On a busy machine the first would be done before the last is there.
        assert prepared.wait(TIMEOUT_S)
        if plan.rows > 2:
            raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(harness.runner, "prepare", noted)
    harness.runner.sabotage = sabotage
    for request in jobs:
        harness.engine.submit(request)
    ends = harness.until_ended(*jobs)

    assert all(isinstance(end, Done) for end in ends.values())
    assert harness.costs.best_rows(EIGHT) <= 3


def test_g7_a_job_too_large_even_alone_does_not_keep_the_others_apart(harness: Harness) -> None:
    jobs = [job(steps=4) for _ in range(4)]
    huge = jobs[3].id

    def sabotage(plan: StepPlan) -> None:
        if huge in plan.ids:
            raise torch.OutOfMemoryError("no")

    harness.runner.sabotage = sabotage
    for request in jobs:
        harness.engine.submit(request)
    ends = harness.until_ended(*jobs)

    assert isinstance(ends[huge], Failed)
    assert harness.costs._cap(EIGHT) == 8


def test_g7_a_picture_that_alone_is_too_large_fails_with_advice(harness: Harness) -> None:
    def sabotage(_plan: StepPlan) -> None:
        raise torch.OutOfMemoryError("no")

    harness.runner.sabotage = sabotage
    request = job()
    harness.engine.submit(request)

    end = harness.until_ended(request)[request.id]

    assert isinstance(end, Failed)
    assert "make the frame smaller" in end.reason


def test_g7_what_a_failed_batch_held_is_free_before_its_halves_run(harness: Harness) -> None:
    held: list[weakref.ref[Activations]] = []
    still_held: list[bool] = []

    def sabotage(plan: StepPlan) -> None:
        if len(plan.seats) > 1:
            activations = Activations()
            held.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("no")
        still_held.extend(reference() is not None for reference in held)

    harness.runner.sabotage = sabotage
    harness.costs.calibrate(EIGHT, 1, 1.0)
    harness.costs.calibrate(EIGHT, 8, 1.1)
    jobs = [job(steps=30, guidance=1.0) for _ in range(3)]
    for request in jobs:
        harness.engine.submit(request)
    harness.until_ended(*jobs)

    assert held
    assert not any(still_held)


def test_p7_a_device_that_failed_ends_the_worker_whichever_thread_finds_out(
    parts: tuple[StableDiffusion, Tables, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("prepare", "finish"):
        harness = Harness(Faulty(*parts))  # type: ignore[arg-type]

        def fail(*_arguments: object) -> None:
            raise torch.AcceleratorError("an illegal memory access was encountered")

        monkeypatch.setattr(harness.runner, stage, fail)
        harness.engine.start()
        harness.engine.submit(job(steps=1))

        assert "illegal memory access" in harness.crashes.get(timeout=TIMEOUT_S)
        harness.engine.close()


def test_p7_the_thread_that_encodes_previews_may_find_out(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_batch: PreviewBatch) -> None:
        raise torch.AcceleratorError("an illegal memory access was encountered")

    monkeypatch.setattr(PreviewBatch, "wait", fail)
    harness.engine.submit(job(steps=2))

    assert "illegal memory access" in harness.crashes.get(timeout=TIMEOUT_S)


def test_g6_a_step_that_outlasts_the_closing_is_no_crash(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu.engine._CLOSE_TIMEOUT_S", 0.0)
    stepping, closed = threading.Event(), threading.Event()

    def sabotage(_plan: StepPlan) -> None:
        stepping.set()
        closed.wait(TIMEOUT_S)

    harness.runner.sabotage = sabotage
    request = job(steps=2)
    harness.engine.submit(request)
    assert stepping.wait(TIMEOUT_S)
    harness.engine.close()
    closed.set()
    harness.engine._thread.join(TIMEOUT_S)

    assert harness.until_ended(request)[request.id] == Cancelled(request.id, "shutdown")
    assert harness.crashes.empty()


def test_g7_a_job_that_cannot_be_prepared_fails_with_the_reason(harness: Harness) -> None:
    request = job(width=144)
    harness.engine.submit(request)

    end = harness.until_ended(request)[request.id]

    assert isinstance(end, Failed)
    assert "multiples of 32" in end.reason


def test_f8_a_newer_request_for_the_same_slot_replaces_the_running_one(harness: Harness) -> None:
    old, new = job(slot="frame", steps=150), job(slot="frame", steps=2)
    harness.engine.submit(old)
    while not isinstance(harness.next(), Preview):
        pass
    harness.engine.submit(new)

    ends = harness.until_ended(old, new)

    assert ends[old.id] == Cancelled(old.id, "superseded")
    assert isinstance(ends[new.id], Done)


def test_f14_who_comes_while_a_step_runs_is_in_the_next_one(
    parts: tuple[StableDiffusion, Tables, object],
) -> None:
    harness = Harness(Faulty(*parts), prepared_within_s=TIMEOUT_S)  # type: ignore[arg-type]
    first, late = job(steps=6, guidance=1.0), job(steps=2, guidance=1.0)
    plans: list[tuple[JobId, ...]] = []

    def sabotage(plan: StepPlan) -> None:
        plans.append(plan.ids)
        if len(plans) == 2:
            harness.engine.submit(late)

    harness.runner.sabotage = sabotage
    harness.costs.calibrate(EIGHT, 1, 1.0)
    harness.costs.calibrate(EIGHT, 8, 1.1)
    harness.engine.start()
    harness.engine.submit(first)
    harness.until_ended(first, late)
    harness.engine.close()

    assert [late.id in plan for plan in plans[:4]] == [False, False, True, True]


def test_f14_a_step_does_not_wait_for_one_who_takes_longer(
    parts: tuple[StableDiffusion, Tables, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = Harness(Faulty(*parts), prepared_within_s=0.0)  # type: ignore[arg-type]
    first, late = job(steps=6), job(steps=1, prompt="late")
    prepare, done = harness.runner.prepare, threading.Event()

    def dawdle(request: Job) -> Painting:
        if request.prompt == "late":
            assert done.wait(TIMEOUT_S)
        return prepare(request)

    monkeypatch.setattr(harness.runner, "prepare", dawdle)
    harness.engine.start()
    harness.engine.submit(late)
    harness.engine.submit(replace(first, live=True))
    ends = harness.until_ended(first)
    done.set()
    ends |= harness.until_ended(late)
    harness.engine.close()

    assert all(isinstance(end, Done) for end in ends.values())


def test_f14_a_step_waits_no_longer_for_ever_more_who_come(
    parts: tuple[StableDiffusion, Tables, object],
) -> None:
    engine = Harness(Faulty(*parts), prepared_within_s=0.0).engine  # type: ignore[arg-type]
    asked: list[Job] = []

    def ask() -> None:
        # Another is there whenever the inbox is looked into.
        asked.append(job(steps=1))
        engine._just_come.add(asked[-1].id)
        if len(asked) < 1_000:
            engine._inbox.post(ask)

    engine._inbox.post(ask)
    engine._just_come.add(JobId("first"))
    engine._await_just_come()

    assert len(asked) <= 1
    assert not engine._just_come


def test_f10_cancelling_ends_a_job_before_its_next_step(harness: Harness) -> None:
    request = job(steps=150)
    harness.engine.submit(request)
    while not isinstance(harness.next(), Preview):
        pass
    harness.engine.cancel(request.id)

    assert harness.until_ended(request)[request.id] == Cancelled(request.id, "asked")


def test_g6_closing_cancels_what_is_left(harness: Harness) -> None:
    request = job(steps=150)
    harness.engine.submit(request)
    assert harness.next() == Started(request.id)
    harness.engine.close()

    assert harness.until_ended(request)[request.id] == Cancelled(request.id, "shutdown")


def test_g6_cancelling_an_unknown_job_changes_nothing(harness: Harness) -> None:
    harness.engine.cancel(JobId("nobody"))
    request = job(steps=1)
    harness.engine.submit(request)

    assert isinstance(harness.until_ended(request)[request.id], Done)
    assert len(harness.seen) == 2


def test_g46_a_request_done_before_gives_its_picture_without_a_step(harness: Harness) -> None:
    first, again = job(steps=2), job(steps=2, room="other", person="bob", live=True)
    harness.engine.submit(first)
    picture = harness.until_ended(first)[first.id]
    steps: list[StepPlan] = []
    harness.runner.sabotage = steps.append
    harness.engine.submit(again)

    end = harness.until_ended(again)[again.id]

    assert isinstance(picture, Done)
    assert isinstance(end, Done)
    assert end.png == picture.png
    assert harness.seen[-2:] == [Started(again.id), end]
    assert not steps


def test_g46_another_seed_is_another_picture(harness: Harness) -> None:
    jobs = [job(steps=1), job(steps=1, seed=8)]
    for request in jobs:
        harness.engine.submit(request)
        harness.until_ended(request)

    pictures = [event.png for event in harness.seen if isinstance(event, Done)]
    assert pictures[0] != pictures[1]


def test_f8_a_picture_that_is_there_already_replaces_what_runs_in_its_slot(
    harness: Harness,
) -> None:
    known = job(steps=1)
    harness.engine.submit(known)
    harness.until_ended(known)
    old, new = job(slot="frame", steps=150), job(slot="frame", steps=1)
    harness.engine.submit(old)
    while not isinstance(harness.next(), Preview):
        pass
    harness.engine.submit(new)

    ends = harness.until_ended(old, new)

    assert ends[old.id] == Cancelled(old.id, "superseded")
    assert isinstance(ends[new.id], Done)


def test_f11_a_full_queue_refuses_with_a_reason(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu.sched.scheduler.Scheduler.is_full", True)
    request = job()
    harness.engine.submit(request)

    end = harness.until_ended(request)[request.id]

    assert isinstance(end, Failed)
    assert "waiting already" in end.reason


@pytest.fixture
def two(parts: tuple[StableDiffusion, Tables, object], kl: StableDiffusion) -> Iterator[Harness]:
    """An engine with room for one of two models, "first" and "second"."""
    runners = [Faulty(*parts), Runner(kl, Tables(kl.scheduler_config), fit(kl, 4)[0])]  # type: ignore[arg-type]
    turns = itertools.cycle(runners)
    models = Models({"first": GB, "second": GB}, lambda: next(turns))
    harness = Harness(runners[0], models.library(GB))  # type: ignore[arg-type]
    harness.engine.start()
    yield harness
    harness.engine.close()
    assert harness.crashes.empty()


def test_m13_models_are_switched_without_a_lost_job(two: Harness) -> None:
    jobs = [job(model=("", "second", "first")[n % 3], steps=3, seed=n) for n in range(9)]
    for request in jobs:
        two.engine.submit(request)
    two.engine.cancel(jobs[4].id)

    ends = two.until_ended(*jobs)

    assert Counter(type(end) for end in ends.values()) in (
        Counter({Done: 8, Cancelled: 1}),
        # It was done before its cancellation came.
        Counter({Done: 9}),
    )
    assert any(isinstance(event, Loaded) and event.model.id == "second" for event in two.seen)


def test_m13_a_model_stays_while_anything_is_done_with_it_for_a_job_that_has_ended(
    two: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparing, go_on = threading.Event(), threading.Event()
    prepare = two.runner.prepare

    def held(request: Job) -> Painting:
        preparing.set()
        assert go_on.wait(TIMEOUT_S)
        return prepare(request)

    monkeypatch.setattr(two.runner, "prepare", held)
    request, other = job(steps=2), job(model="second", steps=2)
    two.engine.submit(request)
    assert preparing.wait(TIMEOUT_S)
    two.engine.cancel(request.id)
    two.engine.submit(other)
    # The answer comes when all that was asked before is done.
    two.engine.load("third")
    while not isinstance(two.next(), NotLoaded):
        pass

    assert two.engine._library._in_use(["first"])
    go_on.set()
    assert isinstance(two.until_ended(other)[other.id], Done)


def test_m12_a_job_for_a_model_that_is_not_listed_fails_with_the_list(two: Harness) -> None:
    request = job(model="third")
    two.engine.submit(request)

    end = two.until_ended(request)[request.id]

    assert isinstance(end, Failed)
    assert "expected one of the models first, second, got third" in end.reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ModelError("second has no weights: get them"), "second has no weights: get them"),
        (
            torch.OutOfMemoryError("2 GiB"),
            "the model needs more memory than is free: choose a smaller one",
        ),
        (KeyError("conv"), "the model can't be loaded (KeyError: 'conv'): choose another"),
    ],
    ids=["model", "memory", "bug"],
)
def test_m12_jobs_for_a_model_that_cannot_be_loaded_fail_with_its_reason(
    parts: tuple[StableDiffusion, Tables, object], fault: Exception, reason: str
) -> None:
    runner = Faulty(*parts)  # type: ignore[arg-type]
    models = Models({"first": 0, "second": 0}, lambda: runner)
    models.faults = {"second": fault}
    harness = Harness(runner, models.library(GB))
    harness.engine.start()
    jobs = [job(model="second"), job(steps=2)]
    for request in jobs:
        harness.engine.submit(request)

    ends = harness.until_ended(*jobs)

    assert ends[jobs[0].id] == Failed(jobs[0].id, reason)
    assert isinstance(ends[jobs[1].id], Done)
    harness.engine.load("second")
    assert harness.next() == NotLoaded("second", reason)
    harness.engine.close()


def test_m12_a_look_at_a_model_loads_it(two: Harness) -> None:
    for model in ("second", "", "third"):
        two.engine.load(model)

    answers = [two.next() for _ in range(3)]

    loaded = {answer.model.id for answer in answers if isinstance(answer, Loaded)}
    assert loaded == {"first", "second"}
    assert any(isinstance(answer, NotLoaded) for answer in answers)
