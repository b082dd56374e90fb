"""What the land is shaped into."""

from __future__ import annotations

from ..brush import Brush, curve, ellipse, polygon, ribbon
from ..colours import RGB, WHITE, darken
from .palette import CREAM, unlike


def draw_mountain(brush: Brush, colour: RGB) -> None:
    snow = unlike(colour, WHITE, (176.0, 206.0, 240.0))
    for x, peak, half in ((-0.5, -0.34, 0.7), (0.22, -1.0, 0.98)):
        height = 1.0 - peak
        brush.fill(polygon((x, peak), (x + half, 1.0), (x - half, 1.0)), colour=colour, shade=0.16)
        shaded = polygon((x, peak), (x + half, 1.0), (x + half * 0.1, 1.0), (x + 0.14, 0.3))
        brush.flat(shaded, colour=darken(colour, 0.32), alpha=0.6)
        cap = polygon(
            (x, peak),
            (x + half * 0.37, peak + height * 0.37),
            (x + half * 0.17, peak + height * 0.29),
            (x, peak + height * 0.43),
            (x - half * 0.17, peak + height * 0.29),
            (x - half * 0.37, peak + height * 0.37),
        )
        brush.fill(cap, colour=snow, shade=0.04)


def draw_hill(brush: Brush, colour: RGB) -> None:
    dome = curve(
        (-1.2, 1.0),
        ((-1.12, 0.16), (-0.6, -0.34), (0, -0.34)),
        ((0.6, -0.34), (1.12, 0.16), (1.2, 1.0)),
    )
    brush.fill(dome, colour=colour, shade=0.2)
    path = curve(
        (-0.24, 1.0),
        ((-0.2, 0.6), (0.42, 0.56), (0.3, 0.26)),
        ((0.2, 0.02), (-0.12, 0.0), (0.0, -0.34)),
    )
    brush.flat(ribbon(path, 0.34, 0.08), colour=unlike(colour, CREAM, (206.0, 170.0, 120.0)))
    for x, y, size in ((-0.5, 0.36, 0.17), (0.66, 0.62, 0.19), (-0.66, 0.82, 0.17)):
        bush = ellipse(x - size * 0.7, y, size), ellipse(x + size * 0.7, y, size)
        crown = ellipse(x, y - size * 0.6, size)
        brush.fill(*bush, crown, colour=darken(colour, 0.3), shade=0.16)
