"""The colours of details, which stay the same whatever a thing's own colour is."""

from __future__ import annotations

from typing import Final

from ..colours import RGB, darken, distance, lighten, luminance

WOOD: Final[RGB] = (122.0, 78.0, 48.0)
LEAF: Final[RGB] = (70.0, 160.0, 76.0)
CREAM: Final[RGB] = (250.0, 240.0, 220.0)
INK: Final[RGB] = (34.0, 32.0, 42.0)
GLASS: Final[RGB] = (176.0, 222.0, 246.0)
GOLD: Final[RGB] = (252.0, 206.0, 74.0)
ROSE: Final[RGB] = (238.0, 130.0, 140.0)
ROOF: Final[RGB] = (196.0, 74.0, 58.0)
SLATE: Final[RGB] = (84.0, 92.0, 120.0)
STEEL: Final[RGB] = (200.0, 204.0, 212.0)
FLAME: Final[RGB] = (250.0, 134.0, 44.0)
WATER: Final[RGB] = (108.0, 188.0, 236.0)
SKIN: Final[RGB] = (238.0, 188.0, 150.0)
HAIR: Final[RGB] = (96.0, 60.0, 42.0)


def unlike(colour: RGB, first: RGB, second: RGB) -> RGB:
    """Whichever of two detail colours stands out better from `colour`."""
    return first if distance(colour, first) > 110.0 else second


def trim(colour: RGB) -> RGB:
    """A tone of the same colour for stripes and spots: lighter, or darker on light colours."""
    return darken(colour, 0.16) if luminance(colour) > 215 else lighten(colour, 0.5)
