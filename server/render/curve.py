"""The closed curve that a stroke's outline stands for, as a polygon fine enough to be drawn.

The points of the outline are control points, as perfect-freehand's README advises: each bends
a quadratic Bézier curve that runs between the midpoints to its two neighbours. The pieces meet
without a corner, and all of them lie in the outline's convex hull. The browser draws the same
curve (web/src/canvas/outline.ts). Knows nothing of pixels but how much may be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Plane: TypeAlias = npt.NDArray[np.complex128]
"""Points of the plane, x + iy."""
_Steps: TypeAlias = npt.NDArray[np.int64]

TOLERANCE = 0.08
"""How far the polygon may run from the curve, in the unit of its points (pixels, when drawn)."""
MAX_POINTS = 500_000
"""A curve that would need more is drawn coarser, but for one point a piece: no stroke can be made
to take memory without end."""


def plane(points: Sequence[tuple[float, float]]) -> Plane:
    return np.array(points, dtype=np.float64).reshape(-1, 2).view(np.complex128)[:, 0]


def flatten(controls: Plane) -> Plane:
    """The polygon that follows the curve of these control points, within `TOLERANCE`.

    Fewer than three points give a polygon without area.
    """
    ring = np.concatenate((controls[-1:], controls, controls[:1]))
    midpoints = (ring[:-1] + ring[1:]) / 2
    start, end = midpoints[:-1], midpoints[1:]
    bend = start - 2 * controls + end
    steps = _num_steps(bend)
    piece = np.repeat(np.arange(len(steps)), steps)
    t = (np.arange(len(piece)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[piece]
    return start[piece] + t * (2 * (controls - start)[piece] + t * bend[piece])


def _num_steps(bend: Plane) -> _Steps:
    """How many straight lines each piece of the curve takes.

    The second derivative of a piece is `2 * bend`, and a chord over a step h of a curve is off by
    at most h²/8 of that.
    """
    wanted = np.sqrt(np.abs(bend) / (4 * TOLERANCE))
    excess = max(1.0, float(wanted.sum()) / MAX_POINTS)
    return np.maximum(np.ceil(wanted / excess), 1).astype(np.int64)
