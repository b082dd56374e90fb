"""What hangs in the sky."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..brush import Brush, Outline, curve, ellipse, polygon, rectangle

if TYPE_CHECKING:
    from ..colours import RGB


def draw_sun(brush: Brush, colour: RGB) -> None:
    for i in range(12):
        turn = i * math.pi / 6
        along, across = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
        ray = polygon(
            (along[0] * 0.7 + across[0] * 0.15, along[1] * 0.7 + across[1] * 0.15),
            (along[0] * 1.12, along[1] * 1.12),
            (along[0] * 0.7 - across[0] * 0.15, along[1] * 0.7 - across[1] * 0.15),
        )
        brush.flat(ray, colour=colour)
    brush.fill(ellipse(0, 0, 0.62), colour=colour, shade=0.2)
    brush.shine(-0.15, -0.2, 0.36, 0.32, 0.4)


def draw_moon(brush: Brush, colour: RGB) -> None:
    crescent = curve(
        (0.28, -0.98),
        ((-0.5, -1.1), (-1.02, -0.58), (-1.02, 0.02)),
        ((-1.02, 0.66), (-0.5, 1.06), (0.1, 1.02)),
        ((0.44, 1.0), (0.72, 0.84), (0.86, 0.6)),
        ((0.3, 0.74), (-0.36, 0.44), (-0.38, -0.14)),
        ((-0.4, -0.52), (-0.12, -0.86), (0.28, -0.98)),
    )
    brush.fill(crescent, colour=colour, shade=0.18)


def draw_cloud(brush: Brush, colour: RGB) -> None:
    brush.fill(
        ellipse(-0.6, 0.2, 0.46),
        ellipse(-0.16, -0.2, 0.56),
        ellipse(0.42, -0.02, 0.46),
        ellipse(0.78, 0.3, 0.36),
        rectangle(-0.98, 0.16, 1.1, 0.66, 0.25),
        colour=colour,
        shade=0.16,
    )
    brush.shine(-0.22, -0.36, 0.34, 0.26, 0.4)


def draw_rainbow(brush: Brush, colour: RGB) -> None:
    """The wide outer bow has the colour; those inside always run from red to violet."""
    inner = (
        (232.0, 70.0, 66.0),
        (250.0, 152.0, 52.0),
        (252.0, 216.0, 84.0),
        (92.0, 188.0, 98.0),
        (70.0, 136.0, 228.0),
        (146.0, 92.0, 200.0),
    )
    brush.fill(_bow(1.16, 0.9), colour=colour, shade=0.1)
    for i, tint in enumerate(inner):
        brush.flat(_bow(0.91 - 0.09 * i, 0.81 - 0.09 * i), colour=tint)


def _bow(outer: float, inner: float) -> Outline:
    """Half a ring whose feet are at y = 0.6."""
    turns = np.linspace(math.pi, 2.0 * math.pi, 40)
    radii = np.repeat([outer, inner], len(turns))
    turns = np.concatenate([turns, turns[::-1]])
    return np.stack([radii * np.cos(turns), 0.6 + radii * np.sin(turns)], axis=1)
