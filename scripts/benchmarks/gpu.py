"""How fast a GPU draws with us and with diffusers' own pipelines, on the same weights.

For Stable Diffusion 1.5 and XL with random weights and for the embedded model: seconds of a
forward of B rows, t(B), as it is, as a graph, and compiled too; pictures a second with 4 steps and
no guidance, and with 20 steps and guidance, a full batch of ours beside one picture after another
of the pipeline's; and eta, the rows a second that our steps achieve as a part of what the bare
forward would. What matters most comes first; a part that fails says why, and the others go on.
Without a GPU the same runs at the size of a toy, which says nothing of speed: it keeps the script
from rot. Needs nothing of the server: `python3 -m scripts.benchmarks.gpu`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from gpu.device import choose_device, choose_dtype, dtype_name
from gpu.models.family import LoadOptions
from scripts.benchmarks.gpu_arms import Arms
from scripts.benchmarks.gpu_works import Scale
from scripts.benchmarks.machine import processor
from scripts.benchmarks.random_models import KINDS, build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.benchmarks.gpu_arms import Arm
    from scripts.benchmarks.random_models import Kind

_BEGUN_S = time.perf_counter()
REAL = Scale((1, 2, 4, 8, 16), tries=4, seconds=1.5, toy=False)
TOY = Scale((1, 2), tries=1, seconds=0.0, toy=True)
_DRIVER = (
    "nvidia-smi",
    "--query-gpu=driver_version,memory.total,power.limit",
    "--format=csv,noheader",
)


class Part(NamedTuple):
    """One thing to measure: of a model, at a side in pixels; `what` is a key of `PARTS`."""

    kind: Kind
    side: int
    what: str


def _forwards(arms: Arms, side: int, arm: Arm) -> dict[str, Any]:
    ready = arms.take(arm, side)
    return {**ready, "forward_s": arms.curve(side), **arms.said()}


def _pictures(arms: Arms, side: int, arm: Arm) -> dict[str, Any]:
    ready = arms.take(arm, side)
    curve = arms.curve(side)
    return {**ready, "forward_s": curve, **arms.works(side, curve), **arms.said()}


def _engine(arms: Arms, side: int) -> dict[str, Any]:
    arms.take("graphs" if arms.family.device.type == "cuda" else "eager", side)
    num = 64 if side < 1024 else 16
    return {**arms.engine(side, 2 if arms.scale.toy else num), **arms.said()}


PARTS: dict[str, Callable[[Arms, int], dict[str, Any]]] = {
    "stock": lambda arms, side: {**arms.stock(side)},
    "eager": lambda arms, side: _forwards(arms, side, "eager"),
    "eager_pictures": lambda arms, side: _pictures(arms, side, "eager"),
    "graphs": lambda arms, side: _pictures(arms, side, "graphs"),
    "compiled": lambda arms, side: _pictures(arms, side, "compiled"),
    "stock_compiled": lambda arms, side: {**arms.stock_compiled(side)},
    "xformers": lambda arms, side: _forwards(arms, side, "xformers"),
    "decoding": lambda arms, side: {**arms.decoding(side)},
    "engine": _engine,
}
"""What can be measured; each says it in figures."""
_ON_CUDA = ("graphs", "compiled", "stock_compiled", "xformers")
_FIRST = ("stock", "eager", "graphs")
_PLAN: tuple[tuple[Kind, int, tuple[str, ...]], ...] = (
    ("sd1", 512, (*_FIRST, "decoding")),
    ("sdxl", 1024, (*_FIRST, "decoding")),
    ("sd1", 1024, _FIRST),
    ("sdxl", 512, _FIRST),
    ("sd1", 512, ("compiled", "stock_compiled")),
    ("embedded", 256, (*_FIRST, "engine")),
    ("sdxl", 1024, ("compiled", "stock_compiled")),
    ("sd1", 512, ("engine", "eager_pictures", "xformers")),
    ("sdxl", 1024, ("engine", "eager_pictures", "xformers")),
    ("embedded", 256, ("eager_pictures", "compiled", "stock_compiled")),
)
"""The most important first, and what takes long to compile after what doesn't."""


def plan(kinds: Sequence[Kind], device: torch.device, *, toy: bool) -> list[Part]:
    """What is measured of these models on a device, in its order; toys are small pictures."""
    return [
        Part(kind, min(side, 64) if toy else side, what)
        for kind, side, names in _PLAN
        if kind in kinds
        for what in names
        if device.type == "cuda" or what not in _ON_CUDA
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="these models")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="these parts")
    parser.add_argument(
        "--seconds", type=float, default=600, help="begin nothing more after so many [600]"
    )
    parser.add_argument("--keep", type=Path, help="write the figures to this JSON file too")


def run(arguments: argparse.Namespace) -> int:
    device = choose_device("auto")
    scale = REAL if device.type == "cuda" else TOY
    parts = [
        part
        for part in dict.fromkeys(plan(arguments.kinds, device, toy=scale.toy))
        if part.what in arguments.only
    ]

    def keep(figures: dict[str, Any]) -> None:
        if arguments.keep:
            text = json.dumps(figures, indent=1)
            arguments.keep.write_text(text + "\n", encoding="utf-8")

    figures = measure(parts, scale, device, time.perf_counter() + arguments.seconds, keep)
    print(json.dumps(figures, indent=1) if arguments.json else _lines(figures))
    return 0


def measure(
    parts: Sequence[Part],
    scale: Scale,
    device: torch.device,
    until: float,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Figures by kind, side and part, and what they were measured on; `keep` gets them after each
    part. After `until`, by `time.perf_counter`, no part is begun."""
    options = LoadOptions(Path(), device, choose_dtype("auto", device))
    figures: dict[str, Any] = {
        **_machine(device),
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "dtype": dtype_name(options.dtype),
        "toy": scale.toy,
        "left_out": [],
    }
    models: dict[Kind, Arms] = {}
    for part in parts:
        if time.perf_counter() > until:
            figures["left_out"].append(" ".join(map(str, part)))
            continue
        if part.kind not in figures:
            _say(f"{part.kind} is built")
            figures[part.kind] = {
                "build": _guarded(device, partial(_build, models, part.kind, options, scale))
            }
        if part.kind in models:
            _say(" ".join(map(str, part)))
            found = figures[part.kind].setdefault(str(part.side), {})
            found[part.what] = _guarded(
                device, partial(PARTS[part.what], models[part.kind], part.side)
            )
            _compare(found)
        keep(figures)
    return figures


def _build(
    models: dict[Kind, Arms], kind: Kind, options: LoadOptions, scale: Scale
) -> dict[str, Any]:
    models[kind] = Arms(build(kind, options, toy=scale.toy), options, scale)
    return {}


def _guarded(device: torch.device, measured: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured, or why it couldn't be; how long it took, and the memory it needed."""
    begun = time.perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        found = measured()
    except Exception as error:
        traceback.print_exc()
        found = {"error": f"{type(error).__name__}: {error}"[:500]}
    if device.type == "cuda":
        found["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.empty_cache()
    return {**found, "took_s": time.perf_counter() - begun}


def _compare(found: dict[str, Any]) -> None:
    """Beside each of our rates, how many times the stock pipeline's it is."""
    for rival in ("stock", "stock_compiled"):
        for arm in ("eager_pictures", "graphs", "compiled"):
            for name, theirs in found.get(rival, {}).items():
                ours = found.get(arm, {}).get(name)
                if isinstance(ours, dict):
                    ours[f"times_{rival}"] = ours["pictures_per_s"] / theirs


def _machine(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"machine": f"{processor()}, {os.cpu_count()} cores"}
    found = {"machine": torch.cuda.get_device_name(device), "processor": processor()}
    try:
        told = subprocess.run(_DRIVER, capture_output=True, text=True, timeout=10, check=True)
        found["driver_memory_power"] = told.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return found


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
    print(f"{time.perf_counter() - _BEGUN_S:7.1f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(prog="scripts/bench gpu", description=__doc__)
    add_arguments(_parser)
    sys.exit(run(_parser.parse_args()))
