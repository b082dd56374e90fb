"""Turns a diffusers scheduler into a table of coefficients, one row a step.

Every update used here is linear in (latents, model output, previous x0, noise), so calling the
real scheduler once per basis input tells all there is to know of a step. Tables speak of
*scaled* latents: z = x * scale_model_input(1), what the model is fed. In that space the noise
level is at most 1 for every sampler, so fp32 holds where diffusers' Euler carries latents of
size 4096 (zero-terminal SNR). Probes run in double precision.

Knows nothing of batches, devices or models beyond the scheduler's config.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpu.api import Sampler

_OVERRIDES: dict[Sampler, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "dpmpp_2m": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"},
    ),
    "lcm": ("LCMScheduler", {"clip_sample": False}),
}


class SamplerError(ValueError):
    """This sampler can't be used with this model's schedule; the message says what can."""


@dataclass(frozen=True, slots=True)
class Table:
    """The steps of one sampler from a start on.

    `coefficients` (n, 6) fp32, per step: z' = a*z + b*output + c*x0_before + d*noise and
    x0 = p*z + q*output. `timesteps` (n,) fp32 are fed to the model. `levels` (n + 1, 2) fp32:
    a clean picture k is at the noise level before step i as levels[i] @ (k, noise); the last
    row is the finished picture. `start` (2,) mixes (picture, noise) into the first latents.
    """

    coefficients: Tensor
    timesteps: Tensor
    levels: Tensor
    start: Tensor

    @property
    def num_steps(self) -> int:
        return int(self.timesteps.shape[0])

    def draws_noise(self, step: int) -> bool:
        return bool(self.coefficients[step, 3] != 0)


def start_step(num_steps: int, strength: float) -> int:
    """The first step that image-to-image takes; at least one is left. As diffusers counts."""
    return max(0, num_steps - max(1, min(int(num_steps * strength), num_steps)))


class Tables:
    """The tables for one model's scheduler config, each probed once and then kept."""

    def __init__(self, scheduler_config: Mapping[str, Any]) -> None:
        self._config = dict(scheduler_config)
        self.table = lru_cache(maxsize=512)(self._probe)
        """`table(sampler, num_steps, first=0, from_noise=True)`; `first` is where
        image-to-image begins, `from_noise` the pure start of text-to-image."""

    def scheduler(self, sampler: Sampler, num_steps: int) -> Any:
        """The diffusers scheduler that `sampler` stands for, its timesteps set."""
        import diffusers

        name, overrides = _OVERRIDES[sampler]
        config = {**self._config, **overrides, "thresholding": False}
        for foreign in ("_class_name", "_diffusers_version", "skip_prk_steps"):
            config.pop(foreign, None)
        scheduler = getattr(diffusers, name).from_config(config)
        if sampler == "lcm":
            original = max(num_steps, scheduler.config.original_inference_steps)
            scheduler.set_timesteps(num_steps, original_inference_steps=original)
        else:
            scheduler.set_timesteps(num_steps)
        return scheduler

    def _probe(
        self, sampler: Sampler, num_steps: int, first: int = 0, from_noise: bool = True
    ) -> Table:
        scheduler = self.scheduler(sampler, num_steps)
        _drop_extra_step(scheduler)
        _to_double(scheduler)
        timesteps = list(scheduler.timesteps)
        probe = _Probe(scheduler, timesteps)
        steps = range(first, len(timesteps))
        rows = torch.stack([probe.step(i, first) for i in steps])
        levels = torch.stack([probe.level(i) for i in steps] + [_double(1.0, 0.0)])
        if not bool(torch.isfinite(rows).all() and torch.isfinite(levels).all()):
            raise SamplerError(
                f"{sampler} can't start from zero signal with this model's "
                f"{scheduler.config.prediction_type} prediction; choose another sampler"
            )
        start = levels[0]
        if from_noise and first == 0:
            start = _double(0.0, float(scheduler.init_noise_sigma) * probe.scale(0))
        return Table(
            coefficients=rows.float(),
            timesteps=torch.stack([t.float() for t in timesteps[first:]]),
            levels=levels.float(),
            start=start.float(),
        )


class _Probe:
    """Calls a scheduler with basis inputs; `scheduler` itself stays as it is."""

    def __init__(self, scheduler: Any, timesteps: list[Tensor]) -> None:
        self._scheduler = scheduler
        self._timesteps = timesteps

    def scale(self, index: int) -> float:
        """z / x before step `index`; finished latents are at scale 1."""
        if index >= len(self._timesteps):
            return 1.0
        at = self._at(index)
        return float(at.scale_model_input(_exact(1.0), self._timesteps[index]))

    def step(self, index: int, first: int) -> Tensor:
        here, there = self.scale(index), self.scale(index + 1)
        # With all inputs zero only the noise that the scheduler draws is left.
        rest, _ = self._call(index, first)
        by_sample, x0_by_sample = self._call(index, first, sample=1.0)
        by_output, x0_by_output = self._call(index, first, output=1.0)
        by_before, _ = self._call(index, first, x0_before=1.0)
        draw = torch.randn(1, generator=_generator(), dtype=torch.float64)
        return torch.cat(
            [
                (by_sample - rest) * there / here,
                (by_output - rest) * there,
                (by_before - rest) * there,
                rest / draw * there,
                x0_by_sample / here,
                x0_by_output,
            ]
        )

    def level(self, index: int) -> Tensor:
        at, t = self._at(index), self._timesteps[index].reshape(1)
        zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        signal, noise = at.add_noise(one, zero, t), at.add_noise(zero, one, t)
        return torch.cat([signal, noise]) * self.scale(index)

    def _at(self, index: int) -> Any:
        at = copy.copy(self._scheduler)
        at._step_index = index
        at.is_scale_input_called = True
        return at

    def _call(
        self,
        index: int,
        first: int,
        *,
        sample: float = 0.0,
        output: float = 0.0,
        x0_before: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """One real step on scalars; returns (the new latents, the predicted x0)."""
        at = self._at(index)
        if hasattr(at, "model_outputs"):
            at.model_outputs = [None, _exact(x0_before)]
            at.lower_order_nums = min(index - first, at.config.solver_order)
        result = at.step(
            _exact(output), self._timesteps[index], _exact(sample), generator=_generator()
        )
        return _plain(result.prev_sample), _x0(at, result)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _x0(scheduler: Any, result: Any) -> Tensor:
    for name in ("pred_original_sample", "denoised"):
        value = getattr(result, name, None)
        if value is not None:
            return _plain(value)
    return _plain(scheduler.model_outputs[-1])


class _Exact(Tensor):
    """A double that stays one, though schedulers cast what they are given to fp32."""

    def to(self, *_args: Any, **_kwargs: Any) -> Tensor:
        return self


def _exact(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64).as_subclass(_Exact)


def _plain(value: Tensor) -> Tensor:
    return value.as_subclass(Tensor)


def _drop_extra_step(scheduler: Any) -> None:
    """Rounding makes diffusers add a timestep of -1 for 61, 103, 121 and 122 trailing steps."""
    num_real = int((scheduler.timesteps >= 0).sum())
    if num_real == len(scheduler.timesteps):
        return
    scheduler.timesteps = scheduler.timesteps[:num_real]
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = torch.cat([scheduler.sigmas[:num_real], scheduler.sigmas[-1:]])


def _to_double(scheduler: Any) -> None:
    """Let the scheduler compute in double precision, on the very numbers it would use."""
    for name in ("sigmas", "alphas_cumprod", "final_alpha_cumprod"):
        value = getattr(scheduler, name, None)
        if isinstance(value, Tensor):
            setattr(scheduler, name, value.double())


def _double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
