"""Loads that several arms are played, in turns, and what each made people wait."""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from scripts.benchmarks import loads
from scripts.benchmarks.arms.fifo import Fifo
from scripts.benchmarks.arms.objects import StepBatching
from scripts.benchmarks.arms.requests import RequestBatching
from scripts.benchmarks.play import play
from scripts.benchmarks.waits import (
    edits_seen,
    finals,
    first_previews,
    milliseconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scripts.benchmarks.arms.parts import Arm, Emit
    from scripts.benchmarks.field import Field
    from scripts.benchmarks.loads import Request
    from scripts.benchmarks.play import Record

Runs = dict[str, list[list["Record"]]]
"""What came of each arm, one list of records for each seed."""


def arms(field: Field, *names: str) -> dict[str, Callable[[Emit], Arm]]:
    parts = field.parts
    known: dict[str, Callable[[Emit], Arm]] = {
        "ours": field.ours,
        "fifo": partial(Fifo, parts),
        "requests": partial(RequestBatching, parts),
        "requests_10ms": partial(RequestBatching, parts, wait_s=0.01),
        "superseding": partial(RequestBatching, parts, supersedes=True),
        "objects": partial(StepBatching, parts),
    }
    return {name: known[name] for name in names}


def compete(
    contestants: Mapping[str, Callable[[Emit], Arm]],
    load: Callable[[int], Sequence[Request]],
    repeats: int,
    cpu_s: dict[str, list[float]] | None = None,
) -> Runs:
    """Play each seed's load to every arm, in another order each time.

    `cpu_s` is told how long the process worked for each.
    """
    runs: Runs = defaultdict(list)
    for seed in range(repeats):
        names = list(contestants)
        random.Random(seed).shuffle(names)
        for name in names:
            begun_s = time.process_time()
            runs[name].append(play(contestants[name], load(seed)))
            if cpu_s is not None:
                cpu_s[name].append(time.process_time() - begun_s)
    return {name: runs[name] for name in contestants}


def saturation(field: Field) -> dict[str, Any]:
    """More requests at once than a batch holds: pictures a second until all are done."""
    num = max(3, round(field.seconds * field.capacity_per_s / 2))
    cpu_s: dict[str, list[float]] = defaultdict(list)
    runs = compete(
        arms(field, "ours", "fifo", "requests", "objects"),
        lambda seed: loads.saturation(loads.Maker(field.side_px, 5000 + seed), num),
        field.repeats,
        cpu_s,
    )
    rates = {name: [_pictures_per_s(records) for records in lists] for name, lists in runs.items()}
    best = {name: statistics.median(values) for name, values in rates.items()}
    ratio = statistics.median(_ratios(rates["ours"], rates["fifo"]))
    worked = statistics.median(_ratios(cpu_s["fifo"], cpu_s["ours"]))
    return {
        "saturation_vs_fifo": round(ratio, 2),
        "saturation_vs_fifo_cpu": round(worked, 2),
        "saturation_allowed": round(field.batching_allows, 2),
        "saturation_of_allowed": round(worked / field.batching_allows, 3),
        "saturation": {name: {"pictures_per_s": round(rate, 2)} for name, rate in best.items()},
    }


def _ratios(some: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(some, others, strict=True)]


def _pictures_per_s(records: Sequence[Record]) -> float:
    begun_s = min(record.submitted_s for record in records)
    return len(records) / (max(record.ended_s for record in records) - begun_s)


def poisson(field: Field, part: float) -> dict[str, Any]:
    """Independent requests, `part` of what the machine could do in best batches."""
    names = ["ours", "requests", "objects"]
    repeats = field.few
    if part == 0.6:
        names.append("requests_10ms")
        repeats = field.repeats
    if part * field.batching_allows < 1.3:
        # Beyond that one by one doesn't keep up, and only its queue would be measured.
        names.append("fifo")
    per_s = part * field.capacity_per_s
    runs = compete(
        arms(field, *names),
        lambda seed: loads.poisson(loads.Maker(field.side_px, 6000 + seed), per_s, field.seconds),
        repeats,
    )
    table = {name: _waits(records) for name, records in runs.items()}
    name = "poisson" + f"{part}".replace(".", "")
    figures: dict[str, Any] = {name: table}
    if part == 0.6:
        for key in ("p50", "p95"):
            figures[f"poisson06_preview_{key}_vs_request_batching"] = _ratio(
                table, "ours", "requests", "preview", key
            )
    return figures


def rooms(field: Field, num_rooms: int) -> dict[str, Any]:
    """Live frames edited in bursts; twelve rooms ask for as much as the machine could do."""
    per_s = field.capacity_per_s / 12
    runs = compete(
        arms(field, "ours", "superseding", "requests"),
        lambda seed: loads.rooms(
            loads.Maker(field.side_px, 7000 + seed), num_rooms, per_s, field.seconds, field.pace
        ),
        field.repeats if num_rooms == 12 else field.few,
    )
    table = {name: _edits(records) for name, records in runs.items()}
    figures: dict[str, Any] = {f"rooms{num_rooms:02d}": table}
    if num_rooms == 12:
        for what, key in (("preview", "p50"), ("preview", "p95"), ("final", "p95")):
            figures[f"rooms12_{what}_{key}_vs_superseding"] = _ratio(
                table, "ours", "superseding", what, key
            )
    return figures


def hog(field: Field, think_s: float = 0.5) -> dict[str, Any]:
    """Fifteen rooms that ask for one picture at a time, with a room of a hundred and without.

    After each picture people think for `think_s` on average. The longer, the fewer rooms are
    there at a time, and the more of an idle machine there is to lose to anybody who comes.
    """
    table: dict[str, Any] = {}
    for name, repeats in (("ours", field.repeats), ("requests", field.few)):
        make = arms(field, name)[name]
        light: dict[str, list[Record]] = defaultdict(list)
        for seed in range(repeats):
            for suffix in random.Random(seed).sample(("", "_with_hog"), 2):
                light[name + suffix] += _light_rooms(field, make, seed, think_s, suffix != "")
        table |= {name: _waits([records]) for name, records in sorted(light.items())}
    name = "hog" if think_s < 1 else "hog_resting"
    return {
        name: table,
        f"{name}_light_p95_ratio": _ratio(table, "ours_with_hog", "ours", "final", "p95"),
        f"{name}_light_preview_p95_ratio": _ratio(table, "ours_with_hog", "ours", "preview", "p95"),
    }


def _light_rooms(
    field: Field, make: Callable[[Emit], Arm], seed: int, think_s: float, with_hog: bool
) -> list[Record]:
    maker = loads.Maker(field.side_px, 8000 + seed)
    think = random.Random(seed)

    def again(record: Record, now_s: float) -> Request | None:
        at_s = now_s + field.pace * think.expovariate(1 / think_s)
        if record.job.room == "hog" or at_s > field.seconds:
            return None
        return loads.Request(at_s, maker.job(record.job.room))

    requests = [
        loads.Request(maker.rng.uniform(0, field.seconds / 6), maker.job(f"light{number}"))
        for number in range(15)
    ]
    if with_hog:
        # What is left of the hundred goes when the time is up.
        requests += [loads.Request(0.0, maker.job("hog"), field.seconds) for _ in range(100)]
    records = play(make, requests, follow=again)
    return [record for record in records if record.job.room != "hog"]


def mixed(field: Field) -> dict[str, Any]:
    """Any steps, guidance, samplers, two sizes: half of what the machine could do of it."""
    large = field.measure_curve(2 * field.side)
    large_row_s = min(seconds / rows for rows, seconds in large.items())
    row_s = 0.75 * field.row_s + 0.25 * large_row_s
    # The means of what `loads.mixed` chooses from.
    per_s = 0.5 / (5 / 3 * 17.5 * row_s + (0.75 + 0.25 * 4) * field.decode_s)
    runs = compete(
        arms(field, "ours", "requests", "objects"),
        lambda seed: loads.mixed(loads.Maker(field.side_px, 9000 + seed), per_s, field.seconds),
        field.few,
    )
    table = {name: _waits(records) for name, records in runs.items()}
    return {
        "mixed": table,
        **{
            f"mixed_{what}_{key}_vs_request_batching": _ratio(table, "ours", "requests", what, key)
            for what in ("preview", "final")
            for key in ("p50", "p95")
        },
    }


def _waits(runs: Sequence[Sequence[Record]]) -> dict[str, Any]:
    return {
        "preview": milliseconds([s for records in runs for s in first_previews(records)]),
        "final": milliseconds([s for records in runs for s in finals(records)]),
    }


def _edits(runs: Sequence[Sequence[Record]]) -> dict[str, Any]:
    both = [edits_seen(records) for records in runs]
    return {
        "preview": milliseconds([s for seen, _ in both for s in seen]),
        "final": milliseconds([s for _, finished in both for s in finished]),
        "pictures": sum(record.is_done for records in runs for record in records),
    }


def _ratio(table: Mapping[str, Any], ours: str, theirs: str, what: str, key: str) -> float:
    both = [float(table[arm][what][f"{key}_ms"]) for arm in (ours, theirs)]
    return round(both[0] / both[1], 3)
