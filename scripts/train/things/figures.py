"""Those who stand upright: people and robots."""

from __future__ import annotations

from ..brush import Brush, curve, ellipse, polygon, rectangle, ribbon
from ..colours import RGB, WHITE, darken
from .palette import GOLD, HAIR, INK, ROOF, SKIN, SLATE, STEEL, unlike


def draw_person(brush: Brush, colour: RGB) -> None:
    trousers = unlike(colour, SLATE, (150.0, 112.0, 84.0))
    for side in (-1, 1):
        brush.fill(
            polygon((0, 0.4), (side * 0.32, 0.4), (side * 0.32, 0.94), (side * 0.06, 0.94)),
            colour=trousers,
        )
        brush.flat(rectangle(side * 0.24 - 0.19, 0.88, side * 0.24 + 0.19, 1.02, 0.06), colour=INK)
    arms = (
        curve((-0.3, -0.26), ((-0.56, -0.16), (-0.62, 0.1), (-0.66, 0.3))),
        curve((0.3, -0.2), ((0.56, -0.2), (0.68, -0.4), (0.74, -0.6))),
    )
    brush.flat(ellipse(-0.67, 0.36, 0.12), ellipse(0.76, -0.68, 0.12), colour=SKIN)
    for arm in arms:
        brush.fill(ribbon(arm, 0.26, 0.22), colour=darken(colour, 0.12))
    brush.fill(rectangle(-0.09, -0.5, 0.09, -0.2), colour=darken(SKIN, 0.12))
    coat = curve(
        (-0.14, -0.36),
        ((-0.4, -0.34), (-0.42, -0.2), (-0.42, 0.5)),
        ((-0.2, 0.58), (0.2, 0.58), (0.42, 0.5)),
        ((0.42, -0.2), (0.4, -0.34), (0.14, -0.36)),
    )
    brush.fill(coat, colour=colour, shade=0.18)
    _draw_face(brush, unlike(colour, HAIR, INK))


def _draw_face(brush: Brush, hair: RGB) -> None:
    brush.fill(ellipse(0, -0.74, 0.35, 0.34), colour=hair)
    brush.fill(ellipse(0, -0.66, 0.29, 0.28), colour=SKIN, shade=0.1)
    fringe = curve(
        (-0.32, -0.72),
        ((-0.3, -1.14), (0.3, -1.14), (0.32, -0.72)),
        ((0.2, -0.9), (-0.1, -0.8), (-0.32, -0.72)),
    )
    brush.flat(fringe, colour=hair)
    brush.flat(ellipse(-0.11, -0.64, 0.05), ellipse(0.11, -0.64, 0.05), colour=INK)


def draw_robot(brush: Brush, colour: RGB) -> None:
    metal = unlike(colour, STEEL, SLATE)
    brush.flat(rectangle(-0.04, -1.0, 0.04, -0.76), colour=metal)
    brush.fill(ellipse(0, -1.0, 0.12), colour=unlike(colour, ROOF, GOLD))
    for side in (-1, 1):
        brush.fill(rectangle(side * 0.25 - 0.13, 0.6, side * 0.25 + 0.13, 0.96), colour=metal)
        brush.fill(
            rectangle(side * 0.3 - 0.22, 0.84, side * 0.3 + 0.22, 1.02, 0.06),
            colour=darken(colour, 0.2),
        )
        brush.fill(rectangle(side * 0.75 - 0.11, 0.0, side * 0.75 + 0.11, 0.5), colour=metal)
        brush.fill(
            rectangle(side * 0.75 - 0.17, 0.4, side * 0.75 + 0.17, 0.66, 0.08),
            colour=darken(colour, 0.2),
        )
        brush.fill(rectangle(side * 0.58 - 0.08, -0.56, side * 0.58 + 0.08, -0.3), colour=metal)
    brush.fill(rectangle(-0.88, -0.06, 0.88, 0.14, 0.06), colour=metal)
    brush.fill(rectangle(-0.56, -0.1, 0.56, 0.68, 0.08), colour=colour, shade=0.18)
    brush.fill(rectangle(-0.54, -0.8, 0.54, -0.14, 0.1), colour=colour, shade=0.18)
    brush.flat(rectangle(-0.34, 0.08, 0.34, 0.42, 0.06), colour=INK)
    for x, light in ((-0.18, (236.0, 84.0, 80.0)), (0.0, GOLD), (0.18, (110.0, 206.0, 120.0))):
        brush.flat(ellipse(x, 0.25, 0.075), colour=light)
    for side in (-1, 1):
        brush.flat(ellipse(side * 0.24, -0.54, 0.17), colour=WHITE)
        brush.flat(ellipse(side * 0.24, -0.54, 0.09), colour=INK)
    brush.flat(rectangle(-0.26, -0.32, 0.26, -0.22), colour=INK)
