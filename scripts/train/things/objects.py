"""What people hold in their hands."""

from __future__ import annotations

from ..brush import Brush, curve, ellipse, polygon, rectangle, ribbon
from ..colours import RGB, darken, lighten, luminance
from .palette import CREAM, FLAME, GOLD, ROOF, ROSE, STEEL, WOOD, trim, unlike


def draw_kite(brush: Brush, colour: RGB) -> None:
    tail = curve(
        (-0.24, 0.4),
        ((-0.5, 0.8), (-0.16, 1.04), (0.08, 0.8)),
        ((0.3, 0.6), (0.5, 0.9), (0.9, 1.0)),
    )
    brush.flat(ribbon(tail, 0.06), colour=WOOD)
    for x, y in ((-0.3, 0.64), (0.1, 0.8), (0.66, 0.92)):
        left, right = ((x + side, y - 0.16) for side in (-0.22, 0.22))
        bow = polygon(left, (left[0], y + 0.16), right, (right[0], y + 0.16))
        brush.flat(bow, colour=unlike(colour, GOLD, ROSE))
    top, left, right, foot, middle = (
        (0.6, -1.08),
        (-0.46, -0.66),
        (0.9, -0.06),
        (-0.24, 0.4),
        (0.3, -0.48),
    )
    brush.fill(polygon(top, right, foot, left), colour=colour, shade=0.2)
    brush.flat(polygon(top, right, middle), polygon(foot, left, middle), colour=trim(colour))
    for spar in (polygon(top, foot), polygon(left, right)):
        brush.flat(ribbon(spar, 0.05), colour=WOOD)


def draw_cake(brush: Brush, colour: RGB) -> None:
    icing = ROSE if luminance(colour) > 200 else CREAM
    brush.fill(ellipse(0, 0.9, 1.1, 0.12), colour=STEEL, shade=0.1)
    for x in (-0.3, 0.0, 0.3):
        brush.flat(
            rectangle(x - 0.05, -0.68, x + 0.05, -0.3),
            colour=unlike(colour, ROOF, (62.0, 120.0, 210.0)),
        )
        brush.flat(ellipse(x, -0.82, 0.08, 0.15), colour=FLAME)
        brush.flat(ellipse(x, -0.78, 0.045, 0.09), colour=GOLD)
    for half, top, bottom, drips in (
        (0.58, -0.4, 0.3, (-0.4, 0.0, 0.4)),
        (0.92, 0.2, 0.9, (-0.72, -0.24, 0.24, 0.72)),
    ):
        brush.fill(rectangle(-half, top, half, bottom, 0.08), colour=colour, shade=0.18)
        drops = [rectangle(x - 0.13, top, x + 0.13, top + 0.32, 0.12) for x in drips]
        brush.fill(
            rectangle(-half - 0.03, top - 0.04, half + 0.03, top + 0.16, 0.08),
            *drops,
            colour=icing,
            shade=0.06,
        )


def draw_cup(brush: Brush, colour: RGB) -> None:
    for x in (-0.42, -0.08, 0.26):
        wisp = curve((x, -0.42), ((x - 0.22, -0.62), (x + 0.22, -0.8), (x, -1.04)))
        brush.flat(ribbon(wisp, 0.14, 0.08), colour=(190.0, 198.0, 212.0))
    handle = curve((0.5, -0.02), ((1.2, -0.16), (1.26, 0.66), (0.46, 0.6)))
    brush.fill(ribbon(handle, 0.2), colour=darken(colour, 0.14))
    mug = curve(
        (-0.82, -0.2),
        ((-0.82, 0.4), (-0.76, 0.8), (-0.6, 0.94)),
        ((-0.4, 1.02), (0.2, 1.02), (0.4, 0.94)),
        ((0.56, 0.8), (0.62, 0.4), (0.62, -0.2)),
    )
    brush.fill(mug, colour=colour, shade=0.22)
    brush.fill(ellipse(-0.1, -0.2, 0.72, 0.18), colour=lighten(colour, 0.25), shade=0.0)
    brush.flat(ellipse(-0.1, -0.17, 0.6, 0.12), colour=(96.0, 58.0, 40.0))
    brush.shine(-0.5, 0.34, 0.2, 0.44, 0.35)


def draw_umbrella(brush: Brush, colour: RGB) -> None:
    handle = curve(
        (0, -0.2), ((0, 0.2), (0, 0.4), (0, 0.74)), ((0, 1.1), (0.42, 1.1), (0.42, 0.76))
    )
    brush.flat(ribbon(handle, 0.11), colour=WOOD)
    brush.flat(rectangle(-0.05, -1.1, 0.05, -0.8), colour=WOOD)
    canopy = curve(
        (-1.12, 0.1),
        ((-1.06, -1.24), (1.06, -1.24), (1.12, 0.1)),
        ((0.96, -0.1), (0.58, -0.1), (0.4, 0.1)),
        ((0.26, -0.1), (-0.26, -0.1), (-0.4, 0.1)),
        ((-0.58, -0.1), (-0.96, -0.1), (-1.12, 0.1)),
    )
    brush.fill(canopy, colour=colour, shade=0.2)
    panel = curve(
        (0, -0.9),
        ((0.3, -0.7), (0.4, -0.3), (0.4, 0.1)),
        ((0.26, -0.1), (-0.26, -0.1), (-0.4, 0.1)),
        ((-0.4, -0.3), (-0.3, -0.7), (0, -0.9)),
    )
    brush.flat(panel, colour=trim(colour), alpha=0.75)
