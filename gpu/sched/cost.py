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
    from collections.abc import Iterable, Iterator

    from gpu.sched.work import Shape

_PACE = 0.3
"""How much of what a measurement is beside what was expected is put down to the pace."""
_OUTLIER = 2.0
"""A measurement that is further off counts as this many times as long or as short."""
_MOST_WEIGHT = 64.0
"""So many measurements of one number of rows count; newer ones replace older ones."""
_TRUST = 0.4
"""How much what was measured of a number of rows counts beside the line through all."""
_START_WEIGHT = 16.0
"""What was known before work began counts as so many measurements: it holds the curve's slope
where only batches of one size are measured."""
_FADE = 0.99
"""What is left of that weight after each batch of another size than the one before."""
_GUESSED = (1, 8)
"""Where a shape that wasn't measured before takes points from one that was."""
_TRY_AGAIN = 500
"""After so many forwards one row more than fitted into memory is tried again."""
_SINGLES = 3
"""A tick may always take as long as so many forwards of one row: on a machine that is slow, or
busy with other work, batching is what helps."""
_WORTHWHILE = 0.03
"""A larger batch must lower the time per row by this much."""


@dataclass(slots=True)
class _Point:
    """Seconds of a forward of some number of rows at the usual pace, from some measurements."""

    seconds: float
    weight: float = 1.0

    def add(self, seconds: float) -> None:
        self.weight = min(self.weight + 1, _MOST_WEIGHT)
        self.seconds += (seconds - self.seconds) / self.weight


@dataclass(slots=True)
class _Curve:
    """What was measured of one shape, and the line t = a + b * rows through it."""

    start: dict[int, _Point] = field(default_factory=dict)
    """What was known before work began."""
    points: dict[int, _Point] = field(default_factory=dict)
    latest: int = 0
    fixed_s: float = 0.0
    row_s: float = 0.0

    def begin(self, rows: int, seconds: float) -> None:
        self.start[rows] = _Point(seconds, _START_WEIGHT)
        self._fit()

    def add(self, rows: int, seconds: float) -> None:
        if rows in self.points:
            self.points[rows].add(seconds)
        else:
            self.points[rows] = _Point(seconds)
        if rows != self.latest:
            for known in self.start.values():
                known.weight *= _FADE
        self.latest = rows
        self._fit()

    def _fit(self) -> None:
        self.fixed_s, self.row_s = _fit([*self.start.items(), *self.points.items()])

    def line(self, rows: int) -> float:
        return self.fixed_s + self.row_s * rows

    def at(self, rows: int) -> float:
        """The line, drawn towards what was measured of just so many rows."""
        point = self.points.get(rows)
        if point is None:
            return self.line(rows)
        trust = _TRUST * point.weight / _MOST_WEIGHT
        return self.line(rows) + trust * (point.seconds - self.line(rows))


class CostModel:
    """Seconds of a forward, t(rows), by latent shape.

    A shape never measured has the line of one that was, of the same model if there is one, with
    its slope scaled by the pixels.
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

    def calibrate(self, shape: Shape, rows: int, seconds: float) -> None:
        """Take over what a forward took at rest, before there was work."""
        self._curves.setdefault(shape, _Curve()).begin(rows, seconds)

    def observe(self, shape: Shape, rows: int, seconds: float) -> None:
        """Learn that a forward of `rows` rows took `seconds` at work."""
        self._ease_cap(shape)
        curve = self._curves.get(shape)
        if curve is None:
            curve = self._curves[shape] = self._guessed(shape, rows, seconds / self._pace)
        expected = curve.at(rows) * self._pace
        off = min(max(seconds / expected, 1 / _OUTLIER), _OUTLIER)
        curve.add(rows, off ** (1 - _PACE) * curve.at(rows))
        self._pace *= off**_PACE

    def _guessed(self, shape: Shape, rows: int, seconds: float) -> _Curve:
        """The curve of a shape of which one measurement is there: another's, through that."""
        curve = _Curve()
        line = self._line(shape)
        scale = seconds / (line[0] + line[1] * rows)
        for known in _GUESSED:
            curve.begin(known, scale * (line[0] + line[1] * known))
        return curve

    def _line(self, shape: Shape) -> tuple[float, float]:
        """What to expect of a shape that wasn't measured: seconds, and seconds a row."""
        if not self._curves:
            return 0.0, 1e-9 * _px(shape)
        near = min(
            self._curves,
            key=lambda other: (other.model != shape.model, abs(_px(other) - _px(shape))),
        )
        curve = self._curves[near]
        return curve.fixed_s, curve.row_s * _px(shape) / _px(near)

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
        if curve is not None:
            return self._pace * curve.at(rows)
        fixed_s, row_s = self._line(shape)
        return self._pace * (fixed_s + row_s * rows)

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
        budget_s = max(self._tick_budget_s, _SINGLES * self.predict(shape, 1))
        for rows in range(1, self._cap(shape) + 1):
            seconds = self.predict(shape, rows)
            if rows <= 2 or seconds <= budget_s:
                yield rows, seconds / rows

    def _cap(self, shape: Shape) -> int:
        return self._caps.get(shape, self._max_rows)


def _px(shape: Shape) -> int:
    return shape.height * shape.width


def _fit(points: Iterable[tuple[int, _Point]]) -> tuple[float, float]:
    """Weighted least-squares line: what a forward costs, and what each row adds; neither is
    negative."""
    known = list(points)
    total = sum(point.weight for _, point in known)
    mean_rows = sum(point.weight * rows for rows, point in known) / total
    mean_s = sum(point.weight * point.seconds for _, point in known) / total
    spread = sum(point.weight * (rows - mean_rows) ** 2 for rows, point in known)
    if not spread:
        return 0.0, mean_s / mean_rows
    slope = sum(p.weight * (r - mean_rows) * (p.seconds - mean_s) for r, p in known) / spread
    slope = min(max(slope, 0.0), mean_s / mean_rows)
    return mean_s - slope * mean_rows, slope
