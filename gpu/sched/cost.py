"""How long a forward of B rows takes on this machine, and so how many rows are worth sharing one.

Learns from measured times only; knows nothing of the model or the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.sched.work import Shape

_MEMORY = 0.2
"""Weight of a new measurement against the older ones."""
_WORTHWHILE = 0.03
"""A larger batch must lower the time per row by this much."""


class CostModel:
    """Seconds of a forward, t(rows), by latent shape.

    Between measured row counts t is interpolated, beyond them continued by the fitted line
    t = a + b * rows; a shape never measured is scaled by its pixels from a measured one, of the
    same model if there is one.
    """

    def __init__(self, max_rows: int, tick_budget_s: float = 0.35) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows: expected at least 1, got {max_rows}")
        self._max_rows = max_rows
        self._tick_budget_s = tick_budget_s
        self._measured: dict[Shape, dict[int, float]] = {}
        self._caps: dict[Shape, int] = {}

    def observe(self, shape: Shape, rows: int, seconds: float) -> None:
        """Record that a forward of `rows` rows took `seconds`."""
        points = self._measured.setdefault(shape, {})
        before = points.get(rows)
        points[rows] = seconds if before is None else before + _MEMORY * (seconds - before)

    def forbid(self, shape: Shape, rows: int) -> None:
        """Record that `rows` rows don't fit into memory."""
        self._caps[shape] = max(1, min(rows - 1, self._cap(shape)))

    def predict(self, shape: Shape, rows: int) -> float:
        """Seconds that a forward of `rows` rows at `shape` will take."""
        points = self._measured.get(shape)
        if points:
            return _interpolate(points, rows)
        if not self._measured:
            return 1e-9 * rows * shape[0] * shape[1]
        near = min(
            self._measured,
            key=lambda other: (other.model != shape.model, abs(_px(other) - _px(shape))),
        )
        fixed, per_row = _fit(self._measured[near])
        return fixed + per_row * rows * _px(shape) / _px(near)

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


def _px(shape: Shape) -> int:
    return shape.height * shape.width


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
