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

import copy
import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

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


def start_step(num_steps: int, strength: float) -> int:
    """The first step that image-to-image takes; at least one is left. As diffusers counts."""
    return max(0, num_steps - max(1, min(int(num_steps * strength), num_steps)))


class Tables:
    """The tables for one model's scheduler config, each probed once and then kept."""

    def __init__(self, scheduler_config: Mapping[str, Any]) -> None:
        self._config = dict(scheduler_config)
        self.table = lru_cache(maxsize=512)(self._probe)
        """`table(sampler, num_steps, first=0, from_noise=True)`; `first` is the step where
        image-to-image begins, `from_noise` the pure start of text-to-image."""

    def scheduler(self, sampler: Sampler, num_steps: int) -> Any:
        """The diffusers scheduler that `sampler` stands for, its timesteps set."""
        import diffusers

        name, overrides = _OVERRIDES[sampler]
        config = {**self._config, **overrides, "thresholding": False}
        for foreign in ("_class_name", "_diffusers_version", "skip_prk_steps"):
            config.pop(foreign, None)
        scheduler = getattr(diffusers, name).from_config(config)
        original = scheduler.config.get("original_inference_steps")
        if original is not None and num_steps > original:
            # More steps than the model was distilled in: from a finer schedule.
            scheduler.set_timesteps(num_steps, original_inference_steps=num_steps)
        else:
            scheduler.set_timesteps(num_steps)
        return scheduler

    def _probe(
        self, sampler: Sampler, num_steps: int, first: int = 0, from_noise: bool = True
    ) -> Table:
        scheduler = self.scheduler(sampler, num_steps)
        _drop_extra_step(scheduler)
        _to_double(scheduler)
        probe = _PROBES.get(sampler, _Probe)(scheduler, first * scheduler.order)
        steps = range(first * scheduler.order, len(scheduler.timesteps))
        rows = torch.stack([probe.step(i) for i in steps])
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
            timesteps=scheduler.timesteps[steps.start :].float(),
            levels=levels.float(),
            start=start.float(),
            memory=probe.memory(steps),
            rows_per_step=scheduler.order,
        )


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What one step is given, as scalars and not scaled; all but one are 0."""

    sample: float = 0.0
    output: float = 0.0
    x0_before: float = 0.0
    kept: float = 0.0
    """A sample that the sampler remembers."""
    x0_older: float = 0.0
    """The predicted x0 of two steps before."""


class _Probe:
    """Calls a scheduler with basis inputs; `scheduler` itself stays as it is."""

    remembers = False

    def __init__(self, scheduler: Any, first: int) -> None:
        """`first` is the row that the job begins with: nothing is remembered there."""
        self._scheduler = scheduler
        self._first = first
        self._timesteps = list(scheduler.timesteps)
        self._takes_generator = "generator" in inspect.signature(scheduler.step).parameters

    def scale(self, index: int) -> float:
        """z / x before row `index`; finished latents are at scale 1."""
        if index >= len(self._timesteps):
            return 1.0
        at = self._at(index)
        return float(at.scale_model_input(_exact(1.0), self._timesteps[index]))

    def step(self, index: int) -> Tensor:
        here, there = self.scale(index), self.scale(index + 1)
        # With all inputs zero only the noise that the scheduler draws is left.
        rest, _, _ = self._call(index, _Inputs())
        by_sample, x0_by_sample, _ = self._call(index, _Inputs(sample=1.0))
        by_output, x0_by_output, _ = self._call(index, _Inputs(output=1.0))
        by_before, _, _ = self._call(index, _Inputs(x0_before=1.0))
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

    def memory(self, rows: range) -> Tensor | None:
        """The columns of `Table.memory`; None for samplers that remember no more than x0."""
        return torch.stack([self._recall(i) for i in rows]).float() if self.remembers else None

    def _recall(self, index: int) -> Tensor:
        """What is kept is a sample, at the scale of the row that kept it, and the x0 before."""
        here, there, before = (self.scale(index + i) for i in (0, 1, -1))
        rest, _, _ = self._call(index, _Inputs())
        by_kept, _, kept_by_kept = self._call(index, _Inputs(kept=1.0))
        by_older, _, kept_by_older = self._call(index, _Inputs(x0_older=1.0))
        kept = [
            self._call(index, _Inputs(sample=1.0))[2] / here,
            self._call(index, _Inputs(output=1.0))[2],
            self._call(index, _Inputs(x0_before=1.0))[2],
            kept_by_kept / before,
            kept_by_older,
        ]
        return torch.cat(
            [
                (by_kept - rest) * there / before,
                (by_older - rest) * there,
                *(value * here for value in kept),
                _double(0.0, 0.0, 1.0, 0.0, 0.0),
            ]
        )

    def level(self, index: int) -> Tensor:
        at, t = self._at(index), self._timesteps[index].reshape(1)
        # Without it a scheduler looks for the timestep, which may be there more than once.
        at._begin_index = index
        zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        signal, noise = at.add_noise(one, zero, t), at.add_noise(zero, one, t)
        return torch.cat([signal, noise]) * self.scale(index)

    def _at(self, index: int) -> Any:
        at = copy.copy(self._scheduler)
        at._step_index = index
        at.is_scale_input_called = True
        return at

    def _call(self, index: int, inputs: _Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """One real step on scalars; returns the new latents, the predicted x0 and what is kept."""
        at = self._at(index)
        self._remind(at, index, inputs)
        more = {"generator": _generator()} if self._takes_generator else {}
        result = at.step(
            _exact(inputs.output), self._timesteps[index], _exact(inputs.sample), **more
        )
        return _plain(result.prev_sample), self._x0(at, index, inputs, result), self._kept(at)

    def _remind(self, at: Any, index: int, inputs: _Inputs) -> None:
        """Put what the scheduler would remember at this row into it."""
        if hasattr(at, "model_outputs"):
            at.model_outputs = [None, _exact(inputs.x0_before)]
            at.lower_order_nums = min(index - self._first, at.config.solver_order)

    def _x0(self, at: Any, index: int, inputs: _Inputs, result: Any) -> Tensor:
        for name in ("pred_original_sample", "denoised"):
            value = getattr(result, name, None)
            if value is not None:
                return _plain(value)
        return _plain(at.model_outputs[-1])

    def _kept(self, at: Any) -> Tensor:
        return _double(0.0)


class _TcdProbe(_Probe):
    """TCD doesn't tell its predicted x0 (Salimans & Ho 2022 for the formulas)."""

    def _x0(self, at: Any, index: int, inputs: _Inputs, result: Any) -> Tensor:
        signal, noise = self.level(index).unbind()
        match at.config.prediction_type:
            case "v_prediction":
                x0 = signal * inputs.sample - noise * inputs.output
            case "sample":
                x0 = _double(inputs.output)
            case _:
                x0 = (inputs.sample - noise * inputs.output) / signal
        return x0.reshape(1)


class _HeunProbe(_Probe):
    """Keeps the sample before its trial step; its slope there follows from that and from x0."""

    remembers = True

    def _remind(self, at: Any, index: int, inputs: _Inputs) -> None:
        at.dt = at.sample = at.prev_derivative = None
        if (index - self._first) % 2:
            before, here = at.sigmas[index - 1], at.sigmas[index]
            at.dt = here - before
            at.sample = _exact(inputs.kept)
            at.prev_derivative = _exact((inputs.kept - inputs.x0_before) / float(before))

    def _kept(self, at: Any) -> Tensor:
        return _double(0.0) if at.sample is None else _plain(at.sample)


class _SinglestepProbe(_Probe):
    """Keeps the sample before a step of the first order, which the next one starts from too."""

    remembers = True

    def _remind(self, at: Any, index: int, inputs: _Inputs) -> None:
        begins = index == self._first
        at.model_outputs = [None, None if begins else _exact(inputs.x0_before)]
        at.sample = None if begins else _exact(inputs.kept)

    def _kept(self, at: Any) -> Tensor:
        return _plain(at.sample)


class _UniPcProbe(_Probe):
    """Keeps the corrected sample of the step before (Zhao et al. 2023)."""

    remembers = True

    def _remind(self, at: Any, index: int, inputs: _Inputs) -> None:
        done = index - self._first
        at.lower_order_nums = min(done, at.config.solver_order)
        at.model_outputs = [
            _exact(inputs.x0_older) if done > 1 else None,
            _exact(inputs.x0_before) if done else None,
        ]
        at.timestep_list = [None, self._timesteps[max(index - 1, 0)]]
        at.last_sample = _exact(inputs.kept) if done else None
        at.this_order = min(at.config.solver_order, len(self._timesteps) - index + 1, done)

    def _kept(self, at: Any) -> Tensor:
        return _plain(at.last_sample)


_PROBES: dict[Sampler, type[_Probe]] = {
    "heun": _HeunProbe,
    "dpmpp_sde": _SinglestepProbe,
    "unipc": _UniPcProbe,
    "tcd": _TcdProbe,
}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class _Exact(Tensor):
    """A double that stays one, though schedulers cast what they are given to fp32."""

    def to(self, *_args: Any, **_kwargs: Any) -> Tensor:
        return self


def _exact(value: float) -> Tensor:
    # Of two dimensions, since UniPC's own sums need a batch and channels.
    return torch.tensor([[value]], dtype=torch.float64).as_subclass(_Exact)


def _plain(value: Tensor) -> Tensor:
    return value.as_subclass(Tensor).reshape(1)


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
