"""Calls a diffusers scheduler with basis inputs, to find the coefficients of its steps.

One class for each way in which schedulers remember things between steps. Works in double
precision, on scalars; knows nothing of latents or models.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gpu.api import Sampler


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one step is given, as scalars and not scaled; all but one are 0."""

    sample: float = 0.0
    output: float = 0.0
    x0_before: float = 0.0
    kept: float = 0.0
    """A sample that the sampler remembers."""
    x0_older: float = 0.0
    """The predicted x0 of two steps before."""


class Probe:
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

    def first_noise(self) -> float:
        """How much noise text-to-image begins with."""
        return float(self._scheduler.init_noise_sigma) * self.scale(0)

    def step(self, index: int) -> Tensor:
        here, there = self.scale(index), self.scale(index + 1)
        # With all inputs zero only the noise that the scheduler draws is left.
        rest, _, _ = self._call(index, Inputs())
        by_sample, x0_by_sample, _ = self._call(index, Inputs(sample=1.0))
        by_output, x0_by_output, _ = self._call(index, Inputs(output=1.0))
        by_before, _, _ = self._call(index, Inputs(x0_before=1.0))
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
        rest, _, _ = self._call(index, Inputs())
        by_kept, _, kept_by_kept = self._call(index, Inputs(kept=1.0))
        by_older, _, kept_by_older = self._call(index, Inputs(x0_older=1.0))
        kept = [
            self._call(index, Inputs(sample=1.0))[2] / here,
            self._call(index, Inputs(output=1.0))[2],
            self._call(index, Inputs(x0_before=1.0))[2],
            kept_by_kept / before,
            kept_by_older,
        ]
        return torch.cat(
            [
                (by_kept - rest) * there / before,
                (by_older - rest) * there,
                *(value * here for value in kept),
                double(0.0, 0.0, 1.0, 0.0, 0.0),
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

    def _call(self, index: int, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """One real step on scalars; returns the new latents, the predicted x0 and what is kept."""
        at = self._at(index)
        self._remind(at, index, inputs)
        more = {"generator": _generator()} if self._takes_generator else {}
        result = at.step(
            _exact(inputs.output), self._timesteps[index], _exact(inputs.sample), **more
        )
        return _plain(result.prev_sample), self._x0(at, index, inputs, result), self._kept(at)

    def _remind(self, at: Any, index: int, inputs: Inputs) -> None:
        """Put what the scheduler would remember at this row into it."""
        if hasattr(at, "model_outputs"):
            at.model_outputs = [None, _exact(inputs.x0_before)]
            at.lower_order_nums = min(index - self._first, at.config.solver_order)

    def _x0(self, at: Any, index: int, inputs: Inputs, result: Any) -> Tensor:
        for name in ("pred_original_sample", "denoised"):
            value = getattr(result, name, None)
            if value is not None:
                return _plain(value)
        return _plain(at.model_outputs[-1])

    def _kept(self, at: Any) -> Tensor:
        return double(0.0)


class FlowProbe(Probe):
    """Flow matching (Lipman et al. 2023): the model tells which way from the picture to the noise,
    and a picture at level s is (1 - s) * picture + s * noise."""

    def scale(self, index: int) -> float:
        return 1.0

    def first_noise(self) -> float:
        return 1.0

    def level(self, index: int) -> Tensor:
        sigma = float(self._scheduler.sigmas[index])
        return double(1.0 - sigma, sigma)

    def _x0(self, at: Any, index: int, inputs: Inputs, result: Any) -> Tensor:
        return double(inputs.sample - float(self._scheduler.sigmas[index]) * inputs.output)


class _TcdProbe(Probe):
    """TCD doesn't tell its predicted x0 (Salimans & Ho 2022 for the formulas)."""

    def _x0(self, at: Any, index: int, inputs: Inputs, result: Any) -> Tensor:
        signal, noise = self.level(index).unbind()
        match at.config.prediction_type:
            case "v_prediction":
                x0 = signal * inputs.sample - noise * inputs.output
            case "sample":
                x0 = double(inputs.output)
            case _:
                x0 = (inputs.sample - noise * inputs.output) / signal
        return x0.reshape(1)


class _HeunProbe(Probe):
    """Keeps the sample before its trial step; its slope there follows from that and from x0."""

    remembers = True

    def _remind(self, at: Any, index: int, inputs: Inputs) -> None:
        at.dt = at.sample = at.prev_derivative = None
        if (index - self._first) % 2:
            before, here = at.sigmas[index - 1], at.sigmas[index]
            at.dt = here - before
            at.sample = _exact(inputs.kept)
            at.prev_derivative = _exact((inputs.kept - inputs.x0_before) / float(before))

    def _kept(self, at: Any) -> Tensor:
        return double(0.0) if at.sample is None else _plain(at.sample)


class _SinglestepProbe(Probe):
    """Keeps the sample before a step of the first order, which the next one starts from too."""

    remembers = True

    def _remind(self, at: Any, index: int, inputs: Inputs) -> None:
        begins = index == self._first
        at.model_outputs = [None, None if begins else _exact(inputs.x0_before)]
        at.sample = None if begins else _exact(inputs.kept)

    def _kept(self, at: Any) -> Tensor:
        return _plain(at.sample)


class _UniPcProbe(Probe):
    """Keeps the corrected sample of the step before (Zhao et al. 2023)."""

    remembers = True

    def _remind(self, at: Any, index: int, inputs: Inputs) -> None:
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


_KINDS: dict[Sampler, type[Probe]] = {
    "heun": _HeunProbe,
    "dpmpp_sde": _SinglestepProbe,
    "unipc": _UniPcProbe,
    "tcd": _TcdProbe,
}


def kind_of(sampler: Sampler) -> type[Probe]:
    return _KINDS.get(sampler, Probe)


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


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
