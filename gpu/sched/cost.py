"""How long a forward of B rows takes on this machine, and so how many rows are worth sharing one.

Learns from measured times only; knows nothing of the model or the device. What changes from
moment to moment is the machine's pace: somebody else's work slows large batches and small ones
alike. So it is kept apart from the curve, and a slow moment in which only large batches were
measured doesn't make small ones look better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.sched.work import Shape

_PACE = 0.3
"""How much of what a new measurement says beside what was expected is put down to the pace."""
_MEMORY = 0.1
"""And how much to the curve, at its number of rows."""
_FIRST = 0.5
"""The same for a number of rows never measured, where others were."""
_OUTLIER = 4.0
"""A measurement this many times off counts no more than one just as far off."""
_STALE = 300
"""After so many others a number of rows is forgotten: it is expected as its neighbours tell."""
_TRY_AGAIN = 500
"""After so many forwards one row more than fitted into memory is tried again."""
_WORTHWHILE = 0.03
"""A larger batch must lower the time per row by this much."""


class CostModel:
    """Seconds of a forward, t(rows), by latent shape.

    Between measured row counts t is interpolated, beyond them continued by the fitted line
    t = a + b * rows. A shape of which less than two row counts were measured has the line of
    one that is known, of the same model if there is one, scaled by its pixels.
    """

    def __init__(self, max_rows: int, tick_budget_s: float = 0.35) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows: expected at least 1, got {max_rows}")
        self._max_rows = max_rows
        self._tick_budget_s = tick_budget_s
        self._curves: dict[Shape, _Curve] = {}
        self._pace = 1.0
        self._caps: dict[Shape, int] = {}
        self._since_cap: dict[Shape, int] = {}

    def observe(self, shape: Shape, rows: int, seconds: float) -> None:
        """Record that a forward of `rows` rows took `seconds`."""
        self._ease_cap(shape)
        curve = self._curves.setdefault(shape, _Curve())
        is_known = rows in curve.points
        if len(curve.points) < 2 and not is_known:
            curve.learn(rows, seconds / self._pace)
            return
        expected = curve.at(rows)
        off = min(max(seconds / (expected * self._pace), 1 / _OUTLIER), _OUTLIER)
        curve.learn(rows, expected * off ** (_MEMORY if is_known else _FIRST))
        self._pace *= off**_PACE

    def forbid(self, shape: Shape, rows: int) -> None:
        """Record that `rows` rows don't fit into memory."""
        self._caps[shape] = max(1, min(rows - 1, self._cap(shape)))
        self._since_cap[shape] = 0

    def _ease_cap(self, shape: Shape) -> None:
        """Memory that was short may be free again: another model went, or a large picture."""
        if shape not in self._caps:
            return
        self._since_cap[shape] += 1
        if self._since_cap[shape] == _TRY_AGAIN:
            self._caps[shape] += 1
            self._since_cap[shape] = 0
            if self._caps[shape] >= self._max_rows:
                del self._caps[shape], self._since_cap[shape]

    def predict(self, shape: Shape, rows: int) -> float:
        """Seconds that a forward of `rows` rows at `shape` will take."""
        curve = self._curves.get(shape)
        if curve is not None and len(curve.points) > 1:
            return self._pace * curve.at(rows)
        known = [other for other, c in self._curves.items() if len(c.points) > 1]
        if not known:
            return self._pace * curve.at(rows) if curve else 1e-9 * rows * _px(shape)
        near = min(known, key=lambda other: (other.model != shape.model, _apart(other, shape)))
        scale = _px(shape) / _px(near)
        fixed, per_row = _fit(self._curves[near].points)
        guessed = fixed + per_row * rows * scale
        if curve is not None:
            # One measurement tells how far off the guess is, but not in which part.
            (measured,) = curve.points
            guessed *= curve.points[measured] / (fixed + per_row * measured * scale)
        return self._pace * guessed

    def best_rows(self, shape: Shape) -> int:
        """The smallest batch whose time per row is within 3% of the best one's (F6).

        Only batches that fit the tick budget count: what arrives in the middle of a tick
        waits for its end.
        """
        rates = dict(self._affordable(shape))
        best = min(rates.values())
        return min(rows for rows, rate in rates.items() if rate <= best * (1 + _WORTHWHILE))

    def rows_within(self, shape: Shape, rows: int, slowdown: float) -> int:
        """How many rows a forward of `rows` may grow to without taking `slowdown` times as long."""
        allowed = self.predict(shape, rows) * slowdown
        limit = max(rows, self.best_rows(shape))
        while limit > rows and self.predict(shape, limit) > allowed:
            limit -= 1
        return limit

    def _affordable(self, shape: Shape) -> Iterator[tuple[int, float]]:
        for rows in range(1, self._cap(shape) + 1):
            seconds = self.predict(shape, rows)
            if rows <= 2 or seconds <= self._tick_budget_s:
                yield rows, seconds / rows

    def _cap(self, shape: Shape) -> int:
        return self._caps.get(shape, self._max_rows)


@dataclass(slots=True)
class _Curve:
    """Seconds of a forward at the usual pace, by number of rows."""

    points: dict[int, float] = field(default_factory=dict)
    _learnt: dict[int, int] = field(default_factory=dict)
    _count: int = 0

    def learn(self, rows: int, seconds: float) -> None:
        self._count += 1
        self.points[rows] = seconds
        self._learnt[rows] = self._count
        stale = [other for other, when in self._learnt.items() if self._count - when > _STALE]
        for other in stale:
            # Two are needed for a line.
            if len(self.points) > 2:
                del self.points[other], self._learnt[other]

    def at(self, rows: int) -> float:
        return _interpolate(self.points, rows)


def _px(shape: Shape) -> int:
    return shape.height * shape.width


def _apart(one: Shape, other: Shape) -> int:
    return abs(_px(one) - _px(other))


def _fit(points: dict[int, float]) -> tuple[float, float]:
    """Least-squares line through (rows, seconds): what a forward costs, and what each row adds."""
    mean_rows = sum(points) / len(points)
    mean_s = sum(points.values()) / len(points)
    spread = sum((rows - mean_rows) ** 2 for rows in points)
    if not spread:
        return 0.0, mean_s / mean_rows
    slope = sum((r - mean_rows) * (s - mean_s) for r, s in points.items()) / spread
    slope = min(max(slope, 0.0), mean_s / mean_rows)
    return mean_s - slope * mean_rows, slope


def _interpolate(points: dict[int, float], rows: int) -> float:
    exact = points.get(rows)
    if exact is not None:
        return exact
    below = max((r for r in points if r < rows), default=None)
    above = min((r for r in points if r > rows), default=None)
    if below is not None and above is not None:
        part = (rows - below) / (above - below)
        return points[below] + part * (points[above] - points[below])
    _, per_row = _fit(points)
    if below is not None:
        return points[below] + per_row * (rows - below)
    assert above is not None
    return max(points[above] - per_row * (above - rows), points[above] * rows / above)
