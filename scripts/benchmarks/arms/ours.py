"""Our engine in this process, as the worker builds it, with an eye on its steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpu.api import ModelInfo, ModelListing
from gpu.device import num_finishing
from gpu.engine import Engine
from gpu.library import Library, Loaded
from gpu.previews import fit
from gpu.runner import Runner
from gpu.sched.cost import CostModel
from gpu.warmup import measure_costs

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

    from gpu.api import JobId
    from gpu.runner import PreviewBatch
    from gpu.sched.work import StepPlan
    from scripts.benchmarks.arms.parts import Emit, Parts

MAX_ROWS = 16


@dataclass(slots=True)
class Tick:
    """One step of a batch; moments of `time.perf_counter`, and seconds that cores worked."""

    jobs: tuple[JobId, ...]
    rows: int
    begun_s: float
    ended_s: float = 0.0
    forward_s: float = 0.0
    """Of this thread's work, as is `own_s`: who else wants the core doesn't count."""
    own_s: float = 0.0
    process_s: float = 0.0
    """What the whole process had worked when the step ended."""


class _Timed:
    """A family that knows how long its forwards took."""

    def __init__(self, family: Any) -> None:
        self._family = family
        self.forward_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def denoise(self, *arguments: Any) -> Tensor:
        begun = time.thread_time()
        output: Tensor = self._family.denoise(*arguments)
        self.forward_s += time.thread_time() - begun
        return output


class Watched(Runner):
    """A runner that writes down its steps."""

    def __init__(self, parts: Parts) -> None:
        self.timed: Any = _Timed(parts.family)
        super().__init__(self.timed, parts.tables, fit(parts.family)[0])
        self.ticks: list[Tick] = []

    def step(self, plan: StepPlan, previews: Collection[JobId] = ()) -> PreviewBatch | None:
        before = self.timed.forward_s
        tick = Tick(plan.ids, plan.rows, time.perf_counter())
        begun = time.thread_time()
        batch = super().step(plan, previews)
        tick.own_s = time.thread_time() - begun
        tick.ended_s, tick.process_s = time.perf_counter(), time.process_time()
        tick.forward_s = self.timed.forward_s - before
        self.ticks.append(tick)
        return batch


class _One:
    """A source of one model, which is there already."""

    default = "bench"
    listings: tuple[ModelListing, ...] = (ModelListing(id="bench", title="bench"),)

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def num_bytes(self, model: str) -> int:
        return self._loaded.num_bytes

    def load(self, model: str) -> Loaded:
        return self._loaded


class Ours(Engine):
    def __init__(self, runner: Watched, costs: CostModel, emit: Emit, **options: Any) -> None:
        """`costs` are what `learnt_costs` gave; the engine goes on learning."""
        self.runner = runner
        info = ModelInfo(
            id=_One.default, name="bench", native_px=64, multiple_px=8, min_px=64, max_px=2048,
            device="cpu", dtype="fp32",
        )  # fmt: skip
        loaded = Loaded(runner, info, (), 0)
        library = Library(_One(loaded), loaded, 0)
        options.setdefault("num_finishing", num_finishing(runner.timed.device))
        super().__init__(library, costs, emit, self._crash, **options)

    def _crash(self, trace: str) -> None:
        raise SystemExit(f"the engine crashed: {trace}")


def learnt_costs(parts: Parts, max_rows: int = MAX_ROWS) -> CostModel:
    """What a worker knows of its machine when it starts."""
    costs = CostModel(max_rows)
    for timing in measure_costs(parts.family, _One.default, max_rows, lambda _detail: None):
        costs.calibrate(timing.shape, timing.rows, timing.seconds)
    return costs
