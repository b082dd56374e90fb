"""A run's checkpoint: model, optimiser, averaged weights and how far it has come."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, cast

import torch

from .devices import Progress, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from .muon import Average, Optimiser


# How many seconds of work may be lost.
_SAVE_EVERY_S: Final = 240


class Course:
    """How far a run has come: by its samples, or by its time where that is further."""

    def __init__(self, num_samples: int, minutes: float, counts: dict[str, int]) -> None:
        """`counts` are those of the run that goes on, if it does."""
        self.num_samples, self._minutes = num_samples, minutes
        self.samples = counts.get("samples", 0)
        self._begun = time.monotonic() - counts.get("seconds", 0)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    @property
    def counts(self) -> dict[str, int]:
        """What a checkpoint keeps of it."""
        return {"samples": self.samples, "seconds": int(self.seconds)}

    @property
    def done(self) -> float:
        """The share of the run that is behind it."""
        return max(self.samples / self.num_samples, self.seconds / 60 / self._minutes)


class Trainer(Protocol):
    @property
    def course(self) -> Course: ...

    def step(self) -> Tensor:
        """Learn one batch; its loss."""
        ...

    def save(self) -> None: ...


def follow(
    label: str, trainer: Trainer, num_reports: int, look: Callable[[Progress], None] | None = None
) -> None:
    """Train to the end of the course; report, and `look`, on the way, and save now and then."""
    course = trainer.course
    every = course.num_samples // num_reports
    progress = Progress(label, course.num_samples, every, course.samples)
    losses: deque[Tensor] = deque(maxlen=50)
    saved_s = time.monotonic()
    while course.done < 1:
        losses.append(trainer.step())
        if progress.is_due(course.samples):
            progress.report(course.samples, loss=torch.stack([*losses]).mean().item())
        if look:
            look(progress)
        if time.monotonic() - saved_s > _SAVE_EVERY_S:
            trainer.save()
            saved_s = time.monotonic()
    trainer.save()


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
