"""A rectangle of the canvas seen as a grid of pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

from server.render.bounds import Box, rectangle


class PixelBox(NamedTuple):
    """Whole pixels; `x1` and `y1` are the first ones outside."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def size(self) -> tuple[int, int]:
        return self.x1 - self.x0, self.y1 - self.y0

    @property
    def is_empty(self) -> bool:
        return self.x0 >= self.x1 or self.y0 >= self.y1

    def clip(self, other: PixelBox) -> PixelBox:
        """What both cover; empty where they don't meet."""
        return PixelBox(
            max(self.x0, other.x0),
            max(self.y0, other.y0),
            min(self.x1, other.x1),
            min(self.y1, other.y1),
        )

    def join(self, other: PixelBox) -> PixelBox:
        """The smallest box around both."""
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        return PixelBox(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )

    def within(self, outer: PixelBox) -> PixelBox:
        """The same box counted from the upper left corner of `outer`."""
        x, y = outer.x0, outer.y0
        return PixelBox(self.x0 - x, self.y0 - y, self.x1 - x, self.y1 - y)


NOWHERE = PixelBox(0, 0, 0, 0)


class Viewport(NamedTuple):
    """`x, y, w, h` in canvas units, shown as `width` x `height` pixels (aspects may differ)."""

    x: float
    y: float
    w: float
    h: float
    width: int
    height: int

    @property
    def box(self) -> Box:
        return rectangle(self.x, self.y, self.w, self.h)

    @property
    def pixels(self) -> PixelBox:
        return PixelBox(0, 0, self.width, self.height)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels per canvas unit, across and down."""
        return self.width / self.w, self.height / self.h

    def around(self, box: Box) -> PixelBox:
        """The pixels that `box` can touch, within the viewport."""
        sx, sy = self.scale
        touched = PixelBox(
            math.floor((box.x0 - self.x) * sx),
            math.floor((box.y0 - self.y) * sy),
            math.ceil((box.x1 - self.x) * sx),
            math.ceil((box.y1 - self.y) * sy),
        )
        return touched.clip(self.pixels)

    def snapped(self, box: Box) -> PixelBox:
        """`box` with its edges moved to the nearest pixel edges, at least a pixel wide and high.

        Not cut off at the viewport's edges.
        """
        sx, sy = self.scale
        x0, y0 = round((box.x0 - self.x) * sx), round((box.y0 - self.y) * sy)
        x1, y1 = round((box.x1 - self.x) * sx), round((box.y1 - self.y) * sy)
        return PixelBox(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
