"""Sheets of pictures, to be looked at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


def grid(pictures: list[npt.NDArray[np.uint8]], columns: int, cell_px: int = 128) -> Image.Image:
    """Pictures, each uint8 (height, width, 3), row by row on one sheet."""
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * cell_px, rows * cell_px), "white")
    for i, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((cell_px, cell_px), Image.Resampling.LANCZOS)
        sheet.paste(small, (i % columns * cell_px, i // columns * cell_px))
    return sheet


def save_grid(
    path: Path, pictures: list[npt.NDArray[np.uint8]], columns: int, cell_px: int = 128
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(pictures, columns, cell_px).save(path)
