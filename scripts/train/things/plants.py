"""What grows."""

from __future__ import annotations

import math

from ..brush import Brush, curve, ellipse, polygon, rectangle, ribbon
from ..colours import RGB, darken, luminance
from .palette import CREAM, GOLD, LEAF, WOOD, unlike


def draw_tree(brush: Brush, colour: RGB) -> None:
    trunk = polygon((-0.13, 0.2), (0.13, 0.2), (0.2, 1.0), (-0.2, 1.0))
    brush.fill(trunk, colour=unlike(colour, WOOD, (92.0, 56.0, 40.0)))
    brush.fill(
        ellipse(0, -0.5, 0.5),
        ellipse(-0.42, -0.1, 0.44),
        ellipse(0.42, -0.1, 0.44),
        ellipse(0, 0.04, 0.5, 0.4),
        colour=colour,
        shade=0.24,
    )
    brush.shine(-0.16, -0.56, 0.32, 0.26, 0.3)


def draw_pine(brush: Brush, colour: RGB) -> None:
    trunk = rectangle(-0.15, 0.6, 0.15, 1.0)
    brush.fill(trunk, colour=unlike(colour, WOOD, (92.0, 56.0, 40.0)))
    for top, bottom, half in ((0.0, 0.76, 0.86), (-0.52, 0.28, 0.68), (-1.06, -0.22, 0.5)):
        tier = curve(
            (0, top),
            ((half * 0.3, top + 0.4), (half * 0.7, bottom - 0.16), (half, bottom)),
            ((half * 0.4, bottom + 0.12), (-half * 0.4, bottom + 0.12), (-half, bottom)),
            ((-half * 0.7, bottom - 0.16), (-half * 0.3, top + 0.4), (0, top)),
        )
        brush.fill(tier, colour=colour, shade=0.28)


def draw_flower(brush: Brush, colour: RGB) -> None:
    stem = ribbon(curve((0, 0), ((0.06, 0.4), (-0.04, 0.7), (0, 1.0))), 0.11)
    brush.fill(stem, colour=LEAF)
    for side in (-1, 1):
        leaf = curve(
            (0, 0.84),
            ((side * 0.2, 0.56), (side * 0.42, 0.44), (side * 0.6, 0.46)),
            ((side * 0.5, 0.72), (side * 0.3, 0.84), (0, 0.84)),
        )
        brush.fill(leaf, colour=LEAF)
    for i in range(6):
        turn = i * math.pi / 3 + math.pi / 6
        brush.fill(
            ellipse(math.cos(turn) * 0.42, -0.36 + math.sin(turn) * 0.42, 0.3),
            colour=colour,
            shade=0.22,
        )
    centre = unlike(colour, GOLD, WOOD)
    brush.fill(ellipse(0, -0.36, 0.26), colour=centre)


def draw_mushroom(brush: Brush, colour: RGB) -> None:
    stalk = curve(
        (-0.26, 0.0),
        ((-0.22, 0.4), (-0.3, 0.8), (-0.36, 1.0)),
        ((-0.1, 1.04), (0.1, 1.04), (0.36, 1.0)),
        ((0.3, 0.8), (0.22, 0.4), (0.26, 0.0)),
    )
    brush.fill(stalk, colour=unlike(colour, CREAM, (226.0, 196.0, 156.0)), shade=0.12)
    cap = curve(
        (-1.02, 0.16),
        ((-1.0, -1.26), (1.0, -1.26), (1.02, 0.16)),
        ((0.6, 0.34), (-0.6, 0.34), (-1.02, 0.16)),
    )
    brush.fill(cap, colour=colour, shade=0.22)
    spots = darken(colour, 0.25) if luminance(colour) > 225 else CREAM
    for x, y, size in ((-0.5, -0.24, 0.18), (0.06, -0.52, 0.2), (0.56, -0.14, 0.17)):
        brush.flat(ellipse(x, y, size, size * 0.9), colour=spots)


def draw_apple(brush: Brush, colour: RGB) -> None:
    stalk = curve((0, -0.5), ((0.0, -0.7), (0.06, -0.86), (0.14, -1.0)))
    brush.fill(ribbon(stalk, 0.12, 0.08), colour=WOOD)
    leaf = curve(
        (0.06, -0.68),
        ((0.2, -1.06), (0.56, -1.04), (0.74, -0.92)),
        ((0.6, -0.62), (0.3, -0.56), (0.06, -0.68)),
    )
    brush.fill(leaf, colour=unlike(colour, LEAF, (36.0, 110.0, 60.0)))
    body = curve(
        (0, -0.46),
        ((0.4, -0.74), (0.96, -0.6), (0.96, 0.06)),
        ((0.96, 0.6), (0.5, 1.16), (0, 0.92)),
        ((-0.5, 1.16), (-0.96, 0.6), (-0.96, 0.06)),
        ((-0.96, -0.6), (-0.4, -0.74), (0, -0.46)),
    )
    brush.fill(body, colour=colour, shade=0.24)
    brush.shine(-0.46, -0.16, 0.26, 0.32, 0.5)
