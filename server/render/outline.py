"""The outline of a stroke: the points around what its pen, brush size and pressure leave behind.

The algorithm is perfect-freehand, the same in the browser; `tests/golden/strokes.json` holds
both to the same numbers. Knows nothing of pixels, layers or where a stroke was moved to.
"""

from __future__ import annotations

from perfect_freehand import get_stroke_outline_points, get_stroke_points

from server.core.strokes import decode_points

Outline = list[tuple[float, float]]

THINNING = 0.6
SMOOTHING = 0.5
STREAMLINE = 0.5


def outline(points: bytes, size: float, *, pen: bool) -> Outline:
    """The outline of a finished stroke, in canvas units: control points of a closed curve
    (curve.py), to be filled by the non-zero rule.

    `points` are packed as in `records.Points`; `size` is the brush's diameter in canvas units;
    without a `pen` the pressure is simulated from speed. Raises ValueError for malformed points.
    """
    unpacked = decode_points(points)
    path = get_stroke_points(unpacked, size=size, streamline=STREAMLINE, last=True)
    if len(unpacked) == 1:
        # A dot gets a second point; only the JavaScript version gives it the pen's pressure too.
        path[-1]["pressure"] = unpacked[0][2]
    return get_stroke_outline_points(
        path,
        size=size,
        thinning=THINNING,
        smoothing=SMOOTHING,
        simulate_pressure=not pen,
        last=True,
        cap_start=True,
        cap_end=True,
        taper_start=0.0,
        taper_end=0.0,
    )
