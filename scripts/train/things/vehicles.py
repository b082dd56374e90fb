"""What carries people."""

from __future__ import annotations

from ..brush import Brush, curve, ellipse, polygon, rectangle, ribbon
from ..colours import RGB, darken
from .palette import CREAM, FLAME, GLASS, GOLD, INK, ROOF, SLATE, STEEL, WOOD, trim, unlike


def draw_boat(brush: Brush, colour: RGB) -> None:
    brush.flat(rectangle(-0.07, -1.0, 0.03, 0.5), colour=WOOD)
    canvas = unlike(colour, CREAM, (236.0, 208.0, 160.0))
    main = curve((0.08, -0.96), ((0.5, -0.6), (0.8, -0.1), (0.9, 0.36)), ((0.6, 0.36),) * 3)
    brush.fill(main, polygon((0.08, -0.96), (0.9, 0.36), (0.08, 0.36)), colour=canvas, shade=0.12)
    brush.fill(polygon((-0.12, -0.7), (-0.12, 0.36), (-0.72, 0.36)), colour=darken(canvas, 0.08))
    hull = curve(
        (-1.06, 0.48),
        ((-0.3, 0.54), (0.3, 0.54), (1.1, 0.44)),
        ((0.96, 0.8), (0.8, 0.96), (0.62, 1.0)),
        ((0.2, 1.02), (-0.2, 1.02), (-0.64, 1.0)),
        ((-0.84, 0.92), (-0.98, 0.74), (-1.06, 0.48)),
    )
    brush.fill(hull, colour=colour, shade=0.22)


def draw_car(brush: Brush, colour: RGB) -> None:
    cabin = curve(
        (-0.84, 0.06),
        ((-0.7, -0.3), (-0.6, -0.54), (-0.4, -0.56)),
        ((-0.1, -0.58), (0.1, -0.58), (0.26, -0.54)),
        ((0.5, -0.46), (0.62, -0.2), (0.76, 0.06)),
    )
    brush.fill(cabin, colour=colour, shade=0.16)
    glass = unlike(colour, GLASS, (96.0, 130.0, 170.0))
    rear = polygon((-0.64, 0.02), (-0.48, -0.42), (-0.12, -0.44), (-0.12, 0.02))
    front = polygon((-0.02, 0.02), (-0.02, -0.44), (0.24, -0.42), (0.54, 0.02))
    brush.fill(rear, colour=glass, shade=0.15)
    brush.fill(front, colour=glass, shade=0.15)
    brush.fill(rectangle(-1.12, -0.02, 1.14, 0.52, 0.2), colour=colour, shade=0.22)
    brush.flat(ellipse(1.0, 0.16, 0.1, 0.12), colour=GOLD)
    brush.flat(rectangle(-1.1, 0.06, -1.0, 0.22), colour=(214.0, 60.0, 56.0))
    for x in (-0.62, 0.64):
        brush.flat(ellipse(x, 0.52, 0.31), colour=INK)
        brush.fill(ellipse(x, 0.52, 0.16), colour=(200.0, 204.0, 212.0))


def draw_train(brush: Brush, colour: RGB) -> None:
    smoke = ellipse(0.5, -0.86, 0.16), ellipse(0.26, -0.96, 0.2), ellipse(-0.06, -0.98, 0.16)
    brush.fill(*smoke, colour=(222.0, 226.0, 234.0), shade=0.1)
    dark = unlike(colour, INK, SLATE)
    brush.fill(polygon((0.5, -0.2), (0.44, -0.68), (0.86, -0.68), (0.8, -0.2)), colour=dark)
    brush.fill(polygon((0.86, 0.44), (1.24, 0.92), (0.7, 0.92)), colour=unlike(colour, ROOF, GOLD))
    brush.fill(rectangle(-0.4, -0.28, 1.02, 0.46, 0.16), colour=colour, shade=0.26)
    brush.flat(rectangle(0.16, -0.28, 0.28, 0.46), colour=unlike(colour, GOLD, ROOF))
    brush.fill(ellipse(0.06, -0.3, 0.17), colour=unlike(colour, GOLD, ROOF))
    brush.fill(rectangle(-1.04, -0.66, -0.3, 0.5), colour=colour, shade=0.18)
    brush.flat(rectangle(-0.88, -0.46, -0.46, -0.06, 0.05), colour=unlike(colour, GLASS, CREAM))
    brush.fill(rectangle(-1.16, -0.8, -0.18, -0.62, 0.06), colour=dark)
    brush.flat(rectangle(-1.06, 0.42, 1.0, 0.6), colour=dark)
    for x, radius in ((-0.66, 0.36), (0.08, 0.28), (0.62, 0.28)):
        brush.flat(ellipse(x, 1.0 - radius, radius), colour=INK)
        brush.fill(ellipse(x, 1.0 - radius, radius * 0.56), colour=unlike(colour, ROOF, STEEL))


def draw_rocket(brush: Brush, colour: RGB) -> None:
    _draw_flame(brush)
    accent = unlike(colour, ROOF, SLATE)
    for side in (-1, 1):
        fin = curve(
            (side * 0.3, 0.0),
            ((side * 0.6, 0.1), (side * 0.74, 0.4), (side * 0.74, 0.84)),
            ((side * 0.6, 0.66), (side * 0.4, 0.6), (side * 0.2, 0.6)),
        )
        brush.fill(fin, colour=accent)
    body = curve(
        (0, -1.1),
        ((0.36, -0.8), (0.56, -0.2), (0.3, 0.64)),
        ((0.2, 0.66), (-0.2, 0.66), (-0.3, 0.64)),
        ((-0.56, -0.2), (-0.36, -0.8), (0, -1.1)),
    )
    brush.fill(body, colour=colour, shade=0.22)
    nose = curve(
        (0, -1.1),
        ((0.16, -0.96), (0.26, -0.82), (0.32, -0.64)),
        ((0.1, -0.58), (-0.1, -0.58), (-0.32, -0.64)),
        ((-0.26, -0.82), (-0.16, -0.96), (0, -1.1)),
    )
    brush.fill(nose, colour=accent)
    brush.flat(ellipse(0, -0.24, 0.24), colour=unlike(colour, STEEL, SLATE))
    brush.fill(
        ellipse(0, -0.24, 0.16), colour=unlike(colour, GLASS, (62.0, 84.0, 130.0)), shade=0.2
    )


def _draw_flame(brush: Brush) -> None:
    flame = curve(
        (-0.24, 0.56),
        ((-0.36, 0.84), (-0.1, 0.96), (0, 1.16)),
        ((0.1, 0.96), (0.36, 0.84), (0.24, 0.56)),
    )
    brush.flat(flame, colour=FLAME)
    brush.flat(ellipse(0, 0.68, 0.12, 0.2), colour=GOLD)


def draw_balloon(brush: Brush, colour: RGB) -> None:
    for side in (-1, 1):
        rope = polygon((side * 0.3, 0.36), (side * 0.17, 0.76))
        brush.flat(ribbon(rope, 0.04), colour=WOOD)
    brush.fill(rectangle(-0.21, 0.72, 0.21, 1.02, 0.05), colour=WOOD)

    for width, tint in ((0.96, colour), (0.58, trim(colour)), (0.26, colour)):
        envelope = curve(
            (-width * 0.3, 0.46),
            ((-width * 1.24, -0.06), (-width * 1.1, -1.06), (0.0, -1.06)),
            ((width * 1.1, -1.06), (width * 1.24, -0.06), (width * 0.3, 0.46)),
        )
        brush.fill(envelope, colour=tint, shade=0.2)
    brush.shine(-0.32, -0.62, 0.26, 0.26, 0.35)
