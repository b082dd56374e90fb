"""Where things lie on the canvas, without drawing them. Boxes are conservative: never too small."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from server.core.records import Image, Mask, Record, Stroke
from server.core.strokes import decode_points
from server.render.outline import THINNING

_REACH = 0.5 + THINNING / 2
"""The widest half-width that the outline can have, as a share of the brush's size."""
_BRUSHED = (Stroke, Mask)
_DOT_OFFSET = 1.0
"""A single point is drawn as if a second one lay this far to its lower right."""


class Box(NamedTuple):
    """Canvas units; `x1` and `y1` are the far edges."""

    x0: float
    y0: float
    x1: float
    y1: float

    def meets(self, other: Box) -> bool:
        return (
            self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1
        )


def rectangle(x: float, y: float, w: float, h: float) -> Box:
    return Box(x, y, x + w, y + h)


def bounds(record: Record) -> Box | None:
    """The part of the canvas that a stroke, mask stroke or image can touch; None for the rest."""
    if isinstance(record, _BRUSHED):
        x0, y0, x1, y1 = _extent(record.points)
        reach = record.size * _REACH + _DOT_OFFSET
        return Box(
            x0 - reach + record.x,
            y0 - reach + record.y,
            x1 + reach + record.x,
            y1 + reach + record.y,
        )
    if isinstance(record, Image):
        return rectangle(record.x, record.y, record.w, record.h)
    return None


@lru_cache(maxsize=65_536)
def _extent(points: bytes) -> Box:
    xs, ys, _ = zip(*decode_points(points), strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))
