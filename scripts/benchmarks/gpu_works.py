"""What is asked of a GPU for its figures, and the seconds that each takes.

Knows nothing of how a denoiser runs.
"""

from __future__ import annotations

import io
import queue
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch

from gpu.api import Done, Failed, Job, JobId
from gpu.device import num_finishing
from gpu.lanes import Lanes
from gpu.sched.work import Seat, StepPlan
from scripts.benchmarks.arms.ours import Ours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpu.api import Event
    from gpu.painting import Painting
    from gpu.runner import Runner
    from gpu.sched.cost import CostModel
    from scripts.benchmarks.arms.ours import Watched

T = TypeVar("T")
PROMPT = "a red boat at sunset, watercolor"
_ENGINE_TIMEOUT_S = 60.0


class Work(NamedTuple):
    """What pictures ask for; guidance counts two rows a picture."""

    name: str
    steps: int
    guidance: float

    @property
    def rows(self) -> int:
        return 1 if self.guidance <= 1 else 2


WORKS = (Work("4_steps", 4, 1.0), Work("20_steps_guided", 20, 7.5))


class Scale(NamedTuple):
    """How much is measured: rows of a batch, repetitions, and the seconds for them."""

    rows: tuple[int, ...]
    tries: int
    seconds: float
    toy: bool


def several(scale: Scale, run: Callable[[int], T]) -> list[T]:
    """What comes of a few runs, each with a seed, after one that tunes; one at least."""
    run(0)
    begun = time.perf_counter()
    results: list[T] = []
    while len(results) < scale.tries and (
        not results or time.perf_counter() - begun < scale.seconds
    ):
        results.append(run(len(results) + 1))
    return results


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed_s(device: torch.device, run: Callable[[], object]) -> float:
    wait(device)
    begun = time.perf_counter()
    with torch.inference_mode():
        run()
    wait(device)
    return time.perf_counter() - begun


def stock_s(pipeline: Any, side: int, work: Work, seed: int) -> float:
    begun = time.perf_counter()
    (picture,) = pipeline(
        PROMPT, height=side, width=side, num_inference_steps=work.steps,
        guidance_scale=work.guidance, generator=torch.Generator().manual_seed(seed),
    ).images  # fmt: skip
    picture.save(io.BytesIO(), "PNG", compress_level=1)
    return time.perf_counter() - begun


def _jobs(side: int, work: Work, num: int, seed: int) -> list[Job]:
    return [
        Job(
            id=JobId(f"{seed}-{number}"), room=str(number % 4), person="", slot=str(number),
            prompt=PROMPT, width=side, height=side, steps=work.steps, guidance=work.guidance,
            sampler="euler", seed=1000 * seed + number,
        )
        for number in range(num)
    ]  # fmt: skip


def batch_s(
    runner: Runner, side: int, work: Work, num: int, seed: int
) -> tuple[float, float, float]:
    """Seconds of so many pictures together: to prepare them, of their steps, and to PNGs."""
    jobs = _jobs(side, work, num, seed)
    begun = time.perf_counter()
    paintings = [runner.prepare(job) for job in jobs]
    for painting in paintings:
        runner.admit(painting)
    plan = StepPlan(paintings[0].demand.shape, tuple(Seat(p.job, p.demand.rows) for p in paintings))
    device = paintings[0].latents.device
    wait(device)
    prepared = time.perf_counter()
    for _ in range(work.steps):
        runner.step(plan)
    wait(device)
    stepped = time.perf_counter()
    _finish(runner, jobs, num_finishing(device))
    return prepared - begun, stepped - prepared, time.perf_counter() - stepped


def _finish(runner: Runner, jobs: Sequence[Job], num_lanes: int) -> None:
    """Make PNGs of jobs whose steps are done, by as many threads as the engine does."""
    ended: queue.Queue[Exception | None] = queue.Queue()

    def finish(painting: Painting, job: Job) -> None:
        try:
            runner.finish(painting, job)
        except Exception as error:
            ended.put(error)
        else:
            ended.put(None)

    lanes = Lanes(lambda _job: None, num_lanes)
    try:
        for job in jobs:
            lanes.finish(job, partial(finish, runner.release(job.id), job))
        for _ in jobs:
            if (error := ended.get(timeout=_ENGINE_TIMEOUT_S)) is not None:
                raise error
    finally:
        lanes.close()


def engine_s(runner: Watched, costs: CostModel, side: int, work: Work, num: int) -> float:
    """Seconds until the engine has drawn so many pictures, asked for at once by four rooms."""
    events: queue.Queue[Event] = queue.Queue()
    engine = Ours(runner, costs, events.put)
    engine.start()
    try:
        for seed in (0, 1):
            # The first round tunes.
            begun = time.perf_counter()
            for job in _jobs(side, work, num, seed):
                engine.submit(job)
            left = num
            while left:
                event = events.get(timeout=_ENGINE_TIMEOUT_S)
                if isinstance(event, Failed):
                    raise RuntimeError(event.reason)
                left -= isinstance(event, Done)
        return time.perf_counter() - begun
    finally:
        engine.close()
