"""Times forwards, and keeps the step loop from running far ahead of a CUDA device.

On a CPU a step is over when it returns; on CUDA events tell, a tick or two later, so that no
step waits for its own end.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from gpu.sched.work import Shape, StepPlan

_MAX_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Timing:
    shape: Shape
    rows: int
    seconds: float


class Pacer:
    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._running: deque[tuple[StepPlan | None, Any, Any]] = deque()
        self._done: list[Timing] = []

    def begin(self) -> Any:
        """Call before a step; waits while two earlier ones are still running."""
        if not self._on_cuda:
            return time.perf_counter()
        while len(self._running) >= _MAX_AHEAD:
            plan, begun, ended = self._running.popleft()
            ended.synchronize()
            if plan is None:
                continue
            self._done.append(Timing(plan.shape, plan.rows, begun.elapsed_time(ended) / 1000))
        return _mark()

    def end(self, plan: StepPlan, begun: Any, *, is_typical: bool = True) -> None:
        """Call after a step was queued, with what `begin` returned.

        A step that did more than one forward of its rows says nothing of what such a one costs.
        """
        if self._on_cuda:
            self._running.append((plan if is_typical else None, begun, _mark()))
        elif is_typical:
            self._done.append(Timing(plan.shape, plan.rows, time.perf_counter() - begun))

    def timings(self) -> list[Timing]:
        """What was measured since the last call."""
        done, self._done = self._done, []
        return done


def _mark() -> Any:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
