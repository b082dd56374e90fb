"""What happens inside of our engine: how much of a step is the model, and what the rest costs."""

from __future__ import annotations

import queue
import statistics
import time
from typing import TYPE_CHECKING, Any

from gpu.api import Done
from gpu.engine import PREVIEW_INTERVAL_S
from gpu.runner import Runner
from gpu.sched.cost import CostModel
from gpu.sched.scheduler import Scheduler
from gpu.sched.work import Shape, Ticket
from scripts.benchmarks import loads
from scripts.benchmarks.arms.bare import Bare
from scripts.benchmarks.arms.fifo import Fifo
from scripts.benchmarks.arms.ours import Ours
from scripts.benchmarks.play import BenchmarkError, play
from scripts.benchmarks.waits import jain, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gpu.api import Event
    from scripts.benchmarks.arms.ours import Tick
    from scripts.benchmarks.field import Field

_NEVER = 1e9
_APPETITES = (2, 2, 3, 4, 6, 8, 12, 16)
"""Pictures that eight rooms keep under way, where a batch has room for about one and a half of
each."""


def efficiency(field: Field) -> dict[str, float]:
    """A full engine against bare forwards of the same size, with previews and without.

    What ends in `_cpu` counts the seconds that the process worked instead of those that passed:
    on a core of its own both are the same, on one that others use too only that means something.
    """
    etas, worked, inner, overheads, fairness = [], [], [], [], []
    for seed in range(2 * field.repeats):
        whole, ticks = _full(field, seed, previews=True)
        rows = statistics.mode(tick.rows for tick in ticks)
        forwards = Bare(field.parts, rows, field.side)
        forwards.forward()
        begun_s = time.process_time()
        bare = forwards.for_seconds(field.seconds / 3)
        bare_rows_per_cpu_s = rows * len(bare) / (time.process_time() - begun_s)
        _, silent = _full(field, seed, previews=False)
        etas.append(_rows_per_s(ticks) / (rows * len(bare) / sum(bare)))
        worked.append(_rows_per_cpu_s(ticks) / bare_rows_per_cpu_s)
        inner.append(sum(tick.forward_s for tick in ticks) / sum(tick.own_s for tick in ticks))
        previews_s = _beside_forwards_s(ticks) - _beside_forwards_s(silent)
        overheads.append(previews_s * _rows_per_cpu_s(silent))
        fairness.append(jain(_shares(whole)))
    return {
        "eta": round(statistics.median(etas), 3),
        "eta_cpu": round(statistics.median(worked), 3),
        "tick_efficiency": round(statistics.median(inner), 3),
        "preview_overhead": round(statistics.median(overheads), 3),
        "jain": round(min(fairness), 4),
        "rows_per_batch": rows,
    }


def _full(field: Field, seed: int, *, previews: bool) -> tuple[list[Tick], list[Tick]]:
    """The steps of an engine that has more to do than it can; and those after all had one."""
    maker = loads.Maker(field.side_px, 1000 + seed)
    jobs = [
        maker.job(f"room{room}", steps=150)
        for room, appetite in enumerate(_APPETITES)
        for _ in range(appetite)
    ]
    ticks = field.runner.ticks
    ticks.clear()
    interval_s = PREVIEW_INTERVAL_S if previews else _NEVER
    engine = Ours(field.runner, field.costs, _ignore, preview_interval_s=interval_s)
    engine.start()
    for job in jobs:
        engine.submit(job)
    while len({job for tick in ticks for job in tick.jobs}) < len(jobs):
        time.sleep(0.01)
    first = len(ticks)
    until = time.perf_counter() + field.seconds / 3
    while time.perf_counter() < until or len(ticks) < first + 4:
        time.sleep(0.01)
    engine.close()
    return ticks[:], ticks[first:-1]


def _ignore(_event: Event) -> None:
    """Nobody listens."""


def _rows_per_s(ticks: Sequence[Tick]) -> float:
    rows = sum(tick.rows for tick in ticks[1:])
    return rows / (ticks[-1].ended_s - ticks[0].ended_s)


def _rows_per_cpu_s(ticks: Sequence[Tick]) -> float:
    rows = sum(tick.rows for tick in ticks[1:])
    return rows / (ticks[-1].process_s - ticks[0].process_s)


def _beside_forwards_s(ticks: Sequence[Tick]) -> float:
    """Seconds that the process worked for each row, but for the forwards themselves.

    The same forward takes several per cent more or less from one moment to the next: two engines
    one after the other differ by more than by what the previews cost.
    """
    worked_s = ticks[-1].process_s - ticks[0].process_s
    steps = ticks[1:]
    return (worked_s - sum(tick.forward_s for tick in steps)) / sum(tick.rows for tick in steps)


def _shares(ticks: Sequence[Tick]) -> list[float]:
    """Sample-steps that each room was given."""
    rooms = [room for room, appetite in enumerate(_APPETITES) for _ in range(appetite)]
    steps = dict.fromkeys(range(len(_APPETITES)), 0.0)
    for tick in ticks:
        for job in tick.jobs:
            steps[rooms[int(job.split("-")[1]) - 1]] += 1
    return list(steps.values())


def alone(field: Field) -> dict[str, float]:
    """One request by itself: wall time to the PNG, beside a plain call of the pipeline.

    The plain call makes no previews; ours does.
    """
    came: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine = Ours(field.runner, field.costs, came.put)
    stock = Fifo(field.parts, came.put, previews=False)
    engine.start()
    maker = loads.Maker(field.side_px, 2000)
    ours, theirs, worked = [], [], []
    for _ in range(max(3, 6 * field.repeats)):
        job = maker.job("room")
        begun, cpu_s = time.perf_counter(), time.process_time()
        engine.submit(job)
        while not isinstance(came.get(), Done):
            pass
        ours.append(time.perf_counter() - begun)
        our_cpu_s = time.process_time() - cpu_s
        begun, cpu_s = time.perf_counter(), time.process_time()
        stock.plain(job)
        theirs.append(time.perf_counter() - begun)
        worked.append(our_cpu_s / (time.process_time() - cpu_s))
    engine.close()
    return {
        "single_vs_diffusers": round(statistics.median(ours) / statistics.median(theirs), 3),
        "single_vs_diffusers_cpu": round(statistics.median(worked), 3),
        "single_ms": round(1000 * statistics.median(ours), 1),
        "single_diffusers_ms": round(1000 * statistics.median(theirs), 1),
    }


def cancels(field: Field) -> dict[str, float]:
    """A storm of cancels: steps that a job still takes, and how soon its place is free."""
    taken, told_s, ticks_s = [], [], []
    for seed in range(field.repeats):
        field.runner.ticks.clear()
        maker = loads.Maker(field.side_px, 3000 + seed)
        requests = loads.storm(maker, field.seconds, 0.03 * field.pace)
        records = play(lambda emit: Ours(field.runner, field.costs, emit), requests)
        ticks = field.runner.ticks
        ticks_s += [tick.ended_s - tick.begun_s for tick in ticks]
        for record in records:
            if record.cancelled_s is None or record.is_done:
                raise BenchmarkError(f"{record.job.id} should have been cancelled")
            asked_s = record.cancelled_s
            taken.append(sum(record.job.id in t.jobs for t in ticks if t.ended_s > asked_s))
            told_s.append(record.ended_s - asked_s)
    return {
        "cancel_ticks": max(taken),
        "cancels": len(taken),
        "cancel_told_p95_ms": round(1000 * percentile(told_s, 95), 1),
        "cancel_tick_p95_ms": round(1000 * percentile(ticks_s, 95), 1),
    }


class _Instant:
    """A family whose forward takes no time: what is left of a step is ours."""

    def __init__(self, family: Any) -> None:
        self._family = family

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def denoise(self, latents: torch.Tensor, *_rest: Any) -> torch.Tensor:
        return latents


def overhead(field: Field) -> dict[str, float]:
    """Choosing, packing and the samplers' update of a batch of eight out of 24 jobs."""
    costs = CostModel(8)
    shape = Shape(field.side, field.side)
    for rows in (1, 2, 4, 8):
        costs.calibrate(shape, rows, 0.02 + 0.001 * rows)
    runner = Runner(_Instant(field.parts.family), field.parts.tables, field.parts.previews)
    scheduler = Scheduler(costs)
    maker = loads.Maker(field.side_px, 4000)
    for number in range(24):
        job = maker.job(f"room{number % 6}", steps=150)
        scheduler.add(Ticket(job.id, job.room, job.person, job.slot, job.live))
        painting = runner.prepare(job)
        runner.admit(painting)
        scheduler.ready(job.id, painting.demand)
    planning, packing = [], []
    for _ in range(200):
        begun = time.perf_counter()
        plan = scheduler.plan()
        assert plan is not None
        assert plan.rows == 8
        chosen = time.perf_counter()
        runner.step(plan)
        stepped = time.perf_counter()
        scheduler.complete(plan)
        planning.append(chosen - begun + time.perf_counter() - stepped)
        packing.append(stepped - chosen)
    both = [chosen + packed for chosen, packed in zip(planning, packing, strict=True)]
    return {
        "scheduler_ms_per_tick_b8": round(1000 * statistics.median(both), 3),
        "planning_ms_b8": round(1000 * statistics.median(planning), 3),
        "packing_ms_b8": round(1000 * statistics.median(packing), 3),
    }
