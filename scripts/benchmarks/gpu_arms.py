"""One model in its several ways of running, and how long each takes.

An arm is how our denoiser runs: as it is (`eager`), replayed as a graph (`graphs`), its blocks
compiled too (`compiled`), with xformers' attention (`xformers`). They share the weights. Seconds
are medians of a few runs, after one that tunes; a part takes no more runs when its time is over.
"""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from gpu.models.attention import use_xformers
from gpu.models.compiled import Denoiser, warming
from gpu.models.family import Row
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from scripts.benchmarks.arms.ours import Watched, learnt_costs
from scripts.benchmarks.arms.parts import Parts
from scripts.benchmarks.gpu_works import (
    PROMPT,
    WORKS,
    batch_s,
    engine_s,
    several,
    stock_s,
    timed_s,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpu.models.family import LoadOptions
    from scripts.benchmarks.gpu_works import Scale
    from scripts.benchmarks.random_models import Model

T = TypeVar("T")
Arm = Literal["eager", "graphs", "compiled", "xformers"]


class Arms:
    def __init__(self, model: Model, options: LoadOptions, scale: Scale) -> None:
        self.model = model
        family: Any = model.family
        self.family = family
        self.scale = scale
        self._options = options
        self._denoisers: dict[Arm, Denoiser] = {"eager": family._denoiser}
        self._problems: list[str] = []
        """Why something runs otherwise than it was asked to."""

    def take(self, arm: Arm, side: int) -> dict[str, Any]:
        """Have our denoiser run so; says how long that took to bring about."""
        begun = time.perf_counter()
        if arm not in self._denoisers:
            self._denoisers[arm] = self._made(arm)
        self.family._denoiser = self._denoisers[arm]
        if arm == "compiled":
            with warming():
                for rows in (2, 1):
                    self._forward_s(rows, side)
        return {"ready_s": time.perf_counter() - begun}

    def said(self) -> dict[str, Any]:
        """Whether it ran as it was asked to: how many graphs there are, and what was the matter."""
        graphs = self.family._denoiser._graphs
        problems, self._problems[:] = self._problems[:], []
        return {
            **({} if graphs is None else {"num_graphs": len(graphs)}),
            **({"problems": problems} if problems else {}),
        }

    def _made(self, arm: Arm) -> Denoiser:
        unet = self.family._unet if arm == "graphs" else twin(self.family._unet)
        denoiser = Denoiser(unet, self._problems.append)
        if arm == "graphs":
            denoiser.record()
        elif arm == "compiled":
            denoiser.compile()
        else:
            use_xformers(unet, replace(self._options, attention="xformers"), self._problems.append)
        return denoiser

    def curve(self, side: int) -> dict[str, float]:
        """Seconds of a forward, t(B), by its rows, as far as memory goes."""
        seconds: dict[str, float] = {}
        for rows in self.scale.rows:
            try:
                # The first ones tune, and with graphs record.
                for _ in range(3):
                    self._forward_s(rows, side)
                tries = range(self.scale.tries)
                seconds[str(rows)] = statistics.median(self._forward_s(rows, side) for _ in tries)
            except torch.OutOfMemoryError:
                break
        return seconds

    def _forward_s(self, rows: int, side: int) -> float:
        family = self.family
        cells = side // family.latent_factor
        latents = torch.randn(rows, family.latent_channels, cells, cells, device=family.device)
        times = torch.full((rows,), 500.0, device=family.device)
        row = Row(family.encode_prompt(PROMPT))
        return timed_s(family.device, lambda: family.denoise(latents, times, [row] * rows))

    def works(self, side: int, curve: dict[str, float]) -> dict[str, Any]:
        """Pictures a second of full batches from their jobs to PNGs, and eta: the rows a second
        that our steps achieve as a part of what bare forwards, t(B), would."""
        family = self.family
        runner = Runner(family, Tables(family.scheduler_config, family.pace), fit(family, 2)[0])
        best = min(curve, key=lambda rows: curve[rows] / int(rows))
        found: dict[str, Any] = {}
        for work in WORKS:
            num = max(1, int(best) // work.rows)
            runs = self._several(partial(batch_s, runner, side, work, num))
            prepare_s, steps_s, finish_s = map(statistics.median, zip(*runs, strict=True))
            found[work.name] = {
                "pictures_per_s": num / (prepare_s + steps_s + finish_s),
                "pictures_in_a_batch": num,
                "prepare_s": prepare_s,
                "steps_s": steps_s,
                "finish_s": finish_s,
            }
            if (alone := curve.get(str(num * work.rows))) is not None:
                found[work.name]["eta"] = alone * work.steps / steps_s
        return found

    def stock(self, side: int, unet: Any = None) -> dict[str, float]:
        """Pictures a second of diffusers' own pipeline, one after another, decoded and encoded."""
        pipeline = self.model.pipeline
        before = pipeline.unet
        pipeline.unet = unet or before
        try:
            return {
                work.name: 1
                / statistics.median(self._several(partial(stock_s, pipeline, side, work)))
                for work in WORKS
            }
        finally:
            pipeline.unet = before

    def stock_compiled(self, side: int) -> dict[str, float]:
        """The same, its U-Net's blocks compiled as diffusers advises."""
        unet = twin(self.model.pipeline.unet)
        with warming():
            unet.compile_repeated_blocks()
            return self.stock(side, unet)

    def decoding(self, side: int) -> dict[str, float]:
        """Seconds to decode a picture, by our autoencoder and by the stock pipeline's."""
        family = self.family
        cells = side // family.latent_factor
        latents = torch.randn(1, family.latent_channels, cells, cells, device=family.device)
        vae, half = self.model.pipeline.vae, latents.to(self.model.pipeline.vae.dtype)

        def theirs(_seed: int) -> float:
            return timed_s(family.device, lambda: vae.decode(half, return_dict=False))

        def ours(_seed: int) -> float:
            return timed_s(family.device, lambda: family.decode(latents))

        return {
            "ours_s": statistics.median(self._several(ours)),
            "stock_s": statistics.median(self._several(theirs)),
        }

    def engine(self, side: int, num: int) -> dict[str, float]:
        """Pictures a second of the whole engine, previews and all, for so many at once."""
        tables = Tables(self.family.scheduler_config, self.family.pace)
        previews = fit(self.family, 2)[0]
        parts = Parts(self._options, self.family, tables, previews, self.model.pipeline)
        runner, costs = Watched(parts), learnt_costs(parts)
        return {work.name: num / engine_s(runner, costs, side, work, num) for work in WORKS}

    def _several(self, run: Callable[[int], T]) -> list[T]:
        return several(self.scale, run)


def twin(module: Any) -> Any:
    """A copy that shares the weights."""
    weights = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in weights})
