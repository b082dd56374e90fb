"""Jobs and pictures for tests."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
from PIL import Image

from gpu.api import Job, JobId, Picture

_numbers = itertools.count()


def job(**fields: Any) -> Job:
    """A small text-to-image job in a slot of its own."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "id": JobId(f"job{number}"),
        "room": "room",
        "person": "ann",
        "slot": f"slot{number}",
        "prompt": "a red house",
        "width": 128,
        "height": 128,
        "steps": 4,
        "guidance": 3.0,
        "seed": 7,
    }
    return Job(**{**defaults, **fields})


def picture(pixels: np.ndarray) -> Picture:
    height, width = pixels.shape[:2]
    mode = {2: "L", 3: "RGB", 4: "RGBA"}[2 if pixels.ndim == 2 else pixels.shape[2]]
    return Picture(width, height, mode, pixels.tobytes())  # type: ignore[arg-type]


def gradient(side: int = 128, alpha: int = 255) -> np.ndarray:
    """Opaque RGBA, dark at the top and bright at the bottom."""
    pixels = np.full((side, side, 4), alpha, np.uint8)
    pixels[..., :3] = np.linspace(30, 220, side, dtype=np.uint8)[:, None, None]
    return pixels


def square_mask(side: int = 128, start: int = 48, stop: int = 80) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    mask[start:stop, start:stop] = 255
    return mask


def open_png(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))
