"""Edges of a picture, as Canny (1986) finds them: what canny ControlNets were trained on.

Follows OpenCV's default: Sobel gradients, their L1 norm, thinning along the gradient, and weak
edges that hang on strong ones. Blocking; numpy only.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

WEAK, STRONG = 100, 200
_STEEP = 2.414
"""tan 67.5°: a gradient steeper than this counts as vertical."""
_MAX_ROUNDS = 64
"""A bound that no picture of this size comes near."""


def edges(picture: Image.Image) -> Image.Image:
    """White lines on black (L), of the size of `picture`."""
    grey = np.pad(np.asarray(picture.convert("L"), np.int32), 1, mode="edge")
    across, down = _sobel(grey)
    size = np.abs(across) + np.abs(down)
    thin = _is_peak(size, across, down)
    kept = _hang_on(thin & (size > WEAK), thin & (size > STRONG))
    return Image.fromarray(np.where(kept, 255, 0).astype(np.uint8))


def _sobel(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients (H, W) across and down of (H + 2, W + 2) pixels."""
    columns = grey[:-2] + 2 * grey[1:-1] + grey[2:]
    rows = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    return columns[:, 2:] - columns[:, :-2], rows[2:] - rows[:-2]


def _is_peak(size: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Where the gradient is larger than before and not smaller than after it, along itself."""
    around = np.pad(size, 1)
    flat = np.abs(across) > _STEEP * np.abs(down)
    upright = np.abs(down) > _STEEP * np.abs(across)
    falling = (across >= 0) == (down >= 0)
    peak = np.zeros(size.shape, bool)
    for where, (dy, dx) in (
        (flat, (0, 1)),
        (upright & ~flat, (1, 0)),
        (~flat & ~upright & falling, (1, 1)),
        (~flat & ~upright & ~falling, (1, -1)),
    ):
        before, after = _shifted(around, -dy, -dx), _shifted(around, dy, dx)
        peak |= where & (size > before) & (size >= after)
    return peak


def _shifted(around: np.ndarray, dy: int, dx: int) -> np.ndarray:
    height, width = around.shape
    return around[1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx]


def _hang_on(weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """The weak pixels that are connected, also over corners, with a strong one.

    Each pixel points at one of a smaller number that it is connected with, itself at first. In a
    round it, and what it pointed at, point at the smallest that its neighbours point at, and then
    all follow their pointers (FastSV, Zhang et al. 2020): rounds grow as the logarithm of an
    edge's length.
    """
    height, width = weak.shape
    nowhere = height * width
    own = np.flatnonzero(weak)
    target = np.full(nowhere + 1, nowhere)
    target[own] = own
    for _ in range(_MAX_ROUNDS):
        least = _least_around(target[:nowhere].reshape(height, width), nowhere).ravel()[own]
        following = target.copy()
        np.minimum.at(following, target[own], least)
        following[own] = np.minimum(following[own], least)
        following = following[following]
        if np.array_equal(following, target):
            break
        target = following
    holds = np.zeros(nowhere + 1, bool)
    holds[target[np.flatnonzero(strong)]] = True
    found: np.ndarray = holds[target[:nowhere].reshape(height, width)] & weak
    return found


def _least_around(numbers: np.ndarray, nowhere: int) -> np.ndarray:
    around = np.pad(numbers, 1, constant_values=nowhere)
    places = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    least: np.ndarray = np.min([_shifted(around, dy, dx) for dy, dx in places], axis=0)
    return least
