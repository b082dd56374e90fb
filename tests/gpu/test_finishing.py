"""Pictures that are finished by several threads at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import torch

from gpu.api import Cancelled, Done, Failed
from gpu.device import num_finishing
from gpu.runner import Runner
from tests.gpu.families import runner_of
from tests.gpu.on_device import TIMEOUT_S, Running, assert_alike, drawn, various
from tests.gpu.pictures import job

if TYPE_CHECKING:
    import pytest

    from gpu.api import Job
    from gpu.landing import Landing
    from gpu.models.stable_diffusion import StableDiffusion
    from gpu.painting import Painting


class Sabotaged(Runner):
    """A runner that decodes nothing of one job, and holds another's decoding up."""

    def __init__(self, family: StableDiffusion) -> None:
        plain = runner_of(family)
        super().__init__(family, plain._preparation._tables, plain._previews)
        self.spoilt = self.held = ""
        self.begun, self.let_go = threading.Event(), threading.Event()

    def _develop(self, painting: Painting, job: Job) -> Landing:
        if job.id == self.spoilt:
            painting.latents = torch.full_like(painting.latents, torch.nan)
        if job.id == self.held:
            self.begun.set()
            assert self.let_go.wait(TIMEOUT_S)
        return super()._develop(painting, job)


def test_g2_pictures_finished_side_by_side_are_what_each_is_alone(tiny: StableDiffusion) -> None:
    runner = runner_of(tiny)
    jobs = various(12)

    with Running(runner, finishing=4) as running:
        made = running.pictures(jobs)

    for request in jobs:
        assert_alike(made[request.id], drawn(runner, request), levels=1)


def test_f16_a_picture_that_cannot_be_decoded_fails_alone(tiny: StableDiffusion) -> None:
    runner = Sabotaged(tiny)
    jobs = [job(seed=seed, steps=2) for seed in range(6)]
    runner.spoilt = jobs[2].id

    with Running(runner, finishing=3) as running:
        for request in jobs:
            running.engine.submit(request)
        failed = running.until(Failed)
        while sum(isinstance(event, Done) for event in running.seen) < 5:
            running.until(Done)

    assert isinstance(failed, Failed)
    assert failed.job == jobs[2].id
    assert "out of range" in failed.reason


def test_g6_a_picture_that_is_cancelled_while_it_is_decoded_holds_up_none(
    tiny: StableDiffusion,
) -> None:
    runner = Sabotaged(tiny)
    first, *others = jobs = [job(seed=seed, steps=2) for seed in range(4)]
    runner.held = first.id

    with Running(runner, finishing=2) as running:
        for request in jobs:
            running.engine.submit(request)
        assert runner.begun.wait(TIMEOUT_S)
        running.engine.cancel(first.id)
        assert running.until(Cancelled) == Cancelled(first.id, "asked")
        while sum(isinstance(event, Done) for event in running.seen) < len(others):
            running.until(Done)
        runner.let_go.set()
        running.pictures([job(steps=2)])

    assert first.id not in {event.job for event in running.seen if isinstance(event, Done)}


def test_f16_only_a_gpu_has_pictures_finished_by_several_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gpu.device.num_cpus", lambda: 16)
    assert num_finishing(torch.device("cpu")) == 1
    assert num_finishing(torch.device("cuda")) == 4
    monkeypatch.setattr("gpu.device.num_cpus", lambda: 2)
    assert num_finishing(torch.device("cuda")) == 2
