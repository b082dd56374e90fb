"""What becomes of a batch that failed: it is halved until only the culprit is left. No torch.

One bad row never fails its batch-mates (G7), and what didn't fit into memory as a whole fits in
parts. Knows nothing of exceptions; whoever runs the batch tells what went wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpu.api import JobId
    from gpu.sched.cost import CostModel
    from gpu.sched.work import StepPlan


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a batch took no step; `reason` is a sentence for people."""

    reason: str
    out_of_memory: bool = False


def attempt(
    plan: StepPlan,
    run: Callable[[StepPlan], Failure | None],
    blame: Callable[[JobId, Failure], None],
    costs: CostModel,
) -> bool:
    """Have each job of `plan` take its step, or blame it; returns whether all took it.

    `run` takes the step of all jobs of a plan or of none. How many rows don't fit is learnt
    only where the halves went well: a job that fails even alone says nothing of the others.
    """
    failure = run(plan)
    if failure is None:
        return True
    if len(plan.seats) == 1:
        blame(plan.ids[0], failure)
        return False
    first, second = (attempt(half, run, blame, costs) for half in plan.halves())
    if failure.out_of_memory and first and second:
        costs.forbid(plan.shape, plan.rows)
    return first and second
