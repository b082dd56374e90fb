"""What a worker's options cost and bring with the embedded model: `--weights` and `--compile`.

Each arm is loaded as the worker loads it. Steps are taken in turns, arm by arm, so that whatever
else the machine does meets all of them; latents are compared after 12 steps of one seed.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from gpu.api import Job, JobId
from gpu.device import choose_device, choose_dtype
from gpu.models.compiled import warming
from gpu.models.family import LoadOptions, Row
from gpu.models.load import load
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from gpu.sched.work import Seat, StepPlan
from gpu.worker import EMBEDDED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from gpu.models.family import Family

ARMS: dict[str, dict[str, Any]] = {
    "full": {},
    "int8": {"weights": "int8"},
    "int4": {"weights": "int4"},
    "compile": {"compiles": True},
}
ROWS = (1, 2, 4, 8)
_JOB = Job(
    id=JobId("one"), room="", person="", slot="", prompt="a red boat at sunset, watercolor",
    steps=12, guidance=3.0, seed=7,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arm:
    name: str
    family: Family
    ready_s: float
    """Seconds to load it and to make it ready."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arms", nargs="*", default=["int8", "int4"], help="int8 int4 compile")
    parser.add_argument("--tries", type=int, default=15, help="forwards of each kind [15]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    figures = measure(arguments.arms, arguments.tries)
    lines = (f"{name:28} {value}" for name, value in figures.items())
    print(json.dumps(figures) if arguments.json else "\n".join(lines))
    return 0


def measure(names: Sequence[str], tries: int, model: Path = EMBEDDED) -> dict[str, float]:
    """Bytes of weights, relative difference of latents, milliseconds of a forward (medians)."""
    arms = [_arm(name, model) for name in dict.fromkeys(["full", *names])]
    figures: dict[str, float] = {}
    plain = _latents(arms[0].family)
    for arm in arms:
        figures[f"{arm.name}_bytes"] = arm.family.num_bytes
        figures[f"{arm.name}_ready_s"] = round(arm.ready_s, 2)
        ours = _latents(arm.family)
        figures[f"{arm.name}_difference"] = round(float((ours - plain).norm() / plain.norm()), 4)
    for rows in ROWS:
        for name, times_s in _in_turns(arms, rows, tries).items():
            figures[f"{name}_ms_{rows}_rows"] = round(1000 * statistics.median(times_s), 2)
    return figures


def _arm(name: str, model: Path) -> Arm:
    device = choose_device("auto")
    options = LoadOptions(model, device, choose_dtype("auto", device))
    options = replace(options, **ARMS[name])
    begun = time.perf_counter()
    family = load(options, lambda line: print(line, file=sys.stderr))
    if options.compiles:
        family.compile()
        with warming():
            for rows in (2, 1):
                _forward(family, rows)
    return Arm(name, family, time.perf_counter() - begun)


def _latents(family: Family) -> torch.Tensor:
    runner = Runner(family, Tables(family.scheduler_config, family.pace), fit(family, 2)[0])
    painting = runner.prepare(_JOB)
    runner.admit(painting)
    for _ in range(painting.table.num_steps):
        runner.step(StepPlan(painting.demand.shape, (Seat(_JOB.id, painting.demand.rows),)))
    return runner.release(_JOB.id).latents.cpu()


def _in_turns(arms: Sequence[Arm], rows: int, tries: int) -> dict[str, list[float]]:
    times_s: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for _ in range(tries):
        for arm in arms:
            times_s[arm.name].append(_forward(arm.family, rows))
    return times_s


def _forward(family: Family, rows: int) -> float:
    """Seconds of a forward of the model's native size."""
    side = family.native_px // family.latent_factor
    latents = torch.zeros(rows, family.latent_channels, side, side, device=family.device)
    times = torch.full((rows,), 500.0, device=family.device)
    row = Row(family.encode_prompt(_JOB.prompt))
    begun = time.perf_counter()
    with torch.inference_mode():
        family.denoise(latents, times, [row] * rows)
    if family.device.type == "cuda":
        torch.cuda.synchronize(family.device)
    return time.perf_counter() - begun
