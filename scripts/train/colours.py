"""The palette: every colour that a scene may have, as RGB triples of floats in 0..255."""

from __future__ import annotations

from typing import Final

RGB = tuple[float, float, float]

WHITE: Final[RGB] = (255.0, 255.0, 255.0)
# Shadows lean towards a deep violet: mixing with black makes vector pictures look dirty.
SHADOW: Final[RGB] = (26.0, 18.0, 48.0)

COLOURS: Final[dict[str, RGB]] = {
    "red": (222.0, 46.0, 52.0),
    "orange": (246.0, 138.0, 36.0),
    "yellow": (251.0, 210.0, 60.0),
    "green": (64.0, 168.0, 82.0),
    "blue": (46.0, 108.0, 216.0),
    "purple": (136.0, 72.0, 190.0),
    "pink": (246.0, 138.0, 184.0),
    "brown": (142.0, 92.0, 56.0),
    "black": (44.0, 44.0, 54.0),
    "white": (248.0, 247.0, 244.0),
    "grey": (142.0, 146.0, 154.0),
    "turquoise": (48.0, 190.0, 186.0),
}


def mix(first: RGB, second: RGB, amount: float) -> RGB:
    """`first` moved towards `second` by `amount` in 0..1."""
    return (
        first[0] + (second[0] - first[0]) * amount,
        first[1] + (second[1] - first[1]) * amount,
        first[2] + (second[2] - first[2]) * amount,
    )


def lighten(colour: RGB, amount: float) -> RGB:
    return mix(colour, WHITE, amount)


def darken(colour: RGB, amount: float) -> RGB:
    return mix(colour, SHADOW, amount)


def distance(first: RGB, second: RGB) -> float:
    """Euclidean distance in RGB, 0 to about 441."""
    return sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5


def luminance(colour: RGB) -> float:
    """Rec. 601 luma in 0..255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
