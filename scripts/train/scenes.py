"""A scene: what a picture shows and what its caption may say, and how scenes are chosen.

Both the picture and the caption are made from the same `Scene`, so that a caption cannot claim
what the picture lacks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from .brush import Brush, Canvas
from .colours import COLOURS, RGB, SHADOW, distance
from .places import LANDSCAPES, PLACES, PLAIN, SURROUNDINGS, draw_place
from .things import KINDS, THINGS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Position = Literal["centre", "left", "right", "top", "bottom"]
Stage = Literal["centred", "placed"]

POSITIONS: Final[tuple[Position, ...]] = ("centre", "left", "right", "top", "bottom")
SIZE_PX: Final = 256

# Centre and half extent of the thing, as shares of the picture's shorter side.
_OFFSETS: Final[dict[Position, tuple[float, float]]] = {
    "centre": (0.0, 0.0),
    "left": (-0.2, 0.0),
    "right": (0.2, 0.0),
    "top": (0.0, -0.2),
    "bottom": (0.0, 0.2),
}
_CENTRED_EXTENT: Final = 0.34
_OFFSET_EXTENT: Final = 0.23
_LEAST_CONTRAST: Final = 75.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing somewhere. `seed` decides the details that no caption names."""

    kind: str
    colour: str
    place: str
    position: Position
    seed: int = 0

    def tags(self) -> frozenset[str]:
        """All that is true of the scene, one tag for each attribute."""
        return frozenset(
            (
                f"kind:{self.kind}",
                f"colour:{self.colour}",
                f"place:{self.place}",
                f"position:{self.position}",
            )
        )


def stands_out(colour: str, place: str) -> bool:
    """Whether a thing of this colour can be seen in this place."""
    if colour == place:
        return False
    return all(
        distance(COLOURS[colour], around) > _LEAST_CONTRAST for around in SURROUNDINGS[place]
    )


def is_held_out(kind: str, colour: str, place: str) -> bool:
    """Whether this combination is kept for evaluation: about one in ten, never natural ones."""
    thing = THINGS[kind]
    if colour in thing.natural_colours or place in thing.natural_places:
        return False
    keys = KINDS.index(kind) * 7 + list(COLOURS).index(colour) * 3 + PLACES.index(place)
    return keys % 10 == 0


def draw_scene(
    scene: Scene, height_px: int = SIZE_PX, width_px: int = SIZE_PX
) -> npt.NDArray[np.uint8]:
    """The picture of a scene, uint8 (height_px, width_px, 3)."""
    rng = random.Random(scene.seed)
    canvas = Canvas.blank(height_px, width_px)
    draw_place(canvas, scene.place, rng)
    shorter = min(height_px, width_px)
    extent = _CENTRED_EXTENT if scene.position == "centre" else _OFFSET_EXTENT
    extent *= rng.uniform(0.92, 1.05)
    right, down = _OFFSETS[scene.position]
    x_px = width_px * (0.5 + right + rng.uniform(-0.02, 0.02))
    y_px = height_px * (0.5 + down + rng.uniform(-0.02, 0.02))
    brush = Brush(canvas, x_px, y_px, extent * shorter)
    thing = THINGS[scene.kind]
    if thing.stands and scene.position != "top":
        brush.soft(0.0, 0.99 if scene.kind != "car" else 0.82, 1.05, 0.16, SHADOW, 0.45)
    thing.paint(brush, _jitter(COLOURS[scene.colour], rng))
    return canvas.image()


def _jitter(colour: RGB, rng: random.Random, amount: float = 8.0) -> RGB:
    shift = rng.uniform(-amount, amount)
    red, green, blue = (c + shift + rng.uniform(-amount / 2, amount / 2) for c in colour)
    return red, green, blue


def sample_scene(rng: random.Random, stage: Stage, held_out: bool = False) -> Scene:
    """A scene of the curriculum: `centred` on plain colours, `placed` anywhere."""
    while True:
        kind = rng.choice(KINDS)
        colour, place = _sample_colour(rng, kind), _sample_place(rng, kind, stage)
        if stands_out(colour, place) and is_held_out(kind, colour, place) == held_out:
            break
    position: Position = "centre"
    if stage == "placed" and rng.random() < 0.4:
        position = rng.choice(POSITIONS[1:])
    return Scene(kind, colour, place, position, rng.getrandbits(32))


def _sample_colour(rng: random.Random, kind: str) -> str:
    if rng.random() < 0.25:
        return rng.choice(THINGS[kind].natural_colours)
    return rng.choice(tuple(COLOURS))


def _sample_place(rng: random.Random, kind: str, stage: Stage) -> str:
    if stage == "centred" or rng.random() < 0.3:
        return rng.choice(PLAIN)
    if rng.random() < 0.2:
        return rng.choice(THINGS[kind].natural_places)
    return rng.choice(tuple(LANDSCAPES))
