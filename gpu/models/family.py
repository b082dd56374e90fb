"""The seam between the engine and a model: what a family of latent diffusion models can do.

Families know tensors and weights; they know nothing of jobs, batches, samplers or pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

Attention = Literal["sdpa", "xformers"]
Report = Callable[[str], None]
"""Takes one line for people who wait or watch the log."""


class ModelError(Exception):
    """The model can't be loaded; the message says what was expected and what to do."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    path: Path
    device: torch.device
    dtype: torch.dtype
    """What the denoiser computes in; text encoder and autoencoder stay in fp32."""
    attention: Attention = "sdpa"
    low_vram: bool = False
    """Keep what the step loop doesn't need in main memory, and fetch it for each use."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a prompt is to be read."""

    clip_skip: int = 0
    """So many of the text encoder's last layers are left out, as diffusers counts them."""


_PLAIN = Reading()


class Family(Protocol):
    name: str
    device: torch.device
    dtype: torch.dtype
    scheduler_config: Mapping[str, Any]
    latent_channels: int
    latent_factor: int
    """Pixels along a side of one latent cell."""
    native_px: int
    multiple_px: int

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Tensor:
        """(windows * tokens, width) in `dtype` on `device`; `gpu.prompts` is the syntax.

        Raises ValueError where the model can't read so.
        """
        ...

    def encode_image(self, pixels: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, 3, H, W) fp32 in [-1, 1] to (B, C, h, w) fp32 latents at the model's scale.

        `generator` (on the CPU) draws from the posterior where the autoencoder has one; None
        takes its mode.
        """
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) fp32 latents to (B, 3, H, W) fp32 pixels in [-1, 1], not clipped."""
        ...

    def denoise(self, latents: Tensor, timesteps: Tensor, prompts: Tensor) -> Tensor:
        """The model's raw output for (R, C, h, w) scaled latents, (R,) timesteps and
        (R, tokens, width) prompts; in `dtype`. All rows have equally many tokens."""
        ...
