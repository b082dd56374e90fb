"""What is behind a thing: a plain soft colour or one of a few simple landscapes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final

import numpy as np

from .brush import Canvas, ellipse, polygon, rectangle
from .colours import COLOURS, RGB, darken, lighten

Painter = Callable[[Canvas, random.Random], None]

PLAIN: Final[tuple[str, ...]] = (
    "white", "black", "red", "orange", "yellow", "green", "blue", "purple", "pink",
)  # fmt: skip
# A plain background is softer than a thing of the same colour, so that both stay apart.
_SOFTENED: Final[dict[str, float]] = {"white": 0.2, "black": 0.0, "red": 0.1}
_HORIZON: Final = 0.68
# Pale and alike, so that a thing in front of the houses stays clear.
_FACADES: Final[tuple[RGB, ...]] = (
    (216.0, 204.0, 184.0),
    (196.0, 206.0, 210.0),
    (192.0, 206.0, 186.0),
    (214.0, 198.0, 192.0),
)
_WINDOW: Final[RGB] = (154.0, 170.0, 188.0)


def plain_colour(name: str) -> RGB:
    return lighten(COLOURS[name], _SOFTENED.get(name, 0.28))


def _draw_plain(canvas: Canvas, name: str) -> None:
    colour = plain_colour(name)
    height, width = canvas.pixels.shape[:2]
    canvas.sky(colour, darken(colour, 0.08))
    canvas.glow(width / 2, height * 0.45, max(width, height) * 0.7, lighten(colour, 0.25), 0.4)


def _hills(canvas: Canvas, rng: random.Random, top: float, swing: float, colour: RGB) -> None:
    """One layer of hills from `top` (share of the height) down to the lower edge."""
    height, width = canvas.pixels.shape[:2]
    phase, waves = rng.uniform(0, 2 * math.pi), rng.uniform(0.8, 1.3)
    xs = np.linspace(-2.0, width + 2.0, 33)
    ys = height * (top + swing * np.sin(phase + xs / width * waves * 2 * math.pi))
    ridge = np.stack([xs, ys], axis=1)
    corners = polygon((width + 2.0, height + 2.0), (-2.0, height + 2.0))
    canvas.fill([np.concatenate([ridge, corners])], lighten(colour, 0.12), darken(colour, 0.14))


def _dots(
    canvas: Canvas, rng: random.Random, count: int, bottom: float, size_px: float, alpha: float
) -> None:
    """White dots (stars, snowflakes, bubbles) above `bottom` (share of the height)."""
    height, width = canvas.pixels.shape[:2]
    for _ in range(count):
        radius = size_px * rng.uniform(0.7, 1.2) * height / 256
        spot = ellipse(rng.uniform(0, width), rng.uniform(0, height * bottom), radius)
        canvas.fill([spot], (255.0, 255.0, 255.0), (255.0, 255.0, 255.0), alpha)


def draw_meadow(canvas: Canvas, rng: random.Random) -> None:
    canvas.sky((108.0, 184.0, 242.0), (166.0, 216.0, 250.0), (226.0, 242.0, 252.0))
    _hills(canvas, rng, _HORIZON - 0.04, 0.025, (132.0, 196.0, 110.0))
    _hills(canvas, rng, _HORIZON + 0.08, 0.02, (96.0, 178.0, 84.0))


def draw_sunset(canvas: Canvas, rng: random.Random) -> None:
    height, width = canvas.pixels.shape[:2]
    canvas.sky(
        (96.0, 62.0, 140.0), (214.0, 96.0, 120.0), (252.0, 164.0, 92.0), (255.0, 214.0, 130.0)
    )
    canvas.glow(width / 2, height * _HORIZON, width * 0.5, (255.0, 236.0, 170.0), 0.6)
    _hills(canvas, rng, _HORIZON, 0.02, (150.0, 74.0, 104.0))
    _hills(canvas, rng, _HORIZON + 0.12, 0.02, (92.0, 50.0, 92.0))


def draw_night(canvas: Canvas, rng: random.Random) -> None:
    canvas.sky((14.0, 18.0, 52.0), (30.0, 42.0, 98.0), (62.0, 76.0, 146.0))
    _dots(canvas, rng, 16, _HORIZON - 0.08, 2.0, 0.9)
    _hills(canvas, rng, _HORIZON + 0.02, 0.025, (32.0, 48.0, 92.0))
    _hills(canvas, rng, _HORIZON + 0.13, 0.02, (20.0, 32.0, 66.0))


def draw_sea(canvas: Canvas, rng: random.Random) -> None:
    height, width = canvas.pixels.shape[:2]
    canvas.sky((150.0, 206.0, 246.0), (212.0, 234.0, 250.0), (236.0, 244.0, 250.0))
    line = height * (_HORIZON - 0.08)
    water = polygon((-2, line), (width + 2, line), (width + 2, height + 2), (-2, height + 2))
    canvas.fill([water], (74.0, 164.0, 222.0), (18.0, 82.0, 160.0))
    for i in range(5):
        y, x = line + height * (0.05 + 0.075 * i), width * rng.uniform(0.0, 0.9)
        wave = ellipse(x, y, width * rng.uniform(0.1, 0.16), height * 0.007)
        canvas.fill([wave], (226.0, 244.0, 252.0), (226.0, 244.0, 252.0), 0.6)


def draw_underwater(canvas: Canvas, rng: random.Random) -> None:
    height, width = canvas.pixels.shape[:2]
    canvas.sky((110.0, 216.0, 226.0), (40.0, 152.0, 196.0), (16.0, 88.0, 150.0))
    for i in range(3):
        x = width * (0.12 + 0.34 * i + rng.uniform(-0.05, 0.05))
        slope = width * 0.14
        beam = polygon(
            (x, -2), (x + width * 0.1, -2), (x - slope + width * 0.16, height), (x - slope, height)
        )
        canvas.fill([beam], (255.0, 255.0, 255.0), (16.0, 88.0, 150.0), 0.16)
    _hills(canvas, rng, 0.88, 0.02, (214.0, 196.0, 142.0))
    _dots(canvas, rng, 7, 0.8, 3.0, 0.4)


def draw_snow(canvas: Canvas, rng: random.Random) -> None:
    canvas.sky((146.0, 176.0, 212.0), (188.0, 208.0, 232.0), (214.0, 226.0, 240.0))
    _hills(canvas, rng, _HORIZON - 0.04, 0.025, (222.0, 232.0, 244.0))
    _hills(canvas, rng, _HORIZON + 0.08, 0.02, (244.0, 248.0, 253.0))
    _dots(canvas, rng, 16, _HORIZON, 2.6, 0.85)


def draw_desert(canvas: Canvas, rng: random.Random) -> None:
    canvas.sky((120.0, 196.0, 226.0), (200.0, 226.0, 222.0), (250.0, 236.0, 196.0))
    _hills(canvas, rng, _HORIZON - 0.04, 0.03, (240.0, 196.0, 122.0))
    _hills(canvas, rng, _HORIZON + 0.1, 0.02, (228.0, 170.0, 92.0))


def _flat(canvas: Canvas, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
    """An upright rectangle, its corners as shares of the width and the height."""
    height, width = canvas.pixels.shape[:2]
    canvas.fill([rectangle(x0 * width, y0 * height, x1 * width, y1 * height)], colour, colour)


def _facade(
    canvas: Canvas, rng: random.Random, left: float, right: float, ground: float, colour: RGB
) -> None:
    """A house front with two columns of windows, its foot at `ground` (share of the height)."""
    storey = 0.15
    top = ground - storey * rng.choice((3, 4)) - 0.04
    _flat(canvas, left, top, right, ground, colour)
    _flat(canvas, left, top - 0.02, right, top + 0.015, darken(colour, 0.28))
    third = (right - left) / 3
    for row in range(round((ground - top - 0.04) / storey)):
        y = top + 0.055 + row * storey
        for x in (left + 0.85 * third, left + 2.15 * third):
            _flat(canvas, x - third * 0.36, y, x + third * 0.36, y + 0.085, _WINDOW)


def draw_street(canvas: Canvas, rng: random.Random) -> None:
    canvas.sky((158.0, 206.0, 242.0), (206.0, 228.0, 246.0), (230.0, 240.0, 248.0))
    left, ground = -rng.uniform(0.02, 0.2), _HORIZON
    colours = rng.sample(_FACADES, len(_FACADES))
    for i in range(5):
        right = left + rng.uniform(0.24, 0.32)
        _facade(canvas, rng, left, right, ground, colours[i % len(colours)])
        left = right
    _flat(canvas, -0.02, ground, 1.02, 0.78, (206.0, 202.0, 200.0))
    _flat(canvas, -0.02, 0.775, 1.02, 1.02, (104.0, 106.0, 118.0))
    start = rng.uniform(-0.2, 0.0)
    for i in range(6):
        x = start + 0.24 * i
        _flat(canvas, x, 0.885, x + 0.13, 0.91, (240.0, 236.0, 220.0))


LANDSCAPES: Final[dict[str, Painter]] = {
    "meadow": draw_meadow,
    "sunset": draw_sunset,
    "night": draw_night,
    "sea": draw_sea,
    "underwater": draw_underwater,
    "snow": draw_snow,
    "desert": draw_desert,
    "street": draw_street,
}
PLACES: Final[tuple[str, ...]] = PLAIN + tuple(LANDSCAPES)
# What a thing of the same colour would be lost against.
SURROUNDINGS: Final[dict[str, tuple[RGB, ...]]] = {
    **{name: (plain_colour(name),) for name in PLAIN},
    "meadow": ((166.0, 216.0, 250.0),),
    "sunset": ((232.0, 130.0, 106.0),),
    "night": ((30.0, 42.0, 98.0),),
    "sea": ((212.0, 234.0, 250.0),),
    "underwater": ((40.0, 152.0, 196.0),),
    "snow": ((220.0, 230.0, 242.0),),
    "desert": ((225.0, 231.0, 209.0),),
    "street": ((200.0, 202.0, 194.0),),
}


def draw_place(canvas: Canvas, name: str, rng: random.Random) -> None:
    if name in LANDSCAPES:
        LANDSCAPES[name](canvas, rng)
    else:
        _draw_plain(canvas, name)
