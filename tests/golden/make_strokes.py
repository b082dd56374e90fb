"""Writes strokes.json: strokes, their packed points and outlines, as pytest and vitest read them.

Run `python -m tests.golden.make_strokes`. Outlines are computed from the *unpacked* points:
what is journaled is what everybody draws. Of the curve that is filled (the outline's points are
its control points), the file holds what can be known exactly without drawing it.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from server.core.strokes import Point, decode_points, encode_points
from server.render.outline import SMOOTHING, STREAMLINE, THINNING, outline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.render.outline import Outline

PATH = Path(__file__).with_name("strokes.json")
SEED = 20_260_721


Corner: TypeAlias = tuple[float, float]
Piece: TypeAlias = tuple[Corner, Corner, Corner]
"""A quadratic Bézier curve: its start, control point and end."""


class Case(NamedTuple):
    name: str
    size: float
    pen: bool
    points: list[Point]


def cases() -> Iterator[Case]:
    rng = random.Random(SEED)
    yield Case("dot by mouse", 8, False, [(10, 20, 0.5)])
    yield Case("dot by pen, light", 24, True, [(-3.3, 7.7, 0.2)])
    yield Case("pen resting on one spot", 12, True, [(5, 5, 0.3)] * 4)
    yield Case("two points by mouse", 6, False, [(0, 0, 0.5), (40, 30, 0.5)])
    yield Case("two points by pen", 6, True, [(0, 0, 0.1), (40, 30, 1.0)])
    yield Case("shorter than the brush is wide", 64, False, _line(5, (1, 1), (9, 4)))
    yield Case("straight line, slow", 10, False, _line(60, (100, 50), (220, 80)))
    yield Case("straight line, fast", 10, False, _line(5, (-400, -300), (900, 500)))
    yield Case("zigzag with sharp corners", 16, False, _zigzag())
    yield Case("figure eight, pen, crosses itself", 20, True, _figure_eight())
    yield Case("spiral, wide brush covers itself", 40, False, _spiral())
    yield Case(
        "scribble by pen, far from the origin", 5, True, _scribble(rng, 60, (81_234.56, -9_876.5))
    )
    yield Case("long scribble by mouse", 3.5, False, _scribble(rng, 600, (0.03, 0.04)))
    yield Case("thinnest brush", 0.5, True, _scribble(rng, 25, (12, 12)))
    yield Case("jump longer than one packed step", 30, False, [(0, 0, 0.5), (5_000, -100, 0.5)])


def document() -> dict[str, Any]:
    return {
        "about": "Outline of a stroke by perfect-freehand, from its unpacked points. Its points "
        "are the control points of a closed curve of quadratics that end at the midpoints between "
        "them; area is signed, and bounds are left, top, right, bottom.",
        "options": {
            "thinning": THINNING,
            "smoothing": SMOOTHING,
            "streamline": STREAMLINE,
            "last": True,
            "start": {"cap": True, "taper": 0},
            "end": {"cap": True, "taper": 0},
        },
        "per_stroke": "size = the stroke's size, simulatePressure = !pen",
        "tolerance": 1e-6,
        "seed": SEED,
        "strokes": [_entry(case) for case in cases()],
    }


def _entry(case: Case) -> dict[str, Any]:
    packed = encode_points(case.points)
    shape = outline(packed, case.size, pen=case.pen)
    return {
        "name": case.name,
        "size": case.size,
        "pen": case.pen,
        "raw": case.points,
        "packed": packed.hex(),
        "points": decode_points(packed),
        "outline": shape,
        "curve": {"area": _area(_pieces(shape)), "bounds": _bounds(_pieces(shape))},
    }


def _pieces(controls: Outline) -> list[Piece]:
    ends = [
        ((ax + bx) / 2, (ay + by) / 2)
        for (ax, ay), (bx, by) in zip(controls, controls[1:] + controls[:1], strict=True)
    ]
    return list(zip(ends[-1:] + ends[:-1], controls, ends, strict=True))


def _area(pieces: list[Piece]) -> float:
    """That of the polygon of the ends, and two thirds of the triangle over each of its sides."""
    origin = pieces[0][0]
    chords = sum(_cross(origin, start, end) for start, _, end in pieces) / 2
    return chords + sum(_cross(start, control, end) for start, control, end in pieces) / 3


def _cross(a: Corner, b: Corner, c: Corner) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _bounds(pieces: list[Piece]) -> list[float]:
    reached = [
        [x for piece in pieces for x in _extremes(*(corner[axis] for corner in piece))]
        for axis in (0, 1)
    ]
    return [min(reached[0]), min(reached[1]), max(reached[0]), max(reached[1])]


def _extremes(start: float, control: float, end: float) -> list[float]:
    """A coordinate of a quadratic at its ends and where it turns back, if it does."""
    bend = start - 2 * control + end
    turn = (start - control) / bend if bend else 0.0
    if not 0 < turn < 1:
        return [start, end]
    return [start, end, start + 2 * turn * (control - start) + turn * turn * bend]


def _line(count: int, start: tuple[float, float], end: tuple[float, float]) -> list[Point]:
    (ax, ay), (bx, by) = start, end
    shares = [i / (count - 1) for i in range(count)]
    return [(ax + (bx - ax) * t, ay + (by - ay) * t, 0.5) for t in shares]


def _zigzag() -> list[Point]:
    corners = [(40.0 * i, 80.0 * (i % 2)) for i in range(7)]
    legs = itertools.pairwise(corners)
    return [point for start, end in legs for point in _line(9, start, end)[:-1]]


def _figure_eight() -> list[Point]:
    angles = [math.tau * i / 80 for i in range(81)]
    return [(100 * math.sin(a), 60 * math.sin(2 * a), 0.55 + 0.45 * math.cos(a)) for a in angles]


def _spiral() -> list[Point]:
    angles = [i / 8 for i in range(150)]
    return [(200 + 5 * a * math.cos(a), 200 + 5 * a * math.sin(a), 0.5) for a in angles]


def _scribble(rng: random.Random, count: int, start: tuple[float, float]) -> list[Point]:
    (x, y), heading, pressure = start, 0.0, 0.5
    points = []
    for _ in range(count):
        points.append((round(x, 3), round(y, 3), round(pressure, 3)))
        heading += rng.gauss(0, 0.5)
        stride = rng.uniform(0.2, 14)
        x, y = x + stride * math.cos(heading), y + stride * math.sin(heading)
        pressure = min(1.0, max(0.0, pressure + rng.gauss(0, 0.08)))
    return points


def text() -> str:
    return json.dumps(document(), separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
