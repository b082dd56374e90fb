"""What an uploaded picture is, told from its first bytes and its header, before decoding.

Ten kilobytes can decode to hundreds of megabytes: Pillow reads the header here, for three
formats only, and no pixel.
"""

from __future__ import annotations

import io

import msgspec
from PIL import Image

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
MAX_SIDE_PX = 16_384


class PictureHeader(msgspec.Struct, frozen=True):
    content_type: str
    width: int
    height: int


class UnsupportedPicture(Exception):
    """No PNG, JPEG or WEBP, or a broken one."""


class TooManyPixels(Exception):
    """Larger than allowed when decoded."""


def content_type_of(data: bytes) -> str | None:
    """By the first bytes; None for anything but PNG, JPEG and WEBP."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return FORMATS["WEBP"]
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return FORMATS[name]
    return None


def read_header(data: bytes, max_px: int) -> PictureHeader:
    """Raises UnsupportedPicture or TooManyPixels; decodes no pixel."""
    content_type = content_type_of(data)
    if content_type is None:
        raise UnsupportedPicture("expected a PNG, JPEG or WEBP picture, got something else")
    wanted = [name for name, mime in FORMATS.items() if mime == content_type]
    try:
        with Image.open(io.BytesIO(data), formats=wanted) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise TooManyPixels(str(error)) from None
    except (OSError, ValueError, SyntaxError) as error:
        raise UnsupportedPicture(f"this picture can't be read: {error}") from None
    if width * height > max_px or max(width, height) > MAX_SIDE_PX:
        raise TooManyPixels(
            f"expected at most {max_px} pixels and {MAX_SIDE_PX} a side, "
            f"got {width} × {height}: make it smaller"
        )
    return PictureHeader(content_type, width, height)
