"""The things that the model can draw: one painter each, in unit coordinates, lit from above.

A thing fills about -1..1 in both directions, stands at y = 1 and takes one colour, which is what
people would call the thing's: a boat's hull, a house's walls. Details (windows, wheels, leaves)
keep colours of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .brush import Brush, curve, ellipse, polygon, rectangle, ribbon, star
from .colours import RGB, darken, distance, lighten, luminance

Painter = Callable[[Brush, RGB], None]

_WOOD: Final[RGB] = (122.0, 78.0, 48.0)
_LEAF: Final[RGB] = (70.0, 160.0, 76.0)
_CREAM: Final[RGB] = (250.0, 240.0, 220.0)
_INK: Final[RGB] = (34.0, 32.0, 42.0)
_GLASS: Final[RGB] = (176.0, 222.0, 246.0)
_GOLD: Final[RGB] = (252.0, 206.0, 74.0)
_ROSE: Final[RGB] = (238.0, 130.0, 140.0)
_ROOF: Final[RGB] = (196.0, 74.0, 58.0)
_SLATE: Final[RGB] = (84.0, 92.0, 120.0)


def _unlike(colour: RGB, first: RGB, second: RGB) -> RGB:
    """Whichever of two detail colours stands out better from `colour`."""
    return first if distance(colour, first) > 110.0 else second


def _trim(colour: RGB) -> RGB:
    """A tone of the same colour for stripes and spots: lighter, or darker on light colours."""
    return darken(colour, 0.16) if luminance(colour) > 215 else lighten(colour, 0.5)


def draw_circle(brush: Brush, colour: RGB) -> None:
    brush.fill(ellipse(0, 0, 0.95), colour=colour, shade=0.24)
    brush.shine(-0.3, -0.38, 0.42, 0.34)


def draw_square(brush: Brush, colour: RGB) -> None:
    brush.fill(rectangle(-0.86, -0.86, 0.86, 0.86, 0.06), colour=colour, shade=0.14)


def draw_triangle(brush: Brush, colour: RGB) -> None:
    brush.fill(polygon((0, -0.96), (1.06, 0.86), (-1.06, 0.86)), colour=colour, shade=0.16)


def draw_star(brush: Brush, colour: RGB) -> None:
    brush.fill(star(0, 0.06, 1.08, 0.46, 5), colour=colour, shade=0.2)
    brush.flat(star(0, 0.06, 0.7, 0.46, 5), colour=_trim(colour), alpha=0.3)


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


def draw_tree(brush: Brush, colour: RGB) -> None:
    trunk = polygon((-0.13, 0.2), (0.13, 0.2), (0.2, 1.0), (-0.2, 1.0))
    brush.fill(trunk, colour=_unlike(colour, _WOOD, (92.0, 56.0, 40.0)))
    brush.fill(
        ellipse(0, -0.5, 0.5),
        ellipse(-0.42, -0.1, 0.44),
        ellipse(0.42, -0.1, 0.44),
        ellipse(0, 0.04, 0.5, 0.4),
        colour=colour,
        shade=0.24,
    )
    brush.shine(-0.16, -0.56, 0.32, 0.26, 0.3)


def draw_flower(brush: Brush, colour: RGB) -> None:
    stem = ribbon(curve((0, 0), ((0.06, 0.4), (-0.04, 0.7), (0, 1.0))), 0.11)
    brush.fill(stem, colour=_LEAF)
    for side in (-1, 1):
        leaf = curve(
            (0, 0.84),
            ((side * 0.2, 0.56), (side * 0.42, 0.44), (side * 0.6, 0.46)),
            ((side * 0.5, 0.72), (side * 0.3, 0.84), (0, 0.84)),
        )
        brush.fill(leaf, colour=_LEAF)
    for i in range(6):
        turn = i * math.pi / 3 + math.pi / 6
        brush.fill(
            ellipse(math.cos(turn) * 0.42, -0.36 + math.sin(turn) * 0.42, 0.3),
            colour=colour,
            shade=0.22,
        )
    centre = _unlike(colour, _GOLD, _WOOD)
    brush.fill(ellipse(0, -0.36, 0.26), colour=centre)


def draw_mushroom(brush: Brush, colour: RGB) -> None:
    stalk = curve(
        (-0.26, 0.0),
        ((-0.22, 0.4), (-0.3, 0.8), (-0.36, 1.0)),
        ((-0.1, 1.04), (0.1, 1.04), (0.36, 1.0)),
        ((0.3, 0.8), (0.22, 0.4), (0.26, 0.0)),
    )
    brush.fill(stalk, colour=_unlike(colour, _CREAM, (226.0, 196.0, 156.0)), shade=0.12)
    cap = curve(
        (-1.02, 0.16),
        ((-1.0, -1.26), (1.0, -1.26), (1.02, 0.16)),
        ((0.6, 0.34), (-0.6, 0.34), (-1.02, 0.16)),
    )
    brush.fill(cap, colour=colour, shade=0.22)
    spots = darken(colour, 0.25) if luminance(colour) > 225 else _CREAM
    for x, y, size in ((-0.5, -0.24, 0.18), (0.06, -0.52, 0.2), (0.56, -0.14, 0.17)):
        brush.flat(ellipse(x, y, size, size * 0.9), colour=spots)


def draw_house(brush: Brush, colour: RGB) -> None:
    roof = _unlike(colour, _ROOF, _SLATE)
    brush.fill(rectangle(0.4, -0.86, 0.64, -0.3), colour=darken(roof, 0.25))
    brush.fill(rectangle(-0.8, -0.16, 0.8, 1.0), colour=colour, shade=0.14)
    brush.fill(polygon((-1.06, -0.08), (0, -0.98), (1.06, -0.08)), colour=roof, shade=0.16)
    door = _unlike(colour, _WOOD, _CREAM)
    brush.fill(rectangle(-0.19, 0.36, 0.19, 1.0, 0.05), colour=door)
    for x in (-0.52, 0.52):
        brush.flat(rectangle(x - 0.2, 0.14, x + 0.2, 0.54), colour=_CREAM)
        brush.fill(rectangle(x - 0.15, 0.19, x + 0.15, 0.49), colour=_GLASS, shade=0.2)


def draw_boat(brush: Brush, colour: RGB) -> None:
    brush.flat(rectangle(-0.07, -1.0, 0.03, 0.5), colour=_WOOD)
    canvas = _unlike(colour, _CREAM, (236.0, 208.0, 160.0))
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
        brush.flat(stripe, colour=_trim(colour), alpha=0.55)
    brush.flat(ellipse(0.62, -0.12, 0.17), colour=(255.0, 255.0, 255.0))
    brush.flat(ellipse(0.66, -0.12, 0.1), colour=_INK)


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
        brush.flat(inner, colour=_ROSE)
    brush.fill(ellipse(0, -0.18, 0.7, 0.54), colour=colour, shade=0.18)
    brush.flat(ellipse(0, 0.04, 0.26, 0.18), colour=pale)
    eyes = _unlike(colour, (150.0, 214.0, 96.0), _GOLD)
    for side in (-1, 1):
        brush.flat(ellipse(side * 0.3, -0.24, 0.16, 0.17), colour=eyes)
        brush.flat(ellipse(side * 0.3, -0.24, 0.08, 0.15), colour=_INK)
    brush.flat(polygon((-0.09, -0.06), (0.09, -0.06), (0, 0.05)), colour=_ROSE)


def draw_car(brush: Brush, colour: RGB) -> None:
    cabin = curve(
        (-0.84, 0.06),
        ((-0.7, -0.3), (-0.6, -0.54), (-0.4, -0.56)),
        ((-0.1, -0.58), (0.1, -0.58), (0.26, -0.54)),
        ((0.5, -0.46), (0.62, -0.2), (0.76, 0.06)),
    )
    brush.fill(cabin, colour=colour, shade=0.16)
    glass = _unlike(colour, _GLASS, (96.0, 130.0, 170.0))
    rear = polygon((-0.64, 0.02), (-0.48, -0.42), (-0.12, -0.44), (-0.12, 0.02))
    front = polygon((-0.02, 0.02), (-0.02, -0.44), (0.24, -0.42), (0.54, 0.02))
    brush.fill(rear, colour=glass, shade=0.15)
    brush.fill(front, colour=glass, shade=0.15)
    brush.fill(rectangle(-1.12, -0.02, 1.14, 0.52, 0.2), colour=colour, shade=0.22)
    brush.flat(ellipse(1.0, 0.16, 0.1, 0.12), colour=_GOLD)
    brush.flat(rectangle(-1.1, 0.06, -1.0, 0.22), colour=(214.0, 60.0, 56.0))
    for x in (-0.62, 0.64):
        brush.flat(ellipse(x, 0.52, 0.31), colour=_INK)
        brush.fill(ellipse(x, 0.52, 0.16), colour=(200.0, 204.0, 212.0))


def draw_apple(brush: Brush, colour: RGB) -> None:
    stalk = curve((0, -0.5), ((0.0, -0.7), (0.06, -0.86), (0.14, -1.0)))
    brush.fill(ribbon(stalk, 0.12, 0.08), colour=_WOOD)
    leaf = curve(
        (0.06, -0.68),
        ((0.2, -1.06), (0.56, -1.04), (0.74, -0.92)),
        ((0.6, -0.62), (0.3, -0.56), (0.06, -0.68)),
    )
    brush.fill(leaf, colour=_unlike(colour, _LEAF, (36.0, 110.0, 60.0)))
    body = curve(
        (0, -0.46),
        ((0.4, -0.74), (0.96, -0.6), (0.96, 0.06)),
        ((0.96, 0.6), (0.5, 1.16), (0, 0.92)),
        ((-0.5, 1.16), (-0.96, 0.6), (-0.96, 0.06)),
        ((-0.96, -0.6), (-0.4, -0.74), (0, -0.46)),
    )
    brush.fill(body, colour=colour, shade=0.24)
    brush.shine(-0.46, -0.16, 0.26, 0.32, 0.5)


def draw_balloon(brush: Brush, colour: RGB) -> None:
    for side in (-1, 1):
        rope = polygon((side * 0.3, 0.36), (side * 0.17, 0.76))
        brush.flat(ribbon(rope, 0.04), colour=_WOOD)
    brush.fill(rectangle(-0.21, 0.72, 0.21, 1.02, 0.05), colour=_WOOD)

    for width, tint in ((0.96, colour), (0.58, _trim(colour)), (0.26, colour)):
        envelope = curve(
            (-width * 0.3, 0.46),
            ((-width * 1.24, -0.06), (-width * 1.1, -1.06), (0.0, -1.06)),
            ((width * 1.1, -1.06), (width * 1.24, -0.06), (width * 0.3, 0.46)),
        )
        brush.fill(envelope, colour=tint, shade=0.2)
    brush.shine(-0.32, -0.62, 0.26, 0.26, 0.35)


@dataclass(frozen=True, slots=True)
class Thing:
    """How one kind is painted and coloured where a caption names no colour."""

    paint: Painter
    natural_colours: tuple[str, ...]
    natural_places: tuple[str, ...]
    stands: bool = False


THINGS: Final[dict[str, Thing]] = {
    "circle": Thing(draw_circle, ("red", "blue"), ("white", "yellow")),
    "square": Thing(draw_square, ("blue", "green"), ("white", "yellow")),
    "triangle": Thing(draw_triangle, ("green", "orange"), ("white", "blue")),
    "star": Thing(draw_star, ("yellow",), ("night", "blue")),
    "heart": Thing(draw_heart, ("red", "pink"), ("white", "pink")),
    "sun": Thing(draw_sun, ("yellow", "orange"), ("meadow", "blue")),
    "moon": Thing(draw_moon, ("yellow", "white"), ("night", "black")),
    "cloud": Thing(draw_cloud, ("white",), ("blue", "meadow")),
    "tree": Thing(draw_tree, ("green",), ("meadow",), stands=True),
    "flower": Thing(draw_flower, ("pink", "red"), ("meadow", "white"), stands=True),
    "mushroom": Thing(draw_mushroom, ("red", "brown"), ("meadow",), stands=True),
    "house": Thing(draw_house, ("orange", "white"), ("meadow", "snow"), stands=True),
    "boat": Thing(draw_boat, ("red", "brown"), ("sea", "sunset")),
    "fish": Thing(draw_fish, ("orange",), ("underwater",)),
    "cat": Thing(draw_cat, ("orange", "black"), ("white", "meadow"), stands=True),
    "car": Thing(draw_car, ("red", "blue"), ("desert", "white"), stands=True),
    "apple": Thing(draw_apple, ("red", "green"), ("white", "yellow"), stands=True),
    "balloon": Thing(draw_balloon, ("red", "orange"), ("meadow", "sunset")),
}
KINDS: Final[tuple[str, ...]] = tuple(THINGS)
