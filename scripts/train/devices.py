"""Where training runs: device, mixed precision, seeds and resumable checkpoints."""

from __future__ import annotations

import contextlib
import os
import random
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device, whether to train in bfloat16 there, and how many processes draw for it."""

    name: str
    bf16: bool
    num_workers: int = 0

    @classmethod
    def open(cls, name: str, num_threads: int) -> Device:
        """CPUs without bfloat16 arithmetic stay in float32: emulating it is slower.

        A GPU learns from pictures faster than one core draws them; on a CPU drawing ahead would
        only take from training.
        """
        torch.set_num_threads(num_threads)
        if name.startswith("cuda"):
            torch.backends.cuda.matmul.allow_tf32 = True
            return cls(name, torch.cuda.is_bf16_supported(), max(0, num_threads - 1))
        return cls(name, _cpu_has_bf16())

    @property
    def is_cuda(self) -> bool:
        return self.name.startswith("cuda")

    def autocast(self) -> AbstractContextManager[object]:
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.name.split(":")[0], torch.bfloat16)


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Writes beside and renames, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save(state, beside)
    os.replace(beside, path)


def load_checkpoint(path: Path) -> dict[str, object] | None:
    if not path.exists():
        return None
    state: dict[str, object] = torch.load(path, map_location="cpu", weights_only=False)
    return state


def freeze(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


class Progress:
    """Prints one line now and then: share done, samples per second, time left."""

    def __init__(self, label: str, total: int, every: int, start: int = 0) -> None:
        self._label, self._total, self._every = label, total, every
        self._start, self._began = start, time.monotonic()
        self._next = start + every

    def is_due(self, done: int) -> bool:
        return done >= min(self._next, self._total)

    def report(self, done: int, **figures: float) -> None:
        """The line, if it is due; a run whose batches grew reports as often."""
        if self.is_due(done):
            self._next = done + self._every
            self.tell(done, **figures)

    def tell(self, done: int, **figures: float) -> None:
        elapsed = time.monotonic() - self._began
        rate = (done - self._start) / max(elapsed, 1e-6)
        left = (self._total - done) / max(rate, 1e-6)
        shown = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(
            f"{self._label} {done}/{self._total} {shown} "
            f"({rate:.2f}/s, {elapsed / 60:.1f} min, {left / 60:.1f} min left)",
            flush=True,
        )
