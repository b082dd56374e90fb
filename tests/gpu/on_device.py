"""Runs models on a device by a runner or by an engine, for tests that compare devices."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gpu.api import Done
from gpu.device import num_finishing
from gpu.engine import PREVIEW_INTERVAL_S, Engine
from gpu.models.compiled import Graphs
from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.runner import Runner
from gpu.sched.cost import CostModel
from gpu.sched.work import Seat, StepPlan
from tests.gpu.families import runner_of
from tests.gpu.parity import run
from tests.gpu.pictures import job, open_png
from tests.gpu.shelves import shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from gpu.api import Event, Job, JobId
    from gpu.runner import PreviewBatch

TIMEOUT_S = 30
TOO_MUCH = 1 << 46
"""Numbers that no GPU has room for."""


def runner_on(device: torch.device, model: Path, **options: Any) -> Runner:
    chosen = {"dtype": torch.float32, **options}
    return runner_of(load(LoadOptions(model, device, **chosen), fail_if_impossible))


def fail_if_impossible(line: str) -> None:
    assert "can't" not in line, line


def latents(runner: Runner, jobs: Sequence[Job]) -> list[Tensor]:
    return [made.cpu() for made in run(runner, jobs)]


def drawn(runner: Runner, request: Job) -> np.ndarray:
    """The picture of a job that is by itself, (H, W, 3)."""
    painting = runner.prepare(request)
    runner.admit(painting)
    plan = StepPlan(painting.demand.shape, (Seat(request.id, painting.demand.rows),))
    for _ in range(painting.table.num_steps):
        runner.step(plan)
    return open_png(runner.finish(runner.release(request.id), request))


def psnr_db(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = np.square(ours.astype(float) - theirs).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def graphs_of(runner: Runner) -> Graphs:
    family: Any = runner._family
    graphs = family._denoiser._graphs
    assert isinstance(graphs, Graphs)
    return graphs


def various(count: int = 6) -> list[Job]:
    """Jobs of several lengths, samplers and sides."""
    samplers = ("euler", "euler_a", "ddim", "dpmpp_2m")
    return [
        job(
            seed=number, steps=4 + number % 3, sampler=samplers[number % 4],
            guidance=1.0 if number % 2 else 4.0, width=128 + 32 * (number % 3),
        )
        for number in range(count)
    ]  # fmt: skip


class Running:
    """An engine that runs, and what it says."""

    def __init__(
        self,
        runner: Runner,
        preview_interval_s: float = PREVIEW_INTERVAL_S,
        finishing: int | None = None,
    ) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.crashes: list[str] = []
        self.seen: list[Event] = []
        self.engine = Engine(
            shelf(runner),
            CostModel(8),
            self.events.put,
            self.crashes.append,
            preview_interval_s=preview_interval_s,
            num_finishing=finishing or num_finishing(runner._family.device),
        )

    def __enter__(self) -> Running:
        self.engine.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        assert not self.crashes

    def until(self, kind: type[Event]) -> Event:
        while True:
            self.seen.append(event := self.events.get(timeout=TIMEOUT_S))
            if isinstance(event, kind):
                return event

    def pictures(self, jobs: Sequence[Job]) -> dict[JobId, np.ndarray]:
        for request in jobs:
            self.engine.submit(request)
        done = [self.until(Done) for _ in jobs]
        return {end.job: open_png(end.png) for end in done if isinstance(end, Done)}


def assert_alike(ours: np.ndarray, theirs: np.ndarray, levels: int = 3) -> None:
    assert int(np.abs(ours.astype(int) - theirs).max()) <= levels


def latents_each(runner: Runner, jobs: Sequence[Job]) -> list[Tensor]:
    return [latents(runner, [request])[0] for request in jobs]


def batches(runner: Runner, jobs: Sequence[Job]) -> list[PreviewBatch]:
    """The previews of all steps, of which none is waited for."""
    for request in jobs:
        runner.admit(runner.prepare(request))
    plan = StepPlan(runner._paintings[jobs[0].id].demand.shape, tuple(Seat(j.id, 1) for j in jobs))
    made = [runner.step(plan, plan.ids) for _ in range(jobs[0].steps)]
    return [batch for batch in made if batch is not None]


def active_bytes() -> int:
    """The memory that torch can't give to anything else."""
    torch.cuda.synchronize()
    # What other streams are done with is looked up when something is allocated.
    torch.empty(1, device="cuda")
    return int(torch.cuda.memory_stats()["active_bytes.all.current"])


def use_in_two_streams() -> None:
    torch.empty(1 << 24, device="cuda").record_stream(torch.cuda.Stream())


class Fussy(torch.nn.Module):
    """Fails while it is recorded."""

    def __init__(self, fail: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.fail: Callable[[Tensor], object] | None = fail

    def forward(self, sample: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        if self.fail is not None and torch.cuda.is_current_stream_capturing():
            self.fail(sample)
        return (sample * 2,)


class Hungry(Runner):
    """Finds no memory for more than two rows."""

    def step(self, plan: StepPlan, previews: Any = ()) -> PreviewBatch | None:
        if plan.rows > 2:
            torch.empty(TOO_MUCH, device="cuda")
        return super().step(plan, previews)
