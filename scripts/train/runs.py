"""A run's checkpoint: model, optimiser, averaged weights and how far it has come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from .devices import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from .muon import Average, Optimiser


class Course:
    """How far a run has come: by its samples, or by its time where that is further."""

    def __init__(self, num_samples: int, minutes: float, counts: dict[str, int]) -> None:
        """`counts` are those of the run that goes on, if it does."""
        self._num_samples, self._minutes = num_samples, minutes
        self.samples = counts.get("samples", 0)
        self._begun = time.monotonic() - counts.get("seconds", 0)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    @property
    def done(self) -> float:
        """The share of the run that is behind it."""
        return max(self.samples / self._num_samples, self.seconds / 60 / self._minutes)


def save_run(
    path: Path,
    model: nn.Module,
    optimiser: Optimiser,
    average: Average | None = None,
    **counts: int,
) -> None:
    """`counts` say how far the run has come; `resume_run` gives them back."""
    state: dict[str, object] = {
        **counts,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    if average is not None:
        state["average"] = average.values
    save_checkpoint(path, state)


def resume_run(
    path: Path, model: nn.Module, optimiser: Optimiser, average: Average | None = None
) -> dict[str, int]:
    """Puts everything back as it was saved; no counts where nothing was."""
    state = load_checkpoint(path)
    if state is None:
        return {}
    model.load_state_dict(cast("dict[str, Tensor]", state.pop("model")))
    optimiser.load_state_dict(cast("dict[str, object]", state.pop("optimiser")))
    averages = cast("dict[str, Tensor]", state.pop("average", {}))
    if average is not None:
        for name, value in averages.items():
            average.values[name].copy_(value)
    return cast("dict[str, int]", state)
