"""What people waited for, from the records of a load: percentiles, and what was seen of edits."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scripts.benchmarks.play import Record


def percentile(values: Iterable[float], percent: float) -> float:
    """By linear interpolation between the nearest ranks; nan of nothing."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def first_previews(records: Sequence[Record]) -> list[float]:
    """Seconds from each request to the first that was seen of its picture."""
    return [record.first_seen_s - record.submitted_s for record in records]


def finals(records: Sequence[Record]) -> list[float]:
    """Seconds from each request to its picture, of those that got one."""
    return [record.ended_s - record.submitted_s for record in records if record.is_done]


def edits_seen(records: Sequence[Record]) -> tuple[list[float], list[float]]:
    """Seconds from each edit of a frame until something at least as new was seen, and finished.

    Replaced requests are no loss if a newer one shows; so each edit counts, not each picture.
    """
    frames: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.submitted_s):
        frames[record.job.slot].append(record)
    seen, finished = [], []
    for edits in frames.values():
        first_s = done_s = float("inf")
        for record in reversed(edits):
            first_s = min(first_s, record.first_seen_s)
            done_s = min(done_s, record.ended_s if record.is_done else float("inf"))
            seen.append(first_s - record.submitted_s)
            finished.append(done_s - record.submitted_s)
    return seen, finished


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness (Jain et al. 1984): 1 where all got the same."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        "p50_ms": round(1000 * percentile(seconds, 50), 1),
        "p95_ms": round(1000 * percentile(seconds, 95), 1),
        "num": len(seconds),
    }
