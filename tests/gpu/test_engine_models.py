"""An engine with several models: they are loaded when asked for, and take turns."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import torch

from gpu.api import (
    Cancelled,
    Done,
    Failed,
    Job,
    Loaded,
    NotLoaded,
)
from gpu.errors import ModelError
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from tests.gpu.engines import TIMEOUT_S, Faulty, Harness
from tests.gpu.pictures import job
from tests.gpu.shelves import GB, Models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.models.stable_diffusion import StableDiffusion
    from gpu.painting import Painting


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
