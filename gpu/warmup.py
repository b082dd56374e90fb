"""From a loaded model to a runner that is ready: preview map, cost curve, first tables.

Bounded in time: a slow machine measures less, not longer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from gpu.api import ModelInfo
from gpu.device import dtype_name
from gpu.models.compiled import EAGER_BEFORE_GRAPH, warming
from gpu.models.family import Row
from gpu.pacing import Timing
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import SamplerError, Tables
from gpu.sched.work import Shape

if TYPE_CHECKING:
    from gpu.api import ModelListing, Sampler
    from gpu.models.advice import Advice
    from gpu.models.family import Family, Report

_CURVE_BUDGET_S = 1.0
_CURVE = (1, 2, 4, 8)
_ROWS_WITH_GRAPHS = (1, 2, 3, 4, 6, 8, 12, 16)
"""A forward of more rows than one is compiled once for all numbers of them."""
_SLOW_FORWARD_S = 0.5
"""A model this slow is measured once and given all threads."""
_CLEARLY_FASTER = 0.95
_USUAL: tuple[Sampler, ...] = ("dpmpp_2m", "euler", "euler_a", "ddim", "lcm")
"""Other samplers' tables are probed when a job first asks for them."""


def choose_threads(family: Family, report: Report) -> None:
    """On a CPU, halve the number of threads as long as that makes a forward faster.

    Small models gain nothing from many cores, and on a busy machine threads wait for each other.
    """
    if family.device.type != "cpu":
        return
    best = torch.get_num_threads()
    fastest = _forward_s(family, 2)
    while best > 1 and fastest < _SLOW_FORWARD_S:
        torch.set_num_threads(best // 2)
        seconds = _forward_s(family, 2)
        if seconds > fastest * _CLEARLY_FASTER:
            break
        best, fastest = best // 2, seconds
    torch.set_num_threads(best)
    report(f"computing with {best} thread{'s' if best > 1 else ''}")


def build_runner(family: Family, report: Report) -> Runner:
    """Fit the preview map and probe the tables that most jobs use."""
    report("fitting the preview map")
    previews, psnr_db = fit(family)
    tables = Tables(family.scheduler_config, family.pace)
    for sampler in (sampler for sampler in _USUAL if sampler in tables.samplers):
        try:
            tables.table(sampler, 20)
        except SamplerError as error:
            report(str(error))
    report(f"previews come within {psnr_db:.1f} dB PSNR of the decoder")
    return Runner(family, tables, previews)


def measure_costs(family: Family, model: str, max_rows: int, report: Report) -> list[Timing]:
    """Time forwards of the native size with more and more rows, within a budget."""
    report("measuring the cost of a step")
    timings: list[Timing] = []
    side = family.native_px // family.latent_factor
    deadline = time.monotonic() + _CURVE_BUDGET_S
    for rows in _CURVE:
        if rows > max_rows or (rows > 2 and time.monotonic() > deadline):
            break
        try:
            timings.append(Timing(Shape(side, side, model), rows, _forward_s(family, rows)))
        except torch.OutOfMemoryError:
            # How many rows fit is learnt again from jobs.
            break
    return timings


def compile_forwards(family: Family, max_rows: int, report: Report) -> None:
    """Compile a family's forward for all numbers of rows, and run those that are usual, so that
    on CUDA there is a graph of each. Minutes at the first start; torch keeps what it compiled."""
    family.compile()
    with warming():
        for rows in sorted({*_ROWS_WITH_GRAPHS, max_rows}, key=lambda rows: (rows == 1, rows)):
            if rows > max_rows:
                continue
            report(f"compiling the forward of {rows} row{'s' if rows > 1 else ''}")
            try:
                for _ in range(EAGER_BEFORE_GRAPH + 1):
                    _forward_s(family, rows, tries=1)
            except torch.OutOfMemoryError:
                return


def _forward_s(family: Family, rows: int, tries: int = 2) -> float:
    """Seconds of the fastest of a few forwards of `rows` rows at the native size."""
    side = family.native_px // family.latent_factor
    latents = torch.zeros(rows, family.latent_channels, side, side, device=family.device)
    times = torch.full((rows,), 500.0, device=family.device)
    row = Row(family.encode_prompt(""), surroundings=_nothing_around(family, side))
    fastest = float("inf")
    for _ in range(tries):
        begun = time.perf_counter()
        with torch.inference_mode():
            family.denoise(latents, times, [row] * rows)
        if family.device.type == "cuda":
            # Not the whole device: another thread may be recording a graph.
            torch.cuda.current_stream().synchronize()
        fastest = min(fastest, time.perf_counter() - begun)
        if fastest > _SLOW_FORWARD_S:
            break
    return fastest


def _nothing_around(family: Family, side: int) -> torch.Tensor | None:
    if not family.fills:
        return None
    return torch.zeros(1 + family.latent_channels, side, side, device=family.device)


def model_info(family: Family, advice: Advice, listing: ModelListing) -> ModelInfo:
    largest = min(2048, max(family.native_px * 4, 1024))
    return ModelInfo(
        id=listing.id,
        name=listing.title,
        native_px=family.native_px,
        multiple_px=family.multiple_px,
        min_px=max(64, family.multiple_px),
        max_px=largest // family.multiple_px * family.multiple_px,
        device=str(family.device),
        dtype=dtype_name(family.dtype),
        steps=advice.steps,
        guidance=advice.guidance,
        sampler=advice.sampler,
        samplers=Tables(family.scheduler_config).samplers,
        live_steps=advice.live_steps,
        loras=family.adapter_names,
        controls=family.controls,
    )
