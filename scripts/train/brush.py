"""A canvas of floats and a brush that fills antialiased outlines in the canvas's technique.

Outlines are arrays of points, float64 (num_points, 2), x to the right and y down. A brush maps
unit coordinates (-1..1 is about the extent of one thing) to pixels. Knows nothing of scenes, and
of styles only what a technique says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aggdraw
import numpy as np
import numpy.typing as npt

from .colours import RGB, darken, lighten, mix

Outline = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Point = tuple[float, float]
Tone = Callable[[RGB], RGB]

_CURVE_STEPS: Final = 14
_ELLIPSE_STEPS: Final = 40
# The light comes from above and slightly from the left.
_LIGHT_DOWN: Final = 0.78
_LIGHT_RIGHT: Final = 0.22
# What is fainter than this is a sheen or a beam: no pen would go round it.
_LINED_ALPHA: Final = 0.8
# A line is at most this share of its shape's extent, or it would smother eyes and stars.
_LINE_SHARE: Final = 0.09


def ellipse(x: float, y: float, rx: float, ry: float | None = None) -> Outline:
    """An ellipse about (x, y); a circle where `ry` is left out."""
    turns = np.linspace(0.0, 2.0 * math.pi, _ELLIPSE_STEPS, endpoint=False)
    ry = rx if ry is None else ry
    return np.stack([x + rx * np.cos(turns), y + ry * np.sin(turns)], axis=1)


def polygon(*points: Point) -> Outline:
    return np.asarray(points, dtype=np.float64)


def rectangle(x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Outline:
    """A rectangle whose corners are rounded by `radius`."""
    if not radius:
        return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    quarter = np.linspace(0.0, math.pi / 2.0, 7)
    corners = [
        (x1 - radius, y1 - radius, 0.0),
        (x0 + radius, y1 - radius, math.pi / 2.0),
        (x0 + radius, y0 + radius, math.pi),
        (x1 - radius, y0 + radius, 1.5 * math.pi),
    ]
    arcs = [
        np.stack([x + radius * np.cos(turn + quarter), y + radius * np.sin(turn + quarter)], 1)
        for x, y, turn in corners
    ]
    return np.concatenate(arcs)


def curve(start: Point, *segments: tuple[Point, Point, Point]) -> Outline:
    """Cubic Bezier segments, each (first control, second control, end), joined end to end."""
    steps = np.linspace(0.0, 1.0, _CURVE_STEPS)[:, None]
    outline = []
    origin = np.asarray(start, dtype=np.float64)
    for first, second, end in segments:
        a, b, c = np.asarray(first), np.asarray(second), np.asarray(end, dtype=np.float64)
        rest = 1.0 - steps
        outline.append(
            rest**3 * origin + 3 * rest**2 * steps * a + 3 * rest * steps**2 * b + steps**3 * c
        )
        origin = c
    return np.concatenate(outline)


def ribbon(path: Outline, width: float, end_width: float | None = None) -> Outline:
    """The outline of a line along `path`, as wide as `width`, tapering to `end_width`."""
    ends = width if end_width is None else end_width
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    half = np.linspace(width / 2.0, ends / 2.0, len(path))[:, None]
    return np.concatenate([path + normal * half, (path - normal * half)[::-1]])


def star(
    x: float, y: float, radius: float, inner: float, num_points: int, turn: float = -math.pi / 2
) -> Outline:
    """A star of `num_points` spikes; `inner` is the inner radius as a share of `radius`."""
    turns = turn + np.arange(2 * num_points) * math.pi / num_points
    radii = radius * np.where(np.arange(2 * num_points) % 2 == 0, 1.0, inner)
    return np.stack([x + radii * np.cos(turns), y + radii * np.sin(turns)], axis=1)


def _as_asked(colour: RGB) -> RGB:
    return colour


@dataclass(frozen=True, slots=True)
class Palette:
    """What becomes of a colour that a painter asks for, in a shape's field and in its line.

    `line_px`: the line's width in a picture whose shorter side is 256 px; 0 is no line.
    """

    field: Tone = _as_asked
    line: Tone = _as_asked
    line_px: float = 0.0


@dataclass(frozen=True, slots=True)
class Technique:
    """How a canvas takes paint.

    `shaded`: with gradients, shines and soft shadows. Places and things have a palette each.
    """

    shaded: bool = True
    place: Palette = Palette()
    thing: Palette = Palette()


@dataclass(slots=True)
class Canvas:
    """RGB pixels, float32 (height, width, 3) in 0..255, painted from the back to the front."""

    pixels: Pixels
    technique: Technique = Technique()
    # One for each thing begun, float32 (height, width) in 0..1: how much it covers of each pixel.
    silhouettes: list[Pixels] = field(default_factory=list)

    @classmethod
    def blank(cls, height_px: int, width_px: int, technique: Technique = Technique()) -> Canvas:
        return cls(np.zeros((height_px, width_px, 3), dtype=np.float32), technique)

    def begin_thing(self) -> None:
        """What is painted from here on is one thing, until the next begins; before it, a place."""
        self.silhouettes.append(np.zeros(self.pixels.shape[:2], dtype=np.float32))

    def image(self) -> npt.NDArray[np.uint8]:
        return np.clip(self.pixels + 0.5, 0, 255).astype(np.uint8)

    def sky(self, *stops: RGB) -> None:
        """Covers everything with a vertical gradient through `stops`, evenly spaced.

        Where the technique has no gradients: a band for each stop, or one colour for two stops.
        """
        height = self.pixels.shape[0]
        at = np.linspace(0.0, len(stops) - 1.0, height)
        if not self.technique.shaded:
            stops = stops if len(stops) > 2 else stops[:1]
            at = np.floor(np.linspace(0.0, len(stops) - 1e-6, height))
        table = np.asarray([self._palette.field(stop) for stop in stops], dtype=np.float64)
        ramp = np.stack([np.interp(at, np.arange(len(stops)), table[:, i]) for i in range(3)], 1)
        self.pixels[:] = ramp[:, None, :].astype(np.float32)

    def glow(self, x_px: float, y_px: float, radius_px: float, colour: RGB, alpha: float) -> None:
        """Blends a soft round light (or a shadow) into the pixels."""
        self.soft_ellipse(x_px, y_px, radius_px, radius_px, colour, alpha)

    def soft_ellipse(
        self, x_px: float, y_px: float, rx_px: float, ry_px: float, colour: RGB, alpha: float
    ) -> None:
        if not self.technique.shaded:
            return
        colour = self._palette.field(colour)
        height, width = self.pixels.shape[:2]
        x0, x1 = max(0, int(x_px - rx_px)), min(width, int(x_px + rx_px) + 1)
        y0, y1 = max(0, int(y_px - ry_px)), min(height, int(y_px + ry_px) + 1)
        if x0 >= x1 or y0 >= y1:
            return
        ys = ((np.arange(y0, y1) - y_px) / ry_px)[:, None]
        xs = ((np.arange(x0, x1) - x_px) / rx_px)[None, :]
        weight = np.clip(1.0 - (xs * xs + ys * ys), 0.0, 1.0).astype(np.float32)
        self._blend(y0, y1, x0, x1, alpha * weight[..., None], np.asarray(colour, np.float32))

    def fill(self, outlines: list[Outline], light: RGB, dark: RGB, alpha: float = 1.0) -> None:
        """Fills the union of `outlines` (pixels) with a gradient from `light` to `dark`."""
        middle = mix(light, dark, 0.5)
        if not self.technique.shaded:
            light = dark = middle
        palette = self._palette
        if palette.line_px and alpha >= _LINED_ALPHA:
            line = palette.line(middle)
            self._lay(outlines, line, line, alpha, self._line_px(outlines))
        self._lay(outlines, palette.field(light), palette.field(dark), alpha, 0.0)

    @property
    def _palette(self) -> Palette:
        return self.technique.thing if self.silhouettes else self.technique.place

    def _line_px(self, outlines: list[Outline]) -> float:
        extent_px = float(np.ptp(np.concatenate(outlines), axis=0).max())
        line_px = self._palette.line_px * min(self.pixels.shape[:2]) / 256
        return max(1.0, min(line_px, _LINE_SHARE * extent_px))

    def _lay(
        self, outlines: list[Outline], light: RGB, dark: RGB, alpha: float, margin_px: float
    ) -> None:
        """Lays paint over the union of `outlines` and `margin_px` around it."""
        points = np.concatenate(outlines)
        height, width = self.pixels.shape[:2]
        reach = 1 + math.ceil(margin_px)
        x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - reach, 0)
        x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + reach + 1, (width, height))
        if x0 >= x1 or y0 >= y1:
            return
        mask = _coverage(outlines, int(x0), int(y0), int(x1 - x0), int(y1 - y0), margin_px)
        near, far = np.asarray(light, np.float32), np.asarray(dark, np.float32)
        colour = near
        if light != dark:
            ys = np.linspace(0.0, _LIGHT_DOWN, y1 - y0, dtype=np.float32)[:, None]
            xs = np.linspace(0.0, _LIGHT_RIGHT, x1 - x0, dtype=np.float32)[None, :]
            colour = near + (ys + xs)[..., None] * (far - near)
        self._blend(y0, y1, x0, x1, alpha * mask[..., None], colour)

    def _blend(self, y0: int, y1: int, x0: int, x1: int, weight: Pixels, colour: Pixels) -> None:
        region = self.pixels[y0:y1, x0:x1]
        region += weight * (colour - region)
        if self.silhouettes:
            covered = self.silhouettes[-1][y0:y1, x0:x1]
            np.maximum(covered, weight[..., 0], out=covered)


def _coverage(
    outlines: list[Outline], x0: int, y0: int, width: int, height: int, margin_px: float
) -> Pixels:
    """How much of each pixel the outlines and their margin cover, float32 in 0..1."""
    draw = aggdraw.Draw("L", (width, height), 0)
    draw.setantialias(True)
    brush = aggdraw.Brush(255)
    pen = aggdraw.Pen(255, 2.0 * margin_px) if margin_px else None
    origin = np.asarray((x0, y0), dtype=np.float64)
    for outline in outlines:
        draw.polygon((outline - origin).ravel().tolist(), pen, brush)
    mask = np.frombuffer(draw.tobytes(), dtype=np.uint8).reshape(height, width)
    return mask.astype(np.float32) / 255.0


@dataclass(frozen=True, slots=True)
class Brush:
    """Draws one thing: unit coordinates about (x_px, y_px), one unit is `unit_px` pixels."""

    canvas: Canvas
    x_px: float
    y_px: float
    unit_px: float

    def fill(self, *outlines: Outline, colour: RGB, shade: float = 0.2, alpha: float = 1.0) -> None:
        """Fills the union of `outlines`, lit from above: `shade` is the gradient's depth."""
        placed = [self._place(outline) for outline in outlines]
        # Mixed light and dark, a flat colour would be duller than the one asked for.
        shade = shade if self.canvas.technique.shaded else 0.0
        self.canvas.fill(placed, lighten(colour, shade), darken(colour, shade), alpha)

    def flat(self, *outlines: Outline, colour: RGB, alpha: float = 1.0) -> None:
        self.fill(*outlines, colour=colour, shade=0.0, alpha=alpha)

    def shine(self, x: float, y: float, rx: float, ry: float, alpha: float = 0.45) -> None:
        """A soft highlight."""
        self.soft(x, y, rx, ry, (255.0, 255.0, 255.0), alpha)

    def soft(self, x: float, y: float, rx: float, ry: float, colour: RGB, alpha: float) -> None:
        unit = self.unit_px
        self.canvas.soft_ellipse(
            self.x_px + x * unit, self.y_px + y * unit, rx * unit, ry * unit, colour, alpha
        )

    def _place(self, outline: Outline) -> Outline:
        placed: Outline = outline * self.unit_px + (self.x_px, self.y_px)
        return placed
