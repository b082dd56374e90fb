"""Models for tests, as the worker loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.models.stable_diffusion import StableDiffusion

if TYPE_CHECKING:
    from pathlib import Path


def loaded(folder: Path, lines: list[str] | None = None) -> StableDiffusion:
    """A folder in float32 on the CPU; what it reports goes to `lines`."""
    report = (lambda _line: None) if lines is None else lines.append
    family = load(LoadOptions(folder, torch.device("cpu"), torch.float32), report)
    assert isinstance(family, StableDiffusion)
    return family
