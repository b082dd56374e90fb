"""Blobs to pixels: decodes pictures that people uploaded, and fits them into a viewport."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from server.render.bounds import rectangle

if TYPE_CHECKING:
    from server.core.records import Image as ImageRecord
    from server.render.viewport import PixelBox, Viewport

FORMATS = ("PNG", "JPEG", "WEBP")


class PictureError(Exception):
    """The bytes are no picture that can be drawn; the message says why."""


def decode(data: bytes, max_px: int) -> Image.Image:
    """Decode to RGBA, upright. Looks at format and size before it decodes a single pixel."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_px:
                raise PictureError(
                    f"expected at most {max_px} pixels, got {width} x {height}: scale it down"
                )
            return ImageOps.exif_transpose(picture).convert("RGBA")
    except PictureError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise PictureError(f"expected a whole PNG, JPEG or WebP file: {error}") from error


def fit(picture: Image.Image, record: ImageRecord, view: Viewport, window: PixelBox) -> Image.Image:
    """The part of `picture` that `window` shows, scaled, with the record's opacity.

    The picture's edges are moved to the nearest whole pixels (`Viewport.snapped`), so that one
    that fills the viewport comes out unchanged if it has as many pixels.
    """
    whole = view.snapped(rectangle(record.x, record.y, record.w, record.h))
    across = picture.width / (whole.x1 - whole.x0)
    down = picture.height / (whole.y1 - whole.y0)
    part = window.within(whole)
    source = (
        part.x0 * across,
        part.y0 * down,
        min(part.x1 * across, picture.width),
        min(part.y1 * down, picture.height),
    )
    fitted = picture.resize(window.size, Image.Resampling.BICUBIC, box=source)
    if record.opacity < 1:
        fitted.putalpha(faded(fitted.getchannel("A"), record.opacity))
    return fitted


def faded(alpha: Image.Image, opacity: float) -> Image.Image:
    """An L image multiplied by `opacity`."""
    return alpha.point([round(level * opacity) for level in range(256)])
