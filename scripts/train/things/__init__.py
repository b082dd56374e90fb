"""The things that the model can draw: one painter each, in unit coordinates, lit from above.

A thing fills about -1..1 in both directions, stands at y = 1 and takes one colour, which is what
people would call the thing's: a boat's hull, a house's walls. Details (windows, wheels, leaves)
keep colours of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..brush import Brush
from ..colours import RGB
from . import animals, buildings, figures, land, objects, plants, shapes, sky, vehicles

Painter = Callable[[Brush, RGB], None]


@dataclass(frozen=True, slots=True)
class Thing:
    """How one kind is painted and coloured where a caption names no colour."""

    paint: Painter
    natural_colours: tuple[str, ...]
    natural_places: tuple[str, ...]
    stands: bool = False


THINGS: Final[dict[str, Thing]] = {
    "circle": Thing(shapes.draw_circle, ("red", "blue"), ("white", "yellow")),
    "square": Thing(shapes.draw_square, ("blue", "green"), ("white", "yellow")),
    "triangle": Thing(shapes.draw_triangle, ("green", "orange"), ("white", "blue")),
    "diamond": Thing(shapes.draw_diamond, ("turquoise", "purple"), ("white", "pink")),
    "star": Thing(shapes.draw_star, ("yellow",), ("night", "blue")),
    "heart": Thing(shapes.draw_heart, ("red", "pink"), ("white", "pink")),
    "sun": Thing(sky.draw_sun, ("yellow", "orange"), ("meadow", "blue")),
    "moon": Thing(sky.draw_moon, ("yellow", "white"), ("night", "black")),
    "cloud": Thing(sky.draw_cloud, ("white",), ("blue", "meadow")),
    "rainbow": Thing(sky.draw_rainbow, ("red",), ("meadow", "blue", "white")),
    "mountain": Thing(land.draw_mountain, ("grey", "blue"), ("meadow", "snow"), stands=True),
    "hill": Thing(land.draw_hill, ("green",), ("blue", "meadow"), stands=True),
    "tree": Thing(plants.draw_tree, ("green",), ("meadow",), stands=True),
    "pine": Thing(plants.draw_pine, ("green",), ("snow", "meadow"), stands=True),
    "flower": Thing(plants.draw_flower, ("pink", "red"), ("meadow", "white"), stands=True),
    "mushroom": Thing(plants.draw_mushroom, ("red", "brown"), ("meadow",), stands=True),
    "apple": Thing(plants.draw_apple, ("red", "green"), ("white", "yellow"), stands=True),
    "house": Thing(
        buildings.draw_house, ("orange", "white"), ("meadow", "snow", "street"), stands=True
    ),
    "castle": Thing(buildings.draw_castle, ("grey", "pink"), ("meadow", "sunset"), stands=True),
    "bridge": Thing(buildings.draw_bridge, ("grey", "brown"), ("sea", "meadow"), stands=True),
    "lighthouse": Thing(buildings.draw_lighthouse, ("red",), ("sea", "night"), stands=True),
    "fish": Thing(animals.draw_fish, ("orange",), ("underwater",)),
    "whale": Thing(animals.draw_whale, ("blue", "grey"), ("sea", "underwater")),
    "bird": Thing(animals.draw_bird, ("blue", "red"), ("meadow", "snow"), stands=True),
    "butterfly": Thing(animals.draw_butterfly, ("orange", "purple"), ("meadow", "pink")),
    "cat": Thing(animals.draw_cat, ("orange", "black"), ("white", "meadow"), stands=True),
    "dog": Thing(animals.draw_dog, ("brown", "white"), ("meadow", "street"), stands=True),
    "rabbit": Thing(animals.draw_rabbit, ("white", "grey"), ("meadow", "pink"), stands=True),
    "person": Thing(figures.draw_person, ("red", "blue"), ("street", "meadow"), stands=True),
    "robot": Thing(figures.draw_robot, ("grey", "turquoise"), ("white", "street"), stands=True),
    "boat": Thing(vehicles.draw_boat, ("red", "brown"), ("sea", "sunset")),
    "car": Thing(vehicles.draw_car, ("red", "blue"), ("street", "desert", "white"), stands=True),
    "train": Thing(vehicles.draw_train, ("red", "green"), ("meadow", "desert"), stands=True),
    "rocket": Thing(vehicles.draw_rocket, ("white", "red"), ("night", "blue")),
    "balloon": Thing(vehicles.draw_balloon, ("red", "orange"), ("meadow", "sunset")),
    "kite": Thing(objects.draw_kite, ("red", "yellow"), ("meadow", "blue")),
    "cake": Thing(objects.draw_cake, ("pink", "brown"), ("white", "yellow"), stands=True),
    "cup": Thing(objects.draw_cup, ("blue", "red"), ("white", "pink"), stands=True),
    "umbrella": Thing(objects.draw_umbrella, ("red", "purple"), ("street", "white"), stands=True),
}
KINDS: Final[tuple[str, ...]] = tuple(THINGS)
