"""Drawing styles: the technique that a canvas is painted in and what is done to the whole after.

Every style is made of the same painters. Knows nothing of scenes, things or places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from .brush import Canvas, Palette, Pixels, Technique
from .colours import RGB, WHITE, darken, luminance, mix

if TYPE_CHECKING:
    import random

Finish = Callable[[Canvas, np.random.Generator], Pixels]

STYLES: Final[tuple[str, ...]] = (
    "soft", "flat", "outlined", "watercolour", "pixel", "crayon", "pencil",
)  # fmt: skip
# Left for adapters: a base model is not trained on them.
EXTRA_STYLES: Final[tuple[str, ...]] = ("neon", "blueprint", "sticker")
# What ControlNet is given, white lines on black: things as somebody would scribble them, every
# part of them or their outer outline only.
SCRIBBLE: Final = "scribble"
SILHOUETTE: Final = "silhouette"

_INK: Final[RGB] = (52.0, 46.0, 62.0)
_PAPER: Final[RGB] = (252.0, 250.0, 244.0)
_SKETCH_PAPER: Final[RGB] = (244.0, 242.0, 236.0)
_GRAPHITE: Final[RGB] = (84.0, 84.0, 90.0)
_NEON_NIGHT: Final[RGB] = (15.0, 8.0, 30.0)
_BLUE_PAPER: Final[RGB] = (24.0, 66.0, 142.0)
_BLUE_LINE: Final[RGB] = (232.0, 242.0, 255.0)
_BLACK: Final[RGB] = (0.0, 0.0, 0.0)
_CELL_PX: Final = 8
_GRID_PX: Final = 32
_STROKE_PX: Final = 8
# Between two of the eight levels that a channel of pixel art has.
_LEVEL_STEP: Final = np.float32(255.0 / 7.0)


def _always(line: RGB, colour: RGB) -> RGB:
    return line


def _thinned(amount: float, colour: RGB, paper: RGB = _PAPER) -> RGB:
    """Paint with paper showing through; dark paint covers better, or black would become grey."""
    return mix(colour, paper, amount * (0.3 + 0.7 * luminance(colour) / 255.0))


def _darkened(amount: float, colour: RGB) -> RGB:
    return darken(colour, amount)


def _tinted(amount: float, colour: RGB) -> RGB:
    """A pencil's tint: together with the hatching about two fifths of the saturation stay."""
    grey = luminance(colour)
    return _thinned(amount, mix((grey, grey, grey), colour, 0.75), _SKETCH_PAPER)


def _lit(amount: float, colour: RGB) -> RGB:
    """A tube of gas in this colour; brown and black stay dimmer than orange and white."""
    gain = min(255.0 / max(colour), 1.35)
    bright = mix((colour[0] * gain, colour[1] * gain, colour[2] * gain), WHITE, 0.1)
    return mix(_NEON_NIGHT, bright, amount)


def _unlit(amount: float, colour: RGB) -> RGB:
    return mix(_NEON_NIGHT, colour, amount)


def _traced(amount: float, colour: RGB) -> RGB:
    return mix(_BLUE_PAPER, _BLUE_LINE, amount * (0.2 + luminance(colour) / 255.0))


def _paled(amount: float, colour: RGB) -> RGB:
    return mix(colour, WHITE, amount)


_TECHNIQUES: Final[dict[str, Technique]] = {
    "soft": Technique(),
    "flat": Technique(shaded=False),
    "outlined": Technique(
        shaded=False,
        place=Palette(line=partial(_always, _INK), line_px=2.5),
        thing=Palette(line=partial(_always, _INK), line_px=5.0),
    ),
    "watercolour": Technique(
        place=Palette(partial(_thinned, 0.5), partial(_thinned, 0.25), 2.0),
        thing=Palette(partial(_thinned, 0.25), partial(_darkened, 0.15), 2.0),
    ),
    "pixel": Technique(shaded=False),
    "crayon": Technique(
        shaded=False,
        place=Palette(line=partial(_darkened, 0.12), line_px=3.0),
        thing=Palette(line=partial(_darkened, 0.3), line_px=3.0),
    ),
    "pencil": Technique(
        shaded=False,
        place=Palette(partial(_tinted, 0.6), partial(_always, mix(_GRAPHITE, WHITE, 0.3)), 2.5),
        thing=Palette(partial(_tinted, 0.35), partial(_always, _GRAPHITE), 3.5),
    ),
    "neon": Technique(
        shaded=False,
        place=Palette(partial(_unlit, 0.1), partial(_lit, 0.4), 3.0),
        thing=Palette(partial(_unlit, 0.2), partial(_lit, 1.0), 4.0),
    ),
    "blueprint": Technique(
        shaded=False,
        place=Palette(
            partial(_traced, 0.05), partial(_always, mix(_BLUE_PAPER, _BLUE_LINE, 0.45)), 2.5
        ),
        thing=Palette(partial(_traced, 0.2), partial(_always, _BLUE_LINE), 3.5),
    ),
    "sticker": Technique(shaded=False, place=Palette(partial(_paled, 0.68))),
    SCRIBBLE: Technique(
        shaded=False,
        place=Palette(partial(_always, _BLACK)),
        thing=Palette(partial(_always, _BLACK), partial(_always, WHITE), 3.0),
    ),
    SILHOUETTE: Technique(
        shaded=False,
        place=Palette(partial(_always, _BLACK)),
        thing=Palette(partial(_always, _BLACK)),
    ),
}


def open_canvas(style: str, height_px: int, width_px: int) -> Canvas:
    """A blank canvas that takes paint in this style; `finish` is its counterpart.

    Both sides must be multiples of 8.
    """
    return Canvas.blank(height_px, width_px, _TECHNIQUES[style])


def finish(style: str, canvas: Canvas, rng: random.Random) -> npt.NDArray[np.uint8]:
    """The finished picture, uint8 (height_px, width_px, 3). The canvas is used up."""
    if style in _FINISHES:
        canvas.pixels = _FINISHES[style](canvas, np.random.default_rng(rng.getrandbits(64)))
    return canvas.image()


def _finish_watercolour(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    paper = np.asarray(_PAPER, np.float32)
    shape = canvas.pixels.shape[:2]
    pixels = _wobble(canvas.pixels, generator, 2.2, 20)
    density = 1.0 + 0.16 * _noise(generator, shape, 36) + 0.05 * _noise(generator, shape, 16)
    inside = _border_distance_px(shape) - 10.0 - 5.0 * _noise(generator, shape, 18)
    # Pigment gathers where the wash ends.
    density += 0.3 * np.clip(1.0 - np.abs(inside - 3.0) / 3.0, 0.0, 1.0)
    density *= np.clip(inside / 2.0, 0.0, 1.0)
    return paper - (paper - pixels) * density[..., None]


def _finish_pixel(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    """Cells of one colour each: the pixel of median luminance, so that no edge is a mixture."""
    height, width = canvas.pixels.shape[0] // _CELL_PX, canvas.pixels.shape[1] // _CELL_PX
    split = canvas.pixels.reshape(height, _CELL_PX, width, _CELL_PX, 3).swapaxes(1, 2)
    cells = split.reshape(height, width, _CELL_PX * _CELL_PX, 3)
    middle = _CELL_PX * _CELL_PX // 2
    median = np.argpartition(_luminance(cells), middle, axis=2)[:, :, middle]
    colours = np.take_along_axis(cells, median[:, :, None, None], axis=2)[:, :, 0]
    few = np.round(colours / _LEVEL_STEP) * _LEVEL_STEP
    return few.repeat(_CELL_PX, axis=0).repeat(_CELL_PX, axis=1)


def _finish_crayon(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    paper = np.asarray(_PAPER, np.float32)
    shape = canvas.pixels.shape[:2]
    strokes = _strokes(generator, shape, rising=True)
    wax = np.clip(0.82 + 0.1 * strokes + 0.1 * _noise(generator, shape, 16), 0.15, 1.0)
    return paper + (_wobble(canvas.pixels, generator, 2.5, 12) - paper) * wax[..., None]


def _finish_pencil(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    pixels = _wobble(canvas.pixels, generator, 1.5, 24)
    strokes = _strokes(generator, pixels.shape[:2], rising=False)
    darkness = 1.0 - _luminance(pixels) / 255.0
    hatching = 0.28 * np.clip(2.6 * darkness - 1.1 + strokes, 0.0, 1.0)
    return pixels + hatching[..., None] * (np.asarray(_GRAPHITE, np.float32) - pixels)


def _finish_neon(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    height, width = canvas.pixels.shape[:2]
    lights = Image.fromarray(np.clip(canvas.pixels - 56.0, 0.0, 255.0).astype(np.uint8)).reduce(4)
    near, far = (np.asarray(lights.filter(ImageFilter.GaussianBlur(px)), int) for px in (1, 3))
    halo = Image.fromarray(np.clip(near + far, 0, 255).astype(np.uint8))
    return canvas.pixels + np.asarray(halo.resize((width, height), Image.Resampling.BILINEAR))


def _finish_blueprint(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    height, width = canvas.pixels.shape[:2]
    ruled = np.zeros((height, width, 1), np.float32)
    for offset in range(2):
        ruled[_GRID_PX // 2 + offset :: _GRID_PX] = 0.16
        ruled[:, _GRID_PX // 2 + offset :: _GRID_PX] = 0.16
    return canvas.pixels + ruled * (np.asarray(_BLUE_LINE, np.float32) - canvas.pixels)


def _finish_sticker(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    reach_px = round(10 * min(canvas.pixels.shape[:2]) / 256)
    stuck = canvas.pixels.copy()
    for silhouette in canvas.silhouettes:
        spread = _blur(_blur(silhouette * 255.0, reach_px), 1)
        border = np.clip(spread * (9.0 / 255.0), 0.0, 1.0)[..., None]
        shadow = _blur(border[..., 0] * 255.0, 5)[:-reach_px, : -(reach_px // 2), None]
        stuck[reach_px:, reach_px // 2 :] *= 1.0 - shadow * (0.4 / 255.0)
        stuck += border * (255.0 - stuck)
        stuck += silhouette[..., None] * (canvas.pixels - stuck)
    return stuck


def _finish_scribble(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    """The things' lines, of any usual width, drawn by a hand."""
    return _scribbled(canvas.pixels[..., 0], generator)


def _finish_silhouette(canvas: Canvas, generator: np.random.Generator) -> Pixels:
    lines = np.zeros(canvas.pixels.shape[:2], np.float32)
    for silhouette in canvas.silhouettes:
        inside = np.asarray(_grown(silhouette * 255.0, 3) - silhouette * 255.0)
        lines = np.maximum(np.where(silhouette > 0.5, 0.0, lines), inside)
    return _scribbled(lines, generator)


def _scribbled(lines: Pixels, generator: np.random.Generator) -> Pixels:
    """Lines of 0..255 made wobbly and up to two pixels wider on all sides, black and white."""
    wobbled = _wobble(np.repeat(lines[..., None], 3, axis=2), generator, 1.5, 24)
    grown = _grown(wobbled[..., 0], int(generator.integers(0, 3)))
    return np.repeat(np.where(grown > 100.0, 255.0, 0.0)[..., None], 3, axis=2)


def _grown(mask: Pixels, reach_px: int) -> Pixels:
    """A mask of 0..255, `reach_px` wider on all sides."""
    if reach_px == 0:
        # Some versions of pillow divide by the reach, and take the process with them.
        return np.floor(np.clip(mask, 0.0, 255.0))
    image = Image.fromarray(np.clip(mask, 0.0, 255.0).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * reach_px + 1)), np.float32)


_FINISHES: Final[dict[str, Finish]] = {
    SCRIBBLE: _finish_scribble,
    SILHOUETTE: _finish_silhouette,
    "watercolour": _finish_watercolour,
    "pixel": _finish_pixel,
    "crayon": _finish_crayon,
    "pencil": _finish_pencil,
    "neon": _finish_neon,
    "blueprint": _finish_blueprint,
    "sticker": _finish_sticker,
}


def _luminance(pixels: Pixels) -> Pixels:
    return pixels @ np.asarray((0.299, 0.587, 0.114), np.float32)


def _noise(generator: np.random.Generator, shape: tuple[int, int], cell_px: int) -> Pixels:
    """Smooth noise, about -1..1, float32 of `shape`, that changes over `cell_px`."""
    height, width = shape
    coarse = generator.uniform(-1.0, 1.0, (height // cell_px + 3, width // cell_px + 3))
    return np.asarray(
        Image.fromarray(coarse.astype(np.float32)).resize(
            (width, height),
            Image.Resampling.BICUBIC,
            box=(1.0, 1.0, 1.0 + width / cell_px, 1.0 + height / cell_px),
        )
    )


def _wobble(
    pixels: Pixels, generator: np.random.Generator, reach_px: float, cell_px: int
) -> Pixels:
    """The pixels, each taken from up to `reach_px` away."""
    height, width = pixels.shape[:2]
    shifts = [
        np.rint(reach_px * _noise(generator, (height, width), cell_px)).astype(np.intp)
        for _ in range(2)
    ]
    ys = np.clip(np.arange(height)[:, None] + shifts[0], 0, height - 1)
    xs = np.clip(np.arange(width)[None, :] + shifts[1], 0, width - 1)
    return np.take(pixels.reshape(-1, 3), ys * width + xs, axis=0)


def _strokes(generator: np.random.Generator, shape: tuple[int, int], rising: bool) -> Pixels:
    """Diagonal strokes: 1 on a stroke, -1 between two.

    They lie alike in all cells of 16 px, so that an autoencoder of that scale has their texture
    in its weights and need not spend its latents on it; they are only a little unsteady.
    """
    height, width = shape
    ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    across = (xs + ys if rising else xs - ys) + 0.7 * _noise(generator, shape, 32)
    return np.cos(across * (2.0 * math.pi / _STROKE_PX))


def _blur(pixels: Pixels, radius_px: int) -> Pixels:
    """Blurred through 8 bits, which Pillow does as three box blurs."""
    image = Image.fromarray(np.clip(pixels, 0.0, 255.0).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius_px)), np.float32)


def _border_distance_px(shape: tuple[int, int]) -> Pixels:
    ys, xs = (np.minimum(np.arange(n), np.arange(n)[::-1]).astype(np.float32) for n in shape)
    return np.minimum(ys[:, None], xs[None, :])
