"""Outlines to coverage: how much of each pixel lies inside a stroke.

The outline's curve is flattened at the scale it is drawn at (curve.py), and the polygon is filled
by aggdraw (the Anti-Grain Geometry rasteriser, MIT-style licence): antialiased, by the non-zero
rule, as a browser's canvas fills it. Pillow's own polygons are even-odd, which leaves holes where
a stroke crosses itself, and aren't antialiased; simplifying the outline first (skia-pathops) is
slower than filling it. aggdraw widens a polygon by half a pixel unless a pen is given: a pen of
no width gives the true shape. It adds up what each lap of an outline covers of a pixel, so an edge
that is followed twice, as around the end cap, comes out harder than in a browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aggdraw
import numpy as np
from PIL import Image

from server.render.curve import flatten

if TYPE_CHECKING:
    from server.render.curve import Plane
    from server.render.viewport import PixelBox, Viewport

_SUBPIXELS = 256
"""AGG's own grid. Snapping to it here, rather than letting AGG cut decimals off, makes a
shape's pixels independent of where the window lies."""
_FAR_PX = 1_000_000.0
"""AGG counts subpixels in 32 bits; what is farther away than this is only ever an edge."""
_HAIRLINE = aggdraw.Pen(255, 0)
_FULL = aggdraw.Brush(255)


def coverage(
    outline: Plane, offset: tuple[float, float], view: Viewport, window: PixelBox
) -> Image.Image:
    """Fill the curve of `outline`, moved by `offset` (canvas units), as an L image of the size of
    `window`.

    The same outline must always come with the same window in one viewport: AGG rounds where an
    edge leaves the window, so another window would change pixels along that edge.
    """
    curve = flatten(_pixels(outline, offset, view)).view(np.float64)
    snapped = np.floor(curve * _SUBPIXELS + 0.5) / _SUBPIXELS
    snapped[0::2] -= window.x0
    snapped[1::2] -= window.y0
    surface = aggdraw.Draw("L", window.size, 0)
    surface.polygon(snapped.clip(-_FAR_PX, _FAR_PX).tolist(), _HAIRLINE, _FULL)
    return Image.frombytes("L", window.size, surface.tobytes())


def _pixels(outline: Plane, offset: tuple[float, float], view: Viewport) -> Plane:
    """Canvas units to pixels of the viewport."""
    across, down = view.scale
    moved = outline + complex(offset[0] - view.x, offset[1] - view.y)
    return moved.real * across + 1j * (moved.imag * down)
