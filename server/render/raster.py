"""Outlines to coverage: how much of each pixel lies inside a stroke.

The polygon is filled by aggdraw (the Anti-Grain Geometry rasteriser, MIT-style licence):
antialiased, by the non-zero rule, as a browser's canvas fills it. Pillow's own polygons are
even-odd, which leaves holes where a stroke crosses itself, and aren't antialiased; simplifying
the outline first (skia-pathops) is slower than filling it. aggdraw widens a polygon by half a
pixel unless a pen is given: a pen of no width gives the true shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import TYPE_CHECKING

import aggdraw
from PIL import Image

if TYPE_CHECKING:
    from server.render.viewport import PixelBox, Viewport

Coordinates = Sequence[float]
"""x and y by turns."""

_SUBPIXELS = 256
"""AGG's own grid. Snapping to it here, rather than letting AGG cut decimals off, makes a
shape's pixels independent of where the window lies."""
_FAR_PX = 1_000_000.0
"""AGG counts subpixels in 32 bits; what is farther away than this is only ever an edge."""
_HAIRLINE = aggdraw.Pen(255, 0)
_FULL = aggdraw.Brush(255)


def coverage(
    outline: Coordinates, offset: tuple[float, float], view: Viewport, window: PixelBox
) -> Image.Image:
    """Fill `outline`, moved by `offset` (canvas units), as an L image of the size of `window`.

    The same outline must always come with the same window in one viewport: AGG rounds where an
    edge leaves the window, so another window would change pixels along that edge.
    """
    flat = [0.0] * len(outline)
    flat[0::2] = _pixels(outline[0::2], offset[0] - view.x, view.scale[0], window.x0)
    flat[1::2] = _pixels(outline[1::2], offset[1] - view.y, view.scale[1], window.y0)
    surface = aggdraw.Draw("L", window.size, 0)
    surface.polygon(flat, _HAIRLINE, _FULL)
    return Image.frombytes("L", window.size, surface.tobytes())


def _pixels(units: Coordinates, offset: float, scale: float, start_px: int) -> list[float]:
    fine = scale * _SUBPIXELS
    snapped = [floor((unit + offset) * fine + 0.5) / _SUBPIXELS - start_px for unit in units]
    if min(snapped) < -_FAR_PX or max(snapped) > _FAR_PX:
        return [min(max(pixel, -_FAR_PX), _FAR_PX) for pixel in snapped]
    return snapped
