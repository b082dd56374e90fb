"""The noise process: a DDIM schedule with v-prediction, zero terminal SNR, trailing timesteps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from diffusers import DDIMScheduler
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_TIMESTEPS: Final = 1000
# With 3, six colours in a hundred come out wrong in 4 steps, with this one.
GUIDANCE: Final = 2.5


def build_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=NUM_TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        # Without effect on trailing timesteps, but the stock pipeline asks for it.
        steps_offset=1,
    )


class NoiseProcess:
    """Noises latents (batch, channels, height, width) and states what is to be predicted."""

    def __init__(self, device: str) -> None:
        self.alphas = build_scheduler().alphas_cumprod.float().to(device)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        signal, spread = self._scales(timesteps)
        return signal * latents + spread * noise

    def velocity(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """v of Salimans and Ho (2022)."""
        signal, spread = self._scales(timesteps)
        return signal * noise - spread * latents

    def clean(self, noised: Tensor, velocity: Tensor, timesteps: Tensor) -> Tensor:
        """The latents that a predicted velocity implies."""
        signal, spread = self._scales(timesteps)
        return signal * noised - spread * velocity

    def timestep_at(self, snr: float) -> int:
        """The timestep whose signal-to-noise ratio is nearest."""
        ratios = self.alphas / (1.0 - self.alphas).clamp(min=1e-8)
        return int((ratios - snr).abs().argmin())

    def _scales(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        alphas = self.alphas[timesteps].view(-1, 1, 1, 1)
        return alphas.sqrt(), (1.0 - alphas).sqrt()


def velocity_loss(
    noise: NoiseProcess,
    latents: Tensor,
    epsilon: Tensor,
    timesteps: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
    emphasis: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the velocity that `predict` makes of (noised latents, timesteps).

    `emphasis` (batch, 1, height, width) says how much each cell's error counts.
    """
    noised = noise.add_noise(latents, epsilon, timesteps)
    velocity = predict(noised.contiguous(memory_format=torch.channels_last), timesteps)
    error = (velocity.float() - noise.velocity(latents, epsilon, timesteps)).square()
    return (error if emphasis is None else error * emphasis).mean()


def sample_timesteps(batch: int, high_noise: bool, device: str = "cpu") -> Tensor:
    """Stratified timesteps, int64 (batch,): half uniform, half leaning to high noise.

    What a picture shows is decided at high noise, so early training asks for more of it.
    """
    half = batch // 2

    def spread(count: int) -> Tensor:
        places = torch.arange(count, device=device) + torch.rand(count, device=device)
        return places / max(count, 1)

    # The inverse distribution functions of Beta(2.5, 1) and Beta(1.5, 1).
    leaning = spread(half) ** (1 / 2.5 if high_noise else 1 / 1.5)
    shares = torch.cat([spread(batch - half), leaning])[torch.randperm(batch, device=device)]
    return (shares * NUM_TIMESTEPS).long().clamp(max=NUM_TIMESTEPS - 1)
