"""The seam between the engine and a model: what a family of latent diffusion models can do.

Families know tensors and weights; they know nothing of jobs, batches, samplers or pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

    from gpu.api import ControlInfo
    from gpu.models.advice import Advice
    from gpu.samplers.table import Pace

Attention = Literal["sdpa", "xformers"]
Weights = Literal["full", "int8", "int4"]
Report = Callable[[str], None]
"""Takes one line for people who wait or watch the log."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    path: Path
    device: torch.device
    dtype: torch.dtype
    """What the denoiser computes in, and on a GPU the autoencoder, if it can; text encoders stay
    in fp32."""
    attention: Attention = "sdpa"
    low_vram: bool = False
    """Keep what the step loop doesn't need in main memory, and fetch it for each use."""
    parts: Path | None = None
    """A diffusers folder with all that the file at `path`, of a flow-matching model, leaves out."""
    compiles: bool = False
    """Whether the denoiser is to be compiled before the first request."""
    weights: Weights = "full"
    """What the weights of denoiser, text encoders and controls are kept in."""

    @property
    def beside(self) -> Path:
        """Where a model's adapters and controls lie: in its folder, or beside its file."""
        return self.path if self.path.is_dir() else self.path.parent


Adapters = tuple[tuple[Any, float], ...]
"""Loaded LoRA adapters with their weights; only their family looks inside of one."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ControlNet:
    """A control that is loaded; only its family looks inside of `module`."""

    module: Any
    see: Callable[[Tensor, torch.Generator | None], Tensor]
    """What the module is given of a picture, (1, 3, H, W) fp32 in [0, 1], on the device: (1, …).

    The generator (on the CPU) draws where diffusers' own pipeline does."""
    cost: float
    """What it adds to a step, as a part of one without."""
    num_bytes: int
    """What its own weights take."""


@dataclass(frozen=True, slots=True)
class Steering:
    """What steers one row of a forward: a control, what it saw of its picture, how strongly."""

    control: ControlNet
    seen: Tensor
    strength: float


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A prompt as a denoiser reads it, on the device."""

    tokens: Tensor
    """(tokens, width); those of all its windows, end to end."""
    pooled: Tensor | None = None
    """(width,): the prompt as a whole, for models that want that too."""

    @property
    def length(self) -> int:
        return int(self.tokens.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What one row of a forward is given besides its latents and its time."""

    words: Words
    guidance: float = 1.0
    """For models that take it as an input; others have two rows for it."""
    adapters: Adapters = ()
    steering: Steering | None = None
    surroundings: Tensor | None = None
    """(1 + C, h, w) for models that fill holes: 1 where to paint, then the encoded rest."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a prompt is to be read."""

    clip_skip: int = 0
    """So many of the text encoder's last layers are left out, as diffusers counts them."""
    adapters: Adapters = ()


_PLAIN = Reading()


class Family(Protocol):
    name: str
    device: torch.device
    dtype: torch.dtype
    scheduler_config: Mapping[str, Any]
    latent_channels: int
    latent_factor: int
    """Pixels along a side of one latent cell."""
    num_bytes: int
    """What its weights take."""
    native_px: int
    multiple_px: int
    takes_guidance: bool
    """Guidance is an input of its forward, and no row has an unconditional twin."""
    fills: bool
    """Its forward sees what lies around a hole, `Row.surroundings`, in each row."""
    draws_posterior: bool
    """`encode_image` draws from its generator, as many numbers as there are latents."""
    adapter_names: tuple[str, ...]
    controls: tuple[ControlInfo, ...]
    usual: Advice
    """How models of the family are used, where their folder says nothing."""

    @property
    def pace(self) -> Pace | None:
        """How a scheduler gets its steps, where that depends on a picture's size."""
        ...

    def take_adapters(self, chosen: Mapping[str, float]) -> Adapters:
        """Load adapters by name; raises ValueError for one that this model doesn't have."""
        ...

    def adapter_versions(self, names: Iterable[str]) -> tuple[object, ...]:
        """What tells the adapters of these names, as they are now, from what they may become."""
        ...

    def take_control(self, name: str) -> ControlNet:
        """Load a control; raises ValueError for one that this model doesn't have."""
        ...

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Words:
        """A prompt in `dtype` on `device`; `gpu.prompts` is the syntax.

        Raises ValueError where the model can't read so.
        """
        ...

    def encode_pair(
        self, prompt: str, negative: str, reading: Reading = _PLAIN
    ) -> tuple[Words, Words]:
        """Prompt and negative prompt for classifier-free guidance, as diffusers makes them."""
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

    def compile(self) -> None:
        """Have the plain forwards that come within `compiled.warming` compiled."""
        ...

    def denoise(self, latents: Tensor, timesteps: Tensor, rows: Sequence[Row]) -> Tensor:
        """The model's raw output for (R, C, h, w) scaled latents and (R,) timesteps; in `dtype`.

        All of the R `rows` have equally many tokens.
        """
        ...
