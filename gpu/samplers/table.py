"""Turns a diffusers scheduler into a table of coefficients, one row a step.

Every update used here is linear in (latents, model output, previous x0, noise) and, for some
samplers, in two more tensors that they remember, so calling the real scheduler once per basis
input tells all there is to know of a step. A row is one evaluation of the model: Heun, which
takes two for a step, has two rows for it. Tables speak of
*scaled* latents: z = x * scale_model_input(1), what the model is fed. In that space the noise
level is at most 1 for every sampler, so fp32 holds where diffusers' Euler carries latents of
size 4096 (zero-terminal SNR). Probes run in double precision.

Knows nothing of batches, devices or models beyond the scheduler's config.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu.api import SAMPLERS
from gpu.samplers.probe import FlowProbe, double, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpu.api import Sampler

_DPMPP: dict[str, Any] = {
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "solver_type": "midpoint",
}
_OVERRIDES: dict[Sampler, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {"clip_sample": False}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", _DPMPP),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {**_DPMPP, "use_karras_sigmas": True}),
    "dpmpp_2m_sde": (
        "DPMSolverMultistepScheduler",
        {**_DPMPP, "algorithm_type": "sde-dpmsolver++"},
    ),
    # As diffusers' own table of names has it: the variant that needs no Brownian tree.
    "dpmpp_sde": (
        "DPMSolverSinglestepScheduler",
        {**_DPMPP, "algorithm_type": "sde-dpmsolver++", "lower_order_final": True},
    ),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2}),
    "lcm": ("LCMScheduler", {"clip_sample": False}),
    "tcd": ("TCDScheduler", {"clip_sample": False}),
}


_FLOW = "FlowMatchEulerDiscreteScheduler"
_FLOW_SAMPLERS: tuple[Sampler, ...] = ("euler",)

Size = tuple[int, int]
"""Height and width of latents."""
Pace = Callable[[Any, int, Size], None]
"""Gives a scheduler its steps: their number, and the size of the latents that they are for."""


class SamplerError(ValueError):
    """This sampler can't be used with this model's schedule; the message says what can."""


@dataclass(frozen=True, slots=True)
class Table:
    """The steps of one sampler from a start on.

    `coefficients` (n, 6) fp32, per step: z' = a*z + b*output + c*x0_before + d*noise and
    x0 = p*z + q*output. `timesteps` (n,) fp32 are fed to the model. `levels` (n + 1, 2) fp32:
    a clean picture k is at the noise level before step i as levels[i] @ (k, noise); the last
    row is the finished picture. `start` (2,) mixes (picture, noise) into the first latents.

    `memory` (n, 12) fp32 is there where a sampler remembers two more tensors, m and n, from one
    row to the next: z' += e*m + f*n for its first two columns; the others, 2 x 5, make the next
    (m, n) of (z, output, x0_before, m, n). `rows_per_step` counts the model's evaluations.
    """

    coefficients: Tensor
    timesteps: Tensor
    levels: Tensor
    start: Tensor
    memory: Tensor | None = None
    rows_per_step: int = 1

    @property
    def num_steps(self) -> int:
        return int(self.timesteps.shape[0])

    def recalls(self, row: int) -> Tensor:
        """The row's columns of `memory`, zeros where the sampler has none."""
        return torch.zeros(12) if self.memory is None else self.memory[row]

    def draws_noise(self, step: int) -> bool:
        return bool(self.coefficients[step, 3] != 0)


class Tables:
    """The tables for one model's scheduler config, each probed once and then kept.

    With a `pace`, steps depend on the size of the latents too.
    """

    def __init__(self, scheduler_config: Mapping[str, Any], pace: Pace | None = None) -> None:
        self._config = dict(scheduler_config)
        self._pace = pace
        self._is_flow = self._config.get("_class_name") == _FLOW
        self.samplers: tuple[Sampler, ...] = _FLOW_SAMPLERS if self._is_flow else SAMPLERS
        self._kept = lru_cache(maxsize=512)(self._probe)

    def table(
        self,
        sampler: Sampler,
        num_steps: int,
        first: int = 0,
        from_noise: bool = True,
        size: Size = (128, 128),
    ) -> Table:
        """`first` is the step where image-to-image begins, `from_noise` the pure start of
        text-to-image. Raises SamplerError where the sampler can't be used."""
        # Where size doesn't matter, a table serves all sizes.
        return self._kept(sampler, num_steps, first, from_noise, size if self._pace else (0, 0))

    def first_step(self, num_steps: int, strength: float) -> int:
        """The first step that image-to-image takes; at least one is left. As diffusers counts:
        pipelines of flow matching round the other way."""
        if self._is_flow:
            return min(int(max(num_steps - num_steps * strength, 0)), num_steps - 1)
        return max(0, num_steps - max(1, min(int(num_steps * strength), num_steps)))

    def scheduler(self, sampler: Sampler, num_steps: int, size: Size = (128, 128)) -> Any:
        """The diffusers scheduler that `sampler` stands for, its timesteps set."""
        import diffusers

        if sampler not in self.samplers:
            raise SamplerError(
                f"{sampler} can't be used with a flow-matching model; choose "
                f"{' or '.join(self.samplers)}"
            )
        name, overrides = (_FLOW, {}) if self._is_flow else _OVERRIDES[sampler]
        config = {**self._config, **overrides, "thresholding": False}
        for foreign in ("_class_name", "_diffusers_version", "skip_prk_steps"):
            config.pop(foreign, None)
        scheduler = getattr(diffusers, name).from_config(config)
        if self._pace is not None:
            self._pace(scheduler, num_steps, size)
            return scheduler
        original = scheduler.config.get("original_inference_steps")
        if original is not None and num_steps > original:
            # More steps than the model was distilled in: from a finer schedule.
            scheduler.set_timesteps(num_steps, original_inference_steps=num_steps)
        else:
            scheduler.set_timesteps(num_steps)
        return scheduler

    def _probe(
        self, sampler: Sampler, num_steps: int, first: int, from_noise: bool, size: Size
    ) -> Table:
        scheduler = self.scheduler(sampler, num_steps, size)
        _drop_extra_step(scheduler)
        _todouble(scheduler)
        kind = FlowProbe if self._is_flow else kind_of(sampler)
        probe = kind(scheduler, first * scheduler.order)
        steps = range(first * scheduler.order, len(scheduler.timesteps))
        rows = torch.stack([probe.step(i) for i in steps])
        levels = torch.stack([probe.level(i) for i in steps] + [double(1.0, 0.0)])
        if not bool(torch.isfinite(rows).all() and torch.isfinite(levels).all()):
            raise SamplerError(
                f"{sampler} can't start from zero signal with this model's "
                f"{scheduler.config.prediction_type} prediction; choose another sampler"
            )
        start = levels[0]
        if from_noise and first == 0:
            start = double(0.0, probe.first_noise())
        return Table(
            coefficients=rows.float(),
            timesteps=scheduler.timesteps[steps.start :].float(),
            levels=levels.float(),
            start=start.float(),
            memory=probe.memory(steps),
            rows_per_step=scheduler.order,
        )


def _drop_extra_step(scheduler: Any) -> None:
    """Rounding makes diffusers add a timestep of -1 for 61, 103, 121 and 122 trailing steps."""
    num_real = int((scheduler.timesteps >= 0).sum())
    if num_real == len(scheduler.timesteps):
        return
    scheduler.timesteps = scheduler.timesteps[:num_real]
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = torch.cat([scheduler.sigmas[:num_real], scheduler.sigmas[-1:]])


def _todouble(scheduler: Any) -> None:
    """Let the scheduler compute in double precision, on the very numbers it would use."""
    for name in ("sigmas", "alphas_cumprod", "final_alpha_cumprod"):
        value = getattr(scheduler, name, None)
        if isinstance(value, Tensor):
            setattr(scheduler, name, value.double())
