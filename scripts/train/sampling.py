"""Chooses scenes: what training sees in each stage, and what is kept from it for evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from .colours import COLOURS, distance
from .places import LANDSCAPES, PLACES, PLAIN, SURROUNDINGS
from .scenes import MAX_COUNT, POSITIONS, Item, Position, Scene, Size
from .styles import STYLES
from .things import KINDS, THINGS

if TYPE_CHECKING:
    import random

Stage = Literal["centred", "placed", "composed"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

_LEAST_CONTRAST: Final = 70.0
_SIDES: Final = POSITIONS[1:5]
_CORNERS: Final = POSITIONS[5:]
# What another thing can rest on.
_SEATS: Final = tuple(
    kind
    for kind in KINDS
    if kind
    in {
        "circle", "square", "mushroom", "house", "castle", "bridge", "boat", "whale", "car",
        "train", "apple", "cake", "cup", "mountain", "hill", "tree", "robot",
    }
)  # fmt: skip


def stands_out(colour: str, place: str) -> bool:
    """Whether a thing of this colour can be seen in this place."""
    if colour == place:
        return False
    return all(
        distance(COLOURS[colour], around) > _LEAST_CONTRAST for around in SURROUNDINGS[place]
    )


def is_held_out(scene: Scene) -> bool:
    """Whether this combination is kept for evaluation: about one in ten, never natural ones.

    Of several things the pair of kinds decides, of one its kind, colour and place.
    """
    if not scene.items:
        return False
    first = scene.items[0]
    if len(scene.items) > 1:
        return (KINDS.index(first.kind) * 5 + KINDS.index(scene.items[1].kind)) % 10 == 0
    thing = THINGS[first.kind]
    if first.colour in thing.natural_colours or scene.place in thing.natural_places:
        return False
    keys = KINDS.index(first.kind) * 7 + list(COLOURS).index(first.colour) * 3
    return (keys + PLACES.index(scene.place)) % 10 == 0


def sample_scene(
    rng: random.Random, stage: Stage, held_out: bool = False, style: str | None = None
) -> Scene:
    """A scene of the curriculum.

    `centred`: one large thing on a plain colour; `placed`: one thing anywhere, of any size;
    `composed`: two or three things, or several alike.
    """
    choose = _composed if stage == "composed" else _lone
    while True:
        scene = choose(rng, stage, style or _sample_style(rng, stage))
        is_visible = all(stands_out(item.colour, scene.place) for item in scene.items)
        if is_visible and is_held_out(scene) == held_out:
            return scene


def _lone(rng: random.Random, stage: Stage, style: str) -> Scene:
    kind = rng.choice(KINDS)
    place = _sample_place(rng, kind, stage)
    seed = rng.getrandbits(32)
    if stage == "placed" and place in LANDSCAPES and rng.random() < 0.03:
        return Scene((), place, style, seed=seed)
    position: Position = "centre"
    size: Size = "medium"
    if stage == "placed":
        position = _sample_position(rng)
        size = _sample_size(rng, position)
    return Scene((Item(kind, _sample_colour(rng, kind), position, size),), place, style, seed=seed)


def _composed(rng: random.Random, stage: Stage, style: str) -> Scene:
    chance = rng.random()
    if chance < 0.25:
        kind = rng.choice(KINDS)
        items = [Item(kind, _sample_colour(rng, kind), count=rng.randint(2, MAX_COUNT))]
    elif chance < 0.65:
        items = _different(rng, ("left", "right"))
    elif chance < 0.9:
        items = _different(rng, ("top", "bottom"))
    else:
        items = _different(rng, ("left", "centre", "right"))
    is_touching = False
    if items[0].position == "top" and rng.random() < 0.5:
        is_touching = True
        seat = rng.choice(_SEATS)
        items[1] = Item(seat, _sample_colour(rng, seat), "bottom")
    place = _sample_place(rng, items[0].kind, stage)
    return Scene(tuple(items), place, style, is_touching, rng.getrandbits(32))


def _different(rng: random.Random, positions: tuple[Position, ...]) -> list[Item]:
    kinds = rng.sample(KINDS, len(positions))
    return [
        Item(kind, _sample_colour(rng, kind), position)
        for kind, position in zip(kinds, positions, strict=True)
    ]


def _sample_style(rng: random.Random, stage: Stage) -> str:
    plain = 0.6 if stage == "centred" else 0.45
    return STYLES[0] if rng.random() < plain else rng.choice(STYLES[1:])


def _sample_position(rng: random.Random) -> Position:
    chance = rng.random()
    if chance < 0.6:
        return "centre"
    return rng.choice(_SIDES if chance < 0.88 else _CORNERS)


def _sample_size(rng: random.Random, position: Position) -> Size:
    chance = rng.random()
    if chance < 0.1:
        return "small"
    return "big" if chance < 0.2 and position == "centre" else "medium"


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
