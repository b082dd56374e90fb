"""The curve around a stroke, and the polygon that is drawn for it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from server.core.records import Stroke
from server.render.bounds import bounds
from server.render.curve import MAX_POINTS, TOLERANCE, Plane, flatten, plane
from server.render.raster import coverage
from server.render.viewport import Viewport
from tests.golden import make_strokes

GOLDEN: dict[str, Any] = json.loads(make_strokes.PATH.read_text())
golden_strokes = pytest.mark.parametrize(
    "entry", GOLDEN["strokes"], ids=lambda entry: str(entry["name"])
)


def signed_area(polygon: Plane) -> float:
    local = polygon - polygon[0]
    return float((local.conj() * np.roll(local, -1)).imag.sum() / 2)


def length(polygon: Plane) -> float:
    return float(np.abs(np.roll(polygon, -1) - polygon).sum())


def edges(polygon: Plane) -> list[float]:
    x, y = polygon.real, polygon.imag
    return [x.min(), y.min(), x.max(), y.max()]


@golden_strokes
def test_v14_the_polygon_has_the_area_and_bounds_of_the_golden_curve(entry: dict[str, Any]) -> None:
    polygon = flatten(plane(entry["outline"]))

    allowed = TOLERANCE * length(polygon)
    assert signed_area(polygon) == pytest.approx(entry["curve"]["area"], abs=allowed)
    assert edges(polygon) == pytest.approx(entry["curve"]["bounds"], abs=TOLERANCE)


@golden_strokes
@pytest.mark.parametrize("scale", [0.25, 1.0, 8.0])
def test_v14_the_curve_is_nowhere_farther_from_the_polygon_than_allowed(
    entry: dict[str, Any], scale: float
) -> None:
    controls = plane(entry["outline"][:200]) * scale
    start, end = (np.roll(controls, 1) + controls) / 2, (np.roll(controls, -1) + controls) / 2
    polygon = flatten(controls)
    leg = np.roll(polygon, -1) - polygon
    leg[leg == 0] = 1e-9
    for t in (0.13, 0.37, 0.5, 0.71, 0.94):
        spots = (1 - t) ** 2 * start + 2 * t * (1 - t) * controls + t**2 * end
        along = np.clip(((spots[:, None] - polygon) / leg).real, 0, 1)
        distance = np.abs(spots[:, None] - polygon - along * leg).min(axis=1)
        assert distance.max() <= TOLERANCE + 1e-6


@golden_strokes
def test_v14_the_curve_stays_within_the_stroke_s_bounds(entry: dict[str, Any]) -> None:
    points = bytes.fromhex(entry["packed"])
    stroke = Stroke(id="s", z="a0", points=points, size=entry["size"], pen=entry["pen"])
    box = bounds(stroke)
    assert box is not None
    x0, y0, x1, y1 = entry["curve"]["bounds"]
    assert (box.x0 <= x0, box.y0 <= y0, x1 <= box.x1, y1 <= box.y1) == (True,) * 4


def test_v14_a_wide_brush_shows_no_corners() -> None:
    around = np.exp(2j * np.pi * np.arange(13) / 13) * 100
    leg = np.diff(flatten(around), append=flatten(around)[:2])
    turns = np.abs(np.angle(leg[1:] / leg[:-1]))
    assert turns.max() < 0.1 < 2 * np.pi / 13


def test_v14_a_stroke_that_would_need_endless_points_is_drawn_coarser() -> None:
    zigzag = np.tile(np.array([-1e9, 1e9 + 1j]), 20_000) + 1j * np.arange(40_000)
    assert len(flatten(zigzag)) <= MAX_POINTS + len(zigzag)


@pytest.mark.parametrize("num_points", [0, 1, 2])
def test_fewer_than_three_points_enclose_nothing(num_points: int) -> None:
    controls = plane([(2.0, 2.0), (6.0, 7.0)][:num_points])
    view = Viewport(0, 0, 10, 10, 10, 10)
    assert coverage(controls, (0, 0), view, view.pixels).getextrema() == (0, 0)
