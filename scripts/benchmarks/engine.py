"""Our engine and its rivals on the same weights, threads and machine, arms interleaved.

The process stays on as many cores as it has threads, so that no arm computes on more than
another. Durations are chosen so that all loads together take about seven minutes; each can be
run by itself, and `--keep` puts results together.
"""

from __future__ import annotations

import datetime
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.benchmarks.machine import processor

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from scripts.benchmarks.field import Field

EMBEDDED = Path(__file__).parents[2] / "gpu" / "models" / "embedded"
LOADS = (
    "efficiency", "alone", "overhead", "saturation", "poisson03", "poisson06", "poisson08",
    "poisson095", "rooms4", "rooms12", "rooms24", "hog", "hog_resting", "mixed", "cancels",
    "virtual",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--only", nargs="+", choices=LOADS, default=LOADS, help="these loads")
    parser.add_argument("--threads", type=int, default=1, help="and as many cores [1]")
    parser.add_argument("--model", type=Path, default=EMBEDDED, help="diffusers folder")
    parser.add_argument("--side", type=int, default=128, help="pixels of most pictures [128]")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a load for one arm [5]")
    parser.add_argument("--seeds", type=int, default=3, help="of each load [3]")
    parser.add_argument("--quick", action="store_true", help="a fraction of a second of each load")
    parser.add_argument("--keep", type=Path, help="add the figures to this JSON file")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the figures")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of the chosen loads, and what they were measured on.

    What there is already is kept after each load, so that nothing is lost if one fails.
    """
    from scripts.benchmarks.field import open_field

    seconds, seeds = (0.2, 1) if arguments.quick else (arguments.seconds, arguments.seeds)
    field = open_field(arguments.model, arguments.threads, arguments.side, seconds, seeds)
    figures: dict[str, Any] = {
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
        "threads": arguments.threads,
        "dtype": str(field.parts.family.dtype).removeprefix("torch."),
        "latents": f"{field.side}x{field.side}",
        "forward_ms": {str(rows): round(1000 * s, 2) for rows, s in field.curve.items()},
        "decode_ms": round(1000 * field.decode_s, 1),
        "pace": round(field.pace, 2),
        "capacity_per_s": round(field.capacity_per_s, 2),
        "batching_allows": round(field.curve[1] / field.row_s, 2),
    }
    for load in arguments.only:
        figures |= _loads()[load](field)
        if arguments.keep:
            figures = _kept(arguments.keep, figures)
    return figures


def _loads() -> dict[str, Callable[[Field], dict[str, Any]]]:
    from scripts.benchmarks import contests, inside

    return {
        "efficiency": inside.efficiency,
        "alone": inside.alone,
        "overhead": inside.overhead,
        "saturation": contests.saturation,
        "poisson03": partial(contests.poisson, part=0.3),
        "poisson06": partial(contests.poisson, part=0.6),
        "poisson08": partial(contests.poisson, part=0.8),
        "poisson095": partial(contests.poisson, part=0.95),
        "rooms4": partial(contests.rooms, num_rooms=4),
        "rooms12": partial(contests.rooms, num_rooms=12),
        "rooms24": partial(contests.rooms, num_rooms=24),
        "hog": contests.hog,
        "hog_resting": partial(contests.hog, think_s=3.0),
        "mixed": contests.mixed,
        "cancels": inside.cancels,
        "virtual": _on_a_virtual_clock,
    }


def _on_a_virtual_clock(field: Field) -> dict[str, Any]:
    from scripts.benchmarks import virtual

    seconds = min(60.0, 12 * field.seconds / field.pace)
    return {"virtual": virtual.figures(field.curve, field.decode_s, seconds)}


def run(arguments: argparse.Namespace) -> int:
    from gpu.worker import PATIENT

    for name, value in PATIENT.items():
        # As in the worker; read when torch is first imported.
        os.environ.setdefault(name, value)
    _claim_cores(arguments.threads)
    figures = measure(arguments)
    if arguments.plot:
        from scripts.benchmarks.plots import draw

        draw(figures).save(arguments.plot, optimize=True)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:44} {value}")
    return 0


def _claim_cores(threads: int) -> None:
    """Keep this process on as many cores as it has threads; before torch starts any.

    Otherwise what an arm does beside its steps would run on cores that others leave idle.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _kept(path: Path, figures: dict[str, Any]) -> dict[str, Any]:
    """What the file has of this number of threads, with the new figures over it."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    name = f"threads{figures['threads']}"
    kept[name] = kept.get(name, {}) | figures
    path.write_text(json.dumps(kept, indent=1) + "\n")
    merged: dict[str, Any] = kept[name]
    return merged
