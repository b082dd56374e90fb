"""A scene: what a picture shows and what its caption may say.

Both the picture and the caption are made from the same `Scene`, so that a caption cannot claim
what the picture lacks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from .brush import Brush, Canvas
from .colours import COLOURS, RGB, SHADOW
from .places import draw_place
from .styles import finish, open_canvas
from .things import THINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

Position = Literal[
    "centre", "left", "right", "top", "bottom",
    "top left", "top right", "bottom left", "bottom right",
]  # fmt: skip
Size = Literal["small", "medium", "big"]

POSITIONS: Final[tuple[Position, ...]] = get_args(Position)
MAX_COUNT: Final = 4
SIZE_PX: Final = 256

# Offsets of the thing's centre as shares of width and height.
_OFFSETS: Final[dict[Position, tuple[float, float]]] = {
    "centre": (0.0, 0.0),
    "left": (-0.24, 0.0),
    "right": (0.24, 0.0),
    "top": (0.0, -0.24),
    "bottom": (0.0, 0.24),
    "top left": (-0.25, -0.25),
    "top right": (0.25, -0.25),
    "bottom left": (-0.25, 0.25),
    "bottom right": (0.25, 0.25),
}
# Half extents of things, as shares of the picture's shorter side. Whatever is not alone in the
# middle is as large as it can be: a latent's cell is 16 px, and a thing of 5 cells has no face.
_CENTRED: Final[dict[Size, float]] = {"small": 0.2, "medium": 0.33, "big": 0.43}
_ASIDE: Final[dict[Size, float]] = {"small": 0.17, "medium": 0.225, "big": 0.25}
_IN_CORNER: Final = 0.22
_STACKED: Final = 0.21
_IN_THREES: Final = 0.16
_THIRD: Final = 0.32
_ROWS: Final[dict[int, tuple[tuple[float, float], ...]]] = {
    2: ((-0.24, 0.0), (0.24, 0.0)),
    3: ((-_THIRD, 0.0), (0.0, 0.0), (_THIRD, 0.0)),
    4: ((-0.24, -0.24), (0.24, -0.24), (-0.24, 0.24), (0.24, 0.24)),
}
_ROW_EXTENTS: Final[dict[int, float]] = {2: 0.215, 3: _IN_THREES, 4: 0.195}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing, or `count` alike in a row; a row is always centred."""

    kind: str
    colour: str
    position: Position = "centre"
    size: Size = "medium"
    count: int = 1


@dataclass(frozen=True, slots=True)
class Scene:
    """Up to three things in a place. `seed` decides the details that no caption names.

    Two things stand left and right, or top and bottom (touching where one is *on* the other);
    three stand left, centre and right.
    """

    items: tuple[Item, ...]
    place: str
    style: str = "soft"
    is_touching: bool = False
    seed: int = 0

    def tags(self) -> frozenset[str]:
        """All that is true of the scene, one tag for each attribute."""
        tags = {f"place:{self.place}", f"style:{self.style}"}
        if self.is_touching:
            tags.add("touching")
        for item in self.items:
            tags |= item_tags(item)
        return frozenset(tags)


def item_tags(item: Item) -> frozenset[str]:
    """What is true of one thing, said of where it is: "left.kind:cat"."""
    tags = {f"kind:{item.kind}", f"colour:{item.colour}", f"position:{item.position}"}
    if item.size != "medium":
        tags.add(f"size:{item.size}")
    if item.count > 1:
        tags.add(f"count:{item.count}")
    return frozenset(f"{item.position}.{tag}" for tag in tags)


def single(
    kind: str,
    colour: str,
    place: str,
    position: Position = "centre",
    *,
    style: str = "soft",
    seed: int = 0,
) -> Scene:
    """A scene of one thing."""
    return Scene((Item(kind, colour, position),), place, style, seed=seed)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one thing is drawn: its centre's offset and its half extent, as shares."""

    item: Item
    right: float
    down: float
    extent: float


def layout(scene: Scene) -> list[Spot]:
    """Where everything goes, from back to front."""
    if len(scene.items) == 3:
        return [
            Spot(item, right, 0.0, _IN_THREES)
            for item, right in zip(scene.items, (-_THIRD, 0.0, _THIRD), strict=True)
        ]
    if len(scene.items) == 2 and scene.items[0].position == "top":
        return _stacked(*scene.items, is_touching=scene.is_touching)
    return [spot for item in scene.items for spot in _alone(item)]


def _alone(item: Item) -> list[Spot]:
    if item.count > 1:
        return [Spot(item, x, y, _ROW_EXTENTS[item.count]) for x, y in _ROWS[item.count]]
    right, down = _OFFSETS[item.position]
    if item.position == "centre":
        extent = _CENTRED[item.size]
    elif right and down:
        extent = min(_IN_CORNER, _ASIDE[item.size])
    else:
        extent = _ASIDE[item.size]
    return [Spot(item, right, down, extent)]


def _stacked(upper: Item, lower: Item, *, is_touching: bool) -> list[Spot]:
    if not is_touching:
        return [Spot(lower, 0.0, 0.25, _STACKED), Spot(upper, 0.0, -0.25, _STACKED)]
    top, upper_bottom = _reach(upper.kind)
    lower_top, bottom = _reach(lower.kind)
    # A little overlap, so that the upper thing rests on the lower one's roof or back.
    apart = upper_bottom - lower_top - 0.1
    # Both together stand in the middle.
    down = -(top + apart + bottom) / 2
    return [
        Spot(lower, 0.0, (down + apart) * _STACKED, _STACKED),
        Spot(upper, 0.0, down * _STACKED, _STACKED),
    ]


@cache
def _reach(kind: str) -> tuple[float, float]:
    """How far up and down a thing's paint reaches, in its own units (about -1 and 1)."""
    size_px, unit_px = 96, 32.0
    canvas = Canvas.blank(size_px, size_px)
    canvas.pixels[:] = -1000.0
    THINGS[kind].paint(Brush(canvas, size_px / 2, size_px / 2, unit_px), COLOURS["blue"])
    rows = np.nonzero((canvas.pixels > -500.0).any(axis=(1, 2)))[0]
    return (rows[0] - size_px / 2) / unit_px, (rows[-1] + 1 - size_px / 2) / unit_px


def loose_layout(scene: Scene) -> list[Spot]:
    """As `layout`, but everything is somewhere near and of another size, by the scene's seed.

    No caption says it, so only who sees the drawing knows where things are.
    """
    rng = random.Random(f"loose {scene.seed}")
    spots = layout(scene)
    # One thing has all the room there is, several must not cover one another.
    reach = 0.2 if len(spots) == 1 else 0.05
    return [_loosened(spot, reach, rng) for spot in spots]


def _loosened(spot: Spot, reach: float, rng: random.Random) -> Spot:
    extent = spot.extent * rng.uniform(0.55, 1.1)
    room = max(0.0, 0.5 - extent)
    right, down = (
        min(max(offset + rng.uniform(-reach, reach), -room), room)
        for offset in (spot.right, spot.down)
    )
    return replace(spot, right=right, down=down, extent=extent)


def draw_scene(
    scene: Scene,
    height_px: int = SIZE_PX,
    width_px: int = SIZE_PX,
    arrange: Callable[[Scene], list[Spot]] = layout,
) -> npt.NDArray[np.uint8]:
    """The picture of a scene, uint8 (height_px, width_px, 3); `arrange` says what goes where."""
    rng = random.Random(scene.seed)
    canvas = open_canvas(scene.style, height_px, width_px)
    draw_place(canvas, scene.place, rng)
    for spot in arrange(scene):
        _draw_thing(canvas, spot, rng)
    return finish(scene.style, canvas, rng)


def _draw_thing(canvas: Canvas, spot: Spot, rng: random.Random) -> None:
    height_px, width_px = canvas.pixels.shape[:2]
    extent_px = spot.extent * rng.uniform(0.94, 1.05) * min(height_px, width_px)
    x_px = width_px * (0.5 + spot.right + rng.uniform(-0.02, 0.02))
    y_px = height_px * (0.5 + spot.down + rng.uniform(-0.01, 0.01))
    brush = Brush(canvas, x_px, y_px, extent_px)
    thing = THINGS[spot.item.kind]
    if thing.stands and not spot.item.position.startswith("top"):
        _, bottom = _reach(spot.item.kind)
        brush.soft(0.0, bottom - 0.02, 1.05, 0.16, SHADOW, 0.45)
    canvas.begin_thing()
    thing.paint(brush, _jitter(COLOURS[spot.item.colour], rng))


def _jitter(colour: RGB, rng: random.Random, amount: float = 8.0) -> RGB:
    shift = rng.uniform(-amount, amount)
    red, green, blue = (c + shift + rng.uniform(-amount / 2, amount / 2) for c in colour)
    return red, green, blue
