"""Nothing but forwards of the U-Net, as fast as they go: the limit of what any engine can do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from scripts.benchmarks.arms.parts import Parts


class Bare:
    """Forwards of `rows` rows of (C, `side`, `side`) latents, everything ready beforehand."""

    def __init__(self, parts: Parts, rows: int, side: int) -> None:
        family = parts.family
        self._unet = parts.pipeline.unet
        self._latents = torch.randn(
            rows, family.latent_channels, side, side, dtype=family.dtype
        ).to(memory_format=torch.channels_last)
        self._times = torch.linspace(900, 100, rows)
        tokens = family.encode_prompt("a cat").tokens
        self._tokens = tokens[None].repeat(rows, 1, 1)

    def forward(self) -> float:
        """Seconds of one forward."""
        begun = time.perf_counter()
        with torch.inference_mode():
            self._unet(
                self._latents, self._times, encoder_hidden_states=self._tokens, return_dict=False
            )
        return time.perf_counter() - begun

    def for_seconds(self, seconds: float) -> list[float]:
        """Seconds of each forward within a span."""
        until = time.perf_counter() + seconds
        taken = [self.forward()]
        while time.perf_counter() < until:
            taken.append(self.forward())
        return taken
