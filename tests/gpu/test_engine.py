"""The loop: events, faults, cancellation, with a real tiny model."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from gpu.api import (
    Cancelled,
    Done,
    Failed,
    Job,
    JobId,
    Preview,
    Started,
)
from gpu.runner import PreviewBatch
from tests.gpu.engines import EIGHT, ENDS, TIMEOUT_S, Faulty, Harness
from tests.gpu.pictures import job, open_png

if TYPE_CHECKING:
    import pytest

    from gpu.models.stable_diffusion import StableDiffusion
    from gpu.painting import Painting
    from gpu.samplers.table import Tables
    from gpu.sched.work import StepPlan


class Activations:
    """Stands for what a forward has in memory."""


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
