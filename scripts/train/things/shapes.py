"""Plain shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..brush import Brush, curve, ellipse, polygon, rectangle, star
from .palette import trim

if TYPE_CHECKING:
    from ..colours import RGB


def draw_circle(brush: Brush, colour: RGB) -> None:
    brush.fill(ellipse(0, 0, 0.95), colour=colour, shade=0.24)
    brush.shine(-0.3, -0.38, 0.42, 0.34)


def draw_square(brush: Brush, colour: RGB) -> None:
    brush.fill(rectangle(-0.86, -0.86, 0.86, 0.86, 0.06), colour=colour, shade=0.14)


def draw_triangle(brush: Brush, colour: RGB) -> None:
    brush.fill(polygon((0, -0.96), (1.06, 0.86), (-1.06, 0.86)), colour=colour, shade=0.16)


def draw_diamond(brush: Brush, colour: RGB) -> None:
    outline = polygon((0, -1.06), (0.74, 0), (0, 1.06), (-0.74, 0))
    brush.fill(outline, colour=colour, shade=0.18)


def draw_star(brush: Brush, colour: RGB) -> None:
    brush.fill(star(0, 0.06, 1.08, 0.46, 5), colour=colour, shade=0.2)
    brush.flat(star(0, 0.06, 0.7, 0.46, 5), colour=trim(colour), alpha=0.3)


def draw_heart(brush: Brush, colour: RGB) -> None:
    outline = curve(
        (0, 0.98),
        ((-0.5, 0.56), (-1.1, 0.2), (-1.06, -0.36)),
        ((-1.02, -1.02), (-0.2, -1.04), (0, -0.42)),
        ((0.2, -1.04), (1.02, -1.02), (1.06, -0.36)),
        ((1.1, 0.2), (0.5, 0.56), (0, 0.98)),
    )
    brush.fill(outline, colour=colour, shade=0.24)
    brush.shine(-0.52, -0.45, 0.3, 0.26, 0.55)
