"""What people build to stay."""

from __future__ import annotations

import math

import numpy as np

from ..brush import Brush, Outline, curve, ellipse, polygon, rectangle, ribbon
from ..colours import RGB, darken, luminance
from .palette import CREAM, GLASS, GOLD, INK, ROOF, SLATE, STEEL, WOOD, trim, unlike


def draw_house(brush: Brush, colour: RGB) -> None:
    roof = unlike(colour, ROOF, SLATE)
    brush.fill(rectangle(0.4, -0.86, 0.64, -0.3), colour=darken(roof, 0.25))
    brush.fill(rectangle(-0.8, -0.16, 0.8, 1.0), colour=colour, shade=0.14)
    brush.fill(polygon((-1.06, -0.08), (0, -0.98), (1.06, -0.08)), colour=roof, shade=0.16)
    door = unlike(colour, WOOD, CREAM)
    brush.fill(rectangle(-0.19, 0.36, 0.19, 1.0, 0.05), colour=door)
    for x in (-0.52, 0.52):
        brush.flat(rectangle(x - 0.2, 0.14, x + 0.2, 0.54), colour=CREAM)
        brush.fill(rectangle(x - 0.15, 0.19, x + 0.15, 0.49), colour=GLASS, shade=0.2)


def draw_castle(brush: Brush, colour: RGB) -> None:
    roof = unlike(colour, ROOF, SLATE)
    window = GOLD if luminance(colour) < 80 else darken(colour, 0.7)
    brush.fill(rectangle(-0.34, -0.44, 0.34, 0.3), colour=darken(colour, 0.12), shade=0.1)
    brush.fill(polygon((-0.46, -0.42), (0, -1.06), (0.46, -0.42)), colour=roof, shade=0.16)
    brush.flat(rectangle(-0.09, -0.28, 0.09, 0.0, 0.08), colour=window)
    merlons = [rectangle(x - 0.09, 0.04, x + 0.09, 0.3) for x in (-0.36, 0.0, 0.36)]
    wall = rectangle(-0.7, 0.22, 0.7, 1.0)
    brush.fill(wall, *merlons, colour=colour, shade=0.12)
    for side in (-1, 1):
        x = side * 0.8
        battlement = [rectangle(x + d - 0.08, -0.34, x + d + 0.08, -0.1) for d in (-0.26, 0, 0.26)]
        tower = rectangle(x - 0.26, -0.1, x + 0.26, 1.0), rectangle(x - 0.34, -0.18, x + 0.34, 0.04)
        brush.fill(*tower, *battlement, colour=colour, shade=0.16)
        brush.flat(rectangle(x - 0.08, 0.2, x + 0.08, 0.5, 0.08), colour=window)
    gate = ellipse(0, 0.68, 0.26), rectangle(-0.26, 0.68, 0.26, 1.0)
    brush.fill(*gate, colour=unlike(colour, WOOD, (66.0, 44.0, 40.0)), shade=0.16)


def draw_bridge(brush: Brush, colour: RGB) -> None:
    deck = curve(
        (-1.2, 0.14),
        ((-0.8, 0.12), (-0.5, -0.34), (0, -0.34)),
        ((0.5, -0.34), (0.8, 0.12), (1.2, 0.14)),
    )
    arches = [_arch(x, half) for x, half in ((0.8, 0.24), (0.0, 0.44), (-0.8, 0.24))]
    feet = polygon((1.2, 1.0)), polygon((-1.2, 1.0))
    brush.fill(np.concatenate([deck, feet[0], *arches, feet[1]]), colour=colour, shade=0.16)
    for arch in arches:
        brush.flat(ribbon(arch, 0.1), colour=darken(colour, 0.28))
    brush.flat(ribbon(deck, 0.15), colour=darken(colour, 0.28))
    brush.flat(ribbon(deck - (0.0, 0.08), 0.1), colour=trim(colour))


def _arch(x: float, half: float) -> Outline:
    """The way under one arch, from its right foot over the top to its left foot."""
    turns = np.linspace(0.0, math.pi, 16)
    top = np.stack([x + half * np.cos(turns), 0.64 - half * 1.1 * np.sin(turns)], axis=1)
    return np.concatenate([polygon((x + half, 1.0)), top, polygon((x - half, 1.0))])


def draw_lighthouse(brush: Brush, colour: RGB) -> None:
    for side in (-1, 1):
        beam = polygon((side * 0.1, -0.64), (side * 1.1, -0.92), (side * 1.1, -0.36))
        brush.flat(beam, colour=GOLD, alpha=0.5)
    rock = curve((-0.8, 1.02), ((-0.6, 0.62), (0.6, 0.62), (0.8, 1.02)))
    brush.fill(rock, colour=unlike(colour, SLATE, STEEL))
    brush.fill(polygon((-0.26, -0.4), (0.26, -0.4), (0.46, 0.88), (-0.46, 0.88)), colour=colour)
    stripes = unlike(colour, CREAM, ROOF)
    for top, bottom in ((-0.14, 0.1), (0.38, 0.62)):
        left, right = 0.26 + (top + 0.4) * 0.156, 0.26 + (bottom + 0.4) * 0.156
        stripe = polygon((-left, top), (left, top), (right, bottom), (-right, bottom))
        brush.fill(stripe, colour=stripes, shade=0.12)
    brush.fill(rectangle(-0.22, -0.8, 0.22, -0.46), colour=GOLD, shade=0.24)
    brush.flat(rectangle(-0.38, -0.5, 0.38, -0.38), colour=INK)
    roof = curve((-0.32, -0.78), ((-0.26, -1.16), (0.26, -1.16), (0.32, -0.78)))
    brush.fill(roof, colour=colour)
