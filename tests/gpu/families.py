"""Models for tests, as the worker loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.models.stable_diffusion import StableDiffusion
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables

if TYPE_CHECKING:
    from pathlib import Path

    from gpu.models.family import Family


def loaded(folder: Path, lines: list[str] | None = None) -> StableDiffusion:
    """A folder in float32 on the CPU; what it reports goes to `lines`."""
    report = (lambda _line: None) if lines is None else lines.append
    family = load(LoadOptions(folder, torch.device("cpu"), torch.float32), report)
    assert isinstance(family, StableDiffusion)
    return family


def runner_of(family: Family) -> Runner:
    return Runner(family, Tables(family.scheduler_config, family.pace), fit(family, 4)[0])
