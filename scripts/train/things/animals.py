"""Animals of the house, the woods and the sea."""

from __future__ import annotations

from ..brush import Brush, curve, ellipse, polygon, rectangle, ribbon
from ..colours import RGB, WHITE, darken, lighten, luminance
from .palette import CREAM, FLAME, GOLD, INK, ROOF, ROSE, STEEL, WATER, trim, unlike


def draw_fish(brush: Brush, colour: RGB) -> None:
    fins = darken(colour, 0.2)
    tail = curve(
        (-0.6, 0.0),
        ((-0.8, -0.2), (-1.0, -0.56), (-1.2, -0.56)),
        ((-1.04, -0.2), (-1.04, 0.2), (-1.2, 0.56)),
        ((-1.0, 0.56), (-0.8, 0.2), (-0.6, 0.0)),
    )
    brush.fill(tail, colour=fins)
    back = curve((-0.4, -0.4), ((-0.3, -0.86), (0.1, -0.94), (0.4, -0.84)), ((0.3, -0.5),) * 3)
    brush.fill(back, colour=fins)
    brush.fill(polygon((-0.1, 0.5), (-0.3, 0.9), (0.26, 0.56)), colour=fins)
    body = curve(
        (1.1, 0.06),
        ((0.9, -0.5), (0.2, -0.86), (-0.66, -0.02)),
        ((0.2, 0.86), (0.9, 0.56), (1.1, 0.06)),
    )
    brush.fill(body, colour=colour, shade=0.26)
    for x in (-0.2, 0.12):
        stripe = ribbon(curve((x, -0.4), ((x + 0.14, -0.2),) * 2 + ((x, 0.44),)), 0.1)
        brush.flat(stripe, colour=trim(colour), alpha=0.55)
    brush.flat(ellipse(0.62, -0.12, 0.17), colour=(255.0, 255.0, 255.0))
    brush.flat(ellipse(0.66, -0.12, 0.1), colour=INK)


def draw_whale(brush: Brush, colour: RGB) -> None:
    _draw_spout(brush)
    _draw_flukes(brush, colour)
    body = curve(
        (-1.14, 0.3),
        ((-1.14, -0.16), (-0.8, -0.42), (-0.4, -0.42)),
        ((0.2, -0.42), (0.72, 0.3), (0.88, -0.46)),
        ((1.0, -0.52), (1.06, -0.48), (1.1, -0.4)),
        ((1.1, 0.6), (0.5, 0.86), (-0.3, 0.86)),
        ((-0.9, 0.86), (-1.14, 0.66), (-1.14, 0.3)),
    )
    brush.fill(body, colour=colour, shade=0.22)
    belly = curve(
        (-1.12, 0.42),
        ((-0.6, 0.6), (0.0, 0.66), (0.56, 0.62)),
        ((0.3, 0.8), (0.0, 0.86), (-0.3, 0.86)),
        ((-0.86, 0.86), (-1.06, 0.66), (-1.12, 0.42)),
    )
    brush.flat(belly, colour=unlike(colour, CREAM, STEEL))
    brush.flat(ellipse(-0.66, 0.16, 0.1), colour=unlike(colour, INK, WHITE))
    brush.fill(
        curve(
            (-0.2, 0.44),
            ((0.1, 0.4), (0.3, 0.7), (0.26, 1.0)),
            ((-0.1, 0.94), (-0.2, 0.7), (-0.2, 0.44)),
        ),
        colour=darken(colour, 0.22),
    )


def _draw_flukes(brush: Brush, colour: RGB) -> None:
    flukes = curve(
        (0.98, -0.3),
        ((0.86, -0.4), (0.5, -0.5), (0.56, -0.84)),
        ((0.76, -0.86), (0.92, -0.74), (0.98, -0.56)),
        ((1.04, -0.74), (1.12, -0.86), (1.24, -0.84)),
        ((1.3, -0.52), (1.12, -0.38), (0.98, -0.3)),
    )
    brush.fill(flukes, colour=darken(colour, 0.12))


def _draw_spout(brush: Brush) -> None:
    for side in (-1, 1):
        jet = curve(
            (-0.5, -0.3), ((-0.5, -0.8), (-0.5 + side * 0.1, -1.0), (-0.5 + side * 0.36, -0.72))
        )
        brush.flat(ribbon(jet, 0.1, 0.16), ellipse(-0.5 + side * 0.36, -0.7, 0.09), colour=WATER)


def draw_bird(brush: Brush, colour: RGB) -> None:
    for x in (-0.06, 0.2):
        foot = rectangle(x - 0.04, 0.6, x + 0.04, 1.0), rectangle(x - 0.04, 0.92, x + 0.2, 1.0)
        brush.flat(*foot, colour=FLAME)
    beak = polygon((0.74, -0.66), (1.16, -0.44), (0.74, -0.3))
    brush.fill(beak, colour=unlike(colour, GOLD, FLAME), shade=0.2)
    tail = polygon((-0.5, 0.16), (-1.16, 0.02), (-1.2, 0.36), (-0.42, 0.52))
    brush.fill(tail, colour=darken(colour, 0.22))
    body = curve(
        (-0.74, 0.2),
        ((-0.4, -0.1), (-0.1, -0.2), (0.06, -0.5)),
        ((0.5, -0.5), (0.88, -0.4), (0.8, 0.06)),
        ((0.66, 0.6), (0.3, 0.76), (0.04, 0.76)),
        ((-0.36, 0.76), (-0.66, 0.5), (-0.74, 0.2)),
    )
    brush.fill(body, ellipse(0.44, -0.5, 0.42), colour=colour, shade=0.18)
    brush.flat(ellipse(0.38, 0.36, 0.28, 0.3), colour=trim(colour), alpha=0.7)
    wing = curve(
        (0.2, -0.06),
        ((0.3, 0.4), (-0.3, 0.62), (-0.84, 0.54)),
        ((-0.6, 0.3), (-0.5, -0.1), (0.2, -0.06)),
    )
    brush.fill(wing, colour=darken(colour, 0.3))
    brush.flat(ellipse(0.54, -0.56, 0.13), colour=WHITE)
    brush.flat(ellipse(0.57, -0.56, 0.08), colour=INK)


def draw_butterfly(brush: Brush, colour: RGB) -> None:
    spots = trim(colour)
    for side in (-1, 1):
        lower = curve(
            (0, 0.06),
            ((side * 0.5, 0.0), (side * 1.0, 0.26), (side * 0.86, 0.62)),
            ((side * 0.7, 1.06), (side * 0.24, 0.96), (0, 0.2)),
        )
        brush.fill(lower, colour=darken(colour, 0.14))
        upper = curve(
            (0, 0.1),
            ((side * 0.16, -0.5), (side * 0.6, -1.04), (side * 1.06, -0.9)),
            ((side * 1.3, -0.5), (side * 1.06, 0.26), (0, 0.16)),
        )
        brush.fill(upper, colour=colour, shade=0.2)
        brush.flat(ellipse(side * 0.76, -0.46, 0.2), colour=spots)
        brush.flat(ellipse(side * 0.56, 0.54, 0.15), colour=spots)
        feeler = curve((0, -0.46), ((side * 0.06, -0.8), (side * 0.16, -0.94), (side * 0.3, -1.0)))
        brush.flat(ribbon(feeler, 0.06), ellipse(side * 0.3, -1.0, 0.07), colour=INK)
    brush.flat(ellipse(0, 0.16, 0.11, 0.56), ellipse(0, -0.4, 0.14), colour=INK)


def draw_cat(brush: Brush, colour: RGB) -> None:
    tail = curve((0.4, 0.88), ((1.0, 1.0), (1.1, 0.5), (0.86, 0.16)))
    brush.fill(ribbon(tail, 0.22, 0.16), ellipse(0.86, 0.16, 0.08), colour=darken(colour, 0.1))
    brush.fill(ellipse(0, 0.58, 0.52, 0.46), colour=colour, shade=0.2)
    pale = darken(colour, 0.1) if luminance(colour) > 225 else lighten(colour, 0.4)
    brush.flat(ellipse(0, 0.7, 0.26, 0.28), colour=pale)
    for side in (-1, 1):
        ear = polygon((side * 0.66, -1.02), (side * 0.1, -0.66), (side * 0.68, -0.24))
        brush.fill(ear, colour=colour)
        inner = polygon((side * 0.57, -0.82), (side * 0.28, -0.6), (side * 0.58, -0.42))
        brush.flat(inner, colour=ROSE)
    brush.fill(ellipse(0, -0.18, 0.7, 0.54), colour=colour, shade=0.18)
    brush.flat(ellipse(0, 0.04, 0.26, 0.18), colour=pale)
    eyes = unlike(colour, (150.0, 214.0, 96.0), GOLD)
    for side in (-1, 1):
        brush.flat(ellipse(side * 0.3, -0.24, 0.16, 0.17), colour=eyes)
        brush.flat(ellipse(side * 0.3, -0.24, 0.08, 0.15), colour=INK)
    brush.flat(polygon((-0.09, -0.06), (0.09, -0.06), (0, 0.05)), colour=ROSE)


def draw_dog(brush: Brush, colour: RGB) -> None:
    far = darken(colour, 0.22)
    tail = curve((-0.7, 0.1), ((-0.96, 0.06), (-1.1, -0.2), (-1.02, -0.5)))
    brush.fill(ribbon(tail, 0.24, 0.16), ellipse(-1.02, -0.5, 0.08), colour=far)
    for x in (-0.5, 0.18):
        brush.fill(rectangle(x - 0.12, 0.4, x + 0.12, 1.0, 0.08), colour=far)
    legs = [rectangle(x - 0.14, 0.3, x + 0.14, 1.0, 0.1) for x in (-0.7, 0.38)]
    chest = curve(
        (0.0, 0.1), ((0.1, -0.2), (0.2, -0.4), (0.3, -0.5)), ((0.7, -0.2), (0.6, 0.3), (0.5, 0.5))
    )
    brush.fill(rectangle(-0.86, -0.06, 0.54, 0.58, 0.28), *legs, chest, colour=colour, shade=0.2)
    _draw_snout_and_ear(brush, colour)
    collar = ribbon(polygon((0.02, -0.08), (0.3, 0.0), (0.56, -0.1)), 0.12)
    brush.flat(collar, colour=unlike(colour, ROOF, GOLD))


def _draw_snout_and_ear(brush: Brush, colour: RGB) -> None:
    tongue = rectangle(0.82, -0.32, 0.98, 0.02, 0.08)
    brush.flat(tongue, colour=ROSE)
    brush.fill(
        ellipse(0.4, -0.54, 0.44, 0.42),
        rectangle(0.4, -0.6, 1.14, -0.24, 0.16),
        colour=colour,
        shade=0.14,
    )
    brush.flat(ellipse(1.08, -0.54, 0.13, 0.11), colour=unlike(colour, INK, ROSE))
    brush.flat(ellipse(0.58, -0.66, 0.1), colour=WHITE)
    brush.flat(ellipse(0.61, -0.65, 0.07), colour=INK)
    ear = curve(
        (0.22, -0.92),
        ((-0.2, -1.0), (-0.3, -0.3), (-0.08, -0.06)),
        ((0.2, -0.02), (0.34, -0.4), (0.36, -0.8)),
        ((0.34, -0.88), (0.28, -0.92), (0.22, -0.92)),
    )
    brush.fill(ear, colour=darken(colour, 0.4), shade=0.12)


def draw_rabbit(brush: Brush, colour: RGB) -> None:
    _draw_long_ears(brush, colour)
    pale = darken(colour, 0.1) if luminance(colour) > 225 else lighten(colour, 0.45)
    brush.fill(ellipse(0, 0.62, 0.5, 0.42), colour=colour, shade=0.2)
    brush.flat(ellipse(0, 0.68, 0.28, 0.28), colour=pale)
    for side in (-1, 1):
        brush.fill(ellipse(side * 0.38, 0.9, 0.26, 0.13), colour=colour, shade=0.12)
    brush.fill(ellipse(0, 0.06, 0.52, 0.44), colour=colour, shade=0.16)
    brush.flat(ellipse(-0.11, 0.2, 0.16, 0.13), ellipse(0.11, 0.2, 0.16, 0.13), colour=pale)
    for side in (-1, 1):
        brush.flat(ellipse(side * 0.24, -0.02, 0.09, 0.12), colour=unlike(colour, INK, WHITE))
    brush.flat(polygon((-0.09, 0.08), (0.09, 0.08), (0, 0.19)), colour=ROSE)


def _draw_long_ears(brush: Brush, colour: RGB) -> None:
    for side in (-1, 1):
        ear = curve(
            (side * 0.08, -0.2),
            ((side * 0.0, -0.7), (side * 0.1, -1.16), (side * 0.34, -1.12)),
            ((side * 0.62, -1.08), (side * 0.54, -0.5), (side * 0.38, -0.1)),
        )
        brush.fill(ear, colour=colour, shade=0.14)
        brush.flat(
            ribbon(
                curve(
                    (side * 0.24, -0.3),
                    ((side * 0.24, -0.6), (side * 0.26, -0.8), (side * 0.33, -0.98)),
                ),
                0.16,
                0.1,
            ),
            colour=ROSE,
        )
