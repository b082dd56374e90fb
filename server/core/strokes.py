"""The binary geometry of a stroke: `encode_points` and `decode_points`.

Two little-endian f32 (the origin), then five bytes a point: i16 dx, i16 dy in 1/16 canvas
unit from the point before (the first one from the origin), u8 pressure (255 is 1.0).
Knows nothing of outlines or pixels.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point = tuple[float, float, float]
"""x and y in canvas units, pressure from 0 to 1."""

ORIGIN_BYTES = 8
POINT_BYTES = 5
UNITS_PER_PX = 16
MAX_COORDINATE = 1e7
_ORIGIN = struct.Struct("<ff")
_POINT = struct.Struct("<hhB")
_MAX_DELTA = 32_767


class GeometryError(ValueError):
    """The bytes are no stroke."""


def check_points(data: bytes) -> None:
    """Raise GeometryError unless `data` is the geometry of one point or more."""
    body = len(data) - ORIGIN_BYTES
    if body < POINT_BYTES or body % POINT_BYTES:
        raise GeometryError(
            f"expected 8 bytes of origin and 5 bytes for each point, got {len(data)} bytes"
        )
    for value in _ORIGIN.unpack_from(data):
        if not abs(value) <= MAX_COORDINATE:
            raise GeometryError(f"expected an origin within ±{MAX_COORDINATE:.0f}, got {value}")


def decode_points(data: bytes) -> list[Point]:
    """Read the points of a stroke; raises GeometryError."""
    check_points(data)
    left, top = _ORIGIN.unpack_from(data)
    x = y = 0
    points: list[Point] = []
    for dx, dy, pressure in _POINT.iter_unpack(data[ORIGIN_BYTES:]):
        x += dx
        y += dy
        points.append((left + x / UNITS_PER_PX, top + y / UNITS_PER_PX, pressure / 255))
    return points


def encode_points(points: Sequence[Point]) -> bytes:
    """Write points; errors of rounding don't add up along the stroke.

    Where two points lie more than 2047 units apart, points are put in between.
    """
    left, top = _f32(points[0][0]), _f32(points[0][1])
    out = bytearray(_ORIGIN.pack(left, top))
    x = y = 0
    for px, py, pressure in points:
        to_x = _round((px - left) * UNITS_PER_PX)
        to_y = _round((py - top) * UNITS_PER_PX)
        level = _round(min(1.0, max(0.0, pressure)) * 255)
        for next_x, next_y in _stops(x, y, to_x, to_y):
            out += _POINT.pack(next_x - x, next_y - y, level)
            x, y = next_x, next_y
    return bytes(out)


def _stops(x: int, y: int, to_x: int, to_y: int) -> Iterable[tuple[int, int]]:
    hops = max(1, math.ceil(max(abs(to_x - x), abs(to_y - y)) / _MAX_DELTA))
    for hop in range(1, hops + 1):
        yield x + (to_x - x) * hop // hops, y + (to_y - y) * hop // hops


def _f32(value: float) -> float:
    (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    return float(rounded)


def _round(value: float) -> int:
    """Half up, like JavaScript's Math.round."""
    return math.floor(value + 0.5)
