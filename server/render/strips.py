"""How a picture came into being, kept small: a few of its previews side by side. Blocking.

A strip is a WebP of equal cells, the earliest preview leftmost. Each cell is the whole of the
picture's frame and transparent where a preview doesn't reach, so that a picture of a mask's
surroundings needs no place of its own.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from server.core.records import MAX_PREVIEWS
from server.core.schema import STRIP_BYTES
from server.render.pictures import PictureError, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.core.messages import Preview
    from server.core.records import Frame

CELL_PX = 128
"""The longer side of a cell."""
MAX_STRIP_PX = MAX_PREVIEWS * CELL_PX**2
QUALITIES = (75, 50, 25)


def join(previews: Sequence[Preview], frame: Frame) -> tuple[bytes, int] | None:
    """A strip of some of the previews, evenly, and of how many.

    None if there is no preview, or they don't fit into STRIP_BYTES at any quality.
    """
    chosen = evenly(previews, MAX_PREVIEWS)
    if not chosen:
        return None
    scale = CELL_PX / max(frame.w, frame.h)
    width, height = (max(1, round(side * scale)) for side in (frame.w, frame.h))
    strip = Image.new("RGBA", (width * len(chosen), height))
    for number, preview in enumerate(chosen):
        cell = Image.new("RGBA", (width, height))
        x, y, w, h = (side * scale for side in preview.box)
        left, top = round(x - frame.x * scale), round(y - frame.y * scale)
        with Image.open(io.BytesIO(preview.jpeg), formats=["JPEG"]) as picture:
            cell.paste(
                picture.convert("RGB").resize((max(1, round(w)), max(1, round(h)))), (left, top)
            )
        strip.paste(cell, (width * number, 0))
    for quality in QUALITIES:
        out = io.BytesIO()
        strip.save(out, "WEBP", quality=quality, method=4)
        if out.tell() <= STRIP_BYTES:
            return out.getvalue(), len(chosen)
    return None


def cell(strip: bytes, number: int, num_cells: int) -> bytes | None:
    """One cell of a strip as a PNG; None if it is damaged, or is no strip of so many."""
    try:
        whole = decode(strip, MAX_STRIP_PX)
    except PictureError:
        return None
    width = whole.width // num_cells
    if width == 0:
        return None
    out = io.BytesIO()
    whole.crop((width * number, 0, width * (number + 1), whole.height)).save(out, "PNG")
    return out.getvalue()


def evenly(previews: Sequence[Preview], most: int) -> list[Preview]:
    """At most so many of them, over all of their time; the last is always there."""
    num = min(most, len(previews))
    return [previews[(number + 1) * len(previews) // num - 1] for number in range(num)]
