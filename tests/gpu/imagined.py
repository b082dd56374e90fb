"""An imagined machine: what forwards take on it, and what pictures ask of it. No model."""

from __future__ import annotations

from dataclasses import replace

from gpu.sched.cost import CostModel
from gpu.sched.work import Demand, Shape

SHAPES = (Shape(16, 16), Shape(32, 32), Shape(16, 16, "other"))
MAX_ROWS = 6
MAX_JOBS = 14


def fresh_costs() -> CostModel:
    costs = CostModel(MAX_ROWS, tick_budget_s=10)
    for shape in SHAPES:
        for rows in (1, 2, 4, 6):
            costs.calibrate(shape, rows, seconds(shape, rows))
    return costs


def seconds(shape: Shape, rows: int) -> float:
    """What a forward takes on the imagined machine."""
    return 0.02 + rows * shape.height * shape.width / 40_000


def in_passes(shape: Shape, rows: int, steps: int, more_steps: int) -> tuple[Demand, ...]:
    """One pass, or two of which the second has four times the pixels (G49)."""
    first = Demand(shape, rows, steps)
    if not more_steps:
        return (first,)
    second = Demand(Shape(2 * shape.height, 2 * shape.width, shape.model), rows, more_steps)
    return replace(first, later=more_steps * second.cost), second


LONGEST_S = max(seconds(Shape(2 * h, 2 * w, model), MAX_ROWS) for h, w, model in SHAPES)
