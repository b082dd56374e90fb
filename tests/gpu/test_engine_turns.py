"""Whose turn it is, and what replaces what, in an engine with a real tiny model."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpu.api import Cancelled, Done, Event, Failed, Job, JobId, Preview
from tests.gpu.engines import EIGHT, TIMEOUT_S, Faulty, Harness
from tests.gpu.pictures import job

if TYPE_CHECKING:
    import pytest

    from gpu.models.stable_diffusion import StableDiffusion
    from gpu.painting import Painting
    from gpu.samplers.table import Tables
    from gpu.sched.work import StepPlan


def test_f8_a_newer_request_for_the_same_slot_replaces_the_running_one(harness: Harness) -> None:
    old, new = job(slot="frame", steps=150), job(slot="frame", steps=2)
    harness.engine.submit(old)
    while not isinstance(harness.next(), Preview):
        pass
    harness.engine.submit(new)

    ends = harness.until_ended(old, new)

    assert ends[old.id] == Cancelled(old.id, "superseded")
    assert isinstance(ends[new.id], Done)


def submit_during(harness: Harness, number: int, late: Job) -> list[tuple[JobId, ...]]:
    """Submit `late` while batch `number` runs; fills with who is in each batch."""
    plans: list[tuple[JobId, ...]] = []

    def sabotage(plan: StepPlan) -> None:
        plans.append(plan.ids)
        if len(plans) == number:
            harness.engine.submit(late)

    harness.runner.sabotage = sabotage
    return plans


def asked_anew(
    parts: tuple[StableDiffusion, Tables, object], newest: Job
) -> tuple[list[Event], list[tuple[JobId, ...]]]:
    """What is told, and which batches run, where a well-begun picture is asked for again."""
    harness = Harness(Faulty(*parts), prepared_within_s=TIMEOUT_S)  # type: ignore[arg-type]
    known, old = job(seed=1, steps=4), job(seed=2, slot="frame", steps=8)
    harness.costs.calibrate(EIGHT, 1, 1.0)
    harness.costs.calibrate(EIGHT, 8, 1.1)
    harness.engine.start()
    harness.engine.submit(known)
    harness.until_ended(known)
    plans = submit_during(harness, 5, newest)
    harness.engine.submit(old)
    harness.until_ended(old, newest)
    harness.engine.close()
    return harness.seen, plans


def test_f15_something_of_the_newest_is_seen_while_the_older_picture_is_finished(
    parts: tuple[StableDiffusion, Tables, object],
) -> None:
    newest = job(slot="frame", steps=4)

    seen, plans = asked_anew(parts, newest)

    assert [newest.id in plan for plan in plans] == [False] * 5 + [True] + [False] * 2 + [True] * 3
    first_preview = [isinstance(e, Preview) and e.job == newest.id for e in seen].index(True)
    _, older, last = (n for n, event in enumerate(seen) if isinstance(event, Done))
    assert first_preview < older < last == len(seen) - 1


def test_f15_a_picture_that_is_there_already_comes_after_the_older_one_of_its_place(
    parts: tuple[StableDiffusion, Tables, object],
) -> None:
    newest = job(seed=1, slot="frame", steps=4)

    seen, plans = asked_anew(parts, newest)

    assert len(plans) == 8
    assert not any(newest.id in plan for plan in plans)
    assert [event.job for event in seen if isinstance(event, Done)][-1] == newest.id


def test_f14_who_comes_while_a_step_runs_is_in_the_next_one(
    parts: tuple[StableDiffusion, Tables, object],
) -> None:
    harness = Harness(Faulty(*parts), prepared_within_s=TIMEOUT_S)  # type: ignore[arg-type]
    first, late = job(steps=6, guidance=1.0), job(steps=2, guidance=1.0)
    plans = submit_during(harness, 2, late)
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
