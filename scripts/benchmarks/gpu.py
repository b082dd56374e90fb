"""How fast a GPU draws with us and with diffusers' own pipelines, on the same random weights.

For Stable Diffusion 1.5 and XL, 512 and 1024 pixels square: seconds of a forward of B rows as it
is, and compiled and replayed as a graph; pictures a second with 4 steps and no guidance, and with
20 steps and guidance, a full batch of ours beside one picture after another of the pipeline's; and
eta, the rows a second that our steps achieve as a part of what the bare forward would. Without a
GPU the same runs at the size of a toy, which says nothing of speed: it keeps the script from rot.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from gpu.api import Job, JobId
from gpu.device import choose_device, choose_dtype, dtype_name
from gpu.models.family import LoadOptions, Row
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from gpu.sched.work import Seat, StepPlan
from gpu.warmup import compile_forwards
from scripts.benchmarks.machine import processor
from scripts.benchmarks.random_models import KINDS, build

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gpu.models.family import Family
    from scripts.benchmarks.random_models import Kind, Model

ROWS = (1, 2, 4, 8, 16)
PROMPT = "a red boat at sunset, watercolor"


class Work(NamedTuple):
    """What pictures ask for; guidance counts two rows a picture."""

    name: str
    steps: int
    guidance: float

    @property
    def rows(self) -> int:
        return 1 if self.guidance <= 1 else 2


WORKS = (Work("4_steps", 4, 1.0), Work("20_steps_guided", 20, 7.5))


class Scale(NamedTuple):
    """How much is measured: sides of pictures, rows of a batch, and repetitions."""

    sides: tuple[int, ...]
    rows: tuple[int, ...]
    tries: int
    toy: bool


REAL = Scale((512, 1024), ROWS, 5, toy=False)
TOY = Scale((64, 128), (1, 2), 1, toy=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="these models")
    parser.add_argument("--eager", action="store_true", help="neither compile nor record graphs")
    parser.add_argument("--keep", type=Path, help="write the figures to this JSON file too")


def run(arguments: argparse.Namespace) -> int:
    device = choose_device("auto")
    scale = REAL if device.type == "cuda" else TOY
    # Toys on a CPU would compile for minutes and run for seconds.
    compiles = device.type == "cuda" and not arguments.eager
    figures = measure(arguments.kinds, scale, device, compiles=compiles)
    text = json.dumps(figures, indent=1)
    if arguments.keep:
        arguments.keep.write_text(text + "\n", encoding="utf-8")
    print(text if arguments.json else _lines(figures))
    return 0


def measure(
    kinds: Sequence[Kind], scale: Scale, device: torch.device, *, compiles: bool
) -> dict[str, Any]:
    """Figures by kind and side, and what they were measured on. Seconds are medians."""
    options = LoadOptions(Path(), device, choose_dtype("auto", device), compiles=compiles)
    figures: dict[str, Any] = {
        "machine": _machine(device),
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "dtype": dtype_name(options.dtype),
        "toy": scale.toy,
    }
    for kind in kinds:
        model = build(kind, options, toy=scale.toy)
        found = {
            str(side): {"forward_s": _curve(model.family, side, scale)} for side in scale.sides
        }
        stock = {side: _stock(model, side, scale) for side in scale.sides}
        if compiles:
            # From here on: what ran before, ran as it is.
            compile_forwards(model.family, max(scale.rows), _say)
        for side in scale.sides:
            found[str(side)] |= _ours(model.family, side, scale, compiles=compiles)
            found[str(side)] |= _beside(found[str(side)], stock[side])
        figures[kind] = found
        del model
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return figures


def _curve(family: Family, side: int, scale: Scale) -> dict[str, float]:
    """Seconds of a forward, t(B), by its rows, as far as memory goes."""
    seconds: dict[str, float] = {}
    cells = side // family.latent_factor
    row = Row(family.encode_prompt(PROMPT))
    for rows in scale.rows:
        latents = torch.randn(rows, family.latent_channels, cells, cells, device=family.device)
        times = torch.full((rows,), 500.0, device=family.device)
        try:
            took = [
                _forward_s(family, latents, times, [row] * rows) for _ in range(scale.tries + 3)
            ]
        except torch.OutOfMemoryError:
            break
        # The first ones tune, and with graphs record.
        seconds[str(rows)] = statistics.median(took[3:])
    return seconds


def _forward_s(
    family: Family, latents: torch.Tensor, times: torch.Tensor, rows: Sequence[Row]
) -> float:
    _wait(family.device)
    begun = time.perf_counter()
    with torch.inference_mode():
        family.denoise(latents, times, rows)
    _wait(family.device)
    return time.perf_counter() - begun


def _stock(model: Model, side: int, scale: Scale) -> dict[str, float]:
    """Pictures a second of diffusers' own pipeline, one after another, decoded and encoded."""
    model.pipeline.set_progress_bar_config(disable=True)
    found = {}
    for work in WORKS:
        took = []
        for number in range(scale.tries + 1):
            begun = time.perf_counter()
            (picture,) = model.pipeline(
                PROMPT, height=side, width=side, num_inference_steps=work.steps,
                guidance_scale=work.guidance, generator=torch.Generator().manual_seed(number),
            ).images  # fmt: skip
            picture.save(io.BytesIO(), "PNG", compress_level=1)
            took.append(time.perf_counter() - begun)
        found[work.name] = 1 / statistics.median(took[1:])
    return found


def _ours(family: Family, side: int, scale: Scale, *, compiles: bool) -> dict[str, Any]:
    """Our curve if it is compiled now, pictures a second, and eta."""
    found: dict[str, Any] = {}
    curve = _curve(family, side, scale)
    if compiles:
        found["compiled_forward_s"] = curve
    runner = Runner(family, Tables(family.scheduler_config, family.pace), fit(family, 2)[0])
    best = min(curve, key=lambda rows: curve[rows] / int(rows))
    for work in WORKS:
        num = max(1, int(best) // work.rows)
        runs = [_batch(runner, side, work, num, seed) for seed in range(scale.tries + 1)][1:]
        whole_s = statistics.median(whole for whole, _ in runs)
        steps_s = statistics.median(steps for _, steps in runs)
        rows = num * work.rows
        found[work.name] = {"ours_pictures_per_s": num / whole_s, "pictures_in_a_batch": num}
        if str(rows) in curve:
            found[work.name]["eta"] = curve[str(rows)] * work.steps / steps_s
    return found


def _batch(runner: Runner, side: int, work: Work, num: int, seed: int) -> tuple[float, float]:
    """Seconds of so many pictures together, from their jobs to PNGs, and of their steps."""
    jobs = [
        Job(
            id=JobId(str(number)), room="", person="", slot=str(number), prompt=PROMPT,
            width=side, height=side, steps=work.steps, guidance=work.guidance, sampler="euler",
            seed=100 * seed + number,
        )
        for number in range(num)
    ]  # fmt: skip
    device = runner.prepare(jobs[0]).latents.device
    _wait(device)
    begun = time.perf_counter()
    paintings = [runner.prepare(job) for job in jobs]
    for painting in paintings:
        runner.admit(painting)
    plan = StepPlan(paintings[0].demand.shape, tuple(Seat(p.job, p.demand.rows) for p in paintings))
    _wait(device)
    stepped = time.perf_counter()
    for _ in range(work.steps):
        runner.step(plan)
    _wait(device)
    steps_s = time.perf_counter() - stepped
    for job in jobs:
        runner.finish(runner.release(job.id), job)
    return time.perf_counter() - begun, steps_s


def _beside(found: dict[str, Any], stock: dict[str, float]) -> dict[str, Any]:
    return {
        name: {
            **found[name],
            "stock_pictures_per_s": rate,
            "times_stock": found[name]["ours_pictures_per_s"] / rate,
        }
        for name, rate in stock.items()
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{processor()}, {os.cpu_count()} cores"


def _lines(figures: dict[str, Any], prefix: str = "") -> str:
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines.append(_lines(value, f"{prefix}{name}."))
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            lines.append(f"{prefix + name:48} {shown}")
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
