"""Records to draw in tests, with all but the interesting fields filled in."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image as Pixels

from server.core.records import Frame, Image, Layer, Mask, Stroke
from server.core.strokes import encode_points

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOB = "0" * 64


def line(*corners: tuple[float, float], pressure: float = 0.5) -> bytes:
    """Packed points along straight lines between corners, some units apart."""
    legs = list(zip(corners, corners[1:] or corners, strict=False))
    points = [
        (ax + (bx - ax) * i / 11, ay + (by - ay) * i / 11, pressure)
        for (ax, ay), (bx, by) in legs
        for i in range(12)
    ]
    return encode_points(points)


def stroke(id: str, *corners: tuple[float, float], z: str = "a0", **fields: Any) -> Stroke:
    """A pen stroke of size 20 along `corners`; even pressure makes it exactly that wide."""
    look: dict[str, Any] = {"size": 20.0, "pen": True, "color": "#ff0000"} | fields
    return Stroke(id=id, z=z, points=line(*corners), **look)


def mask(id: str, frame: str, *corners: tuple[float, float], z: str = "a0", **fields: Any) -> Mask:
    look: dict[str, Any] = {"size": 40.0, "pen": True} | fields
    return Mask(id=id, z=z, frame=frame, points=line(*corners), **look)


def image(id: str, x: float, y: float, w: float, h: float, **fields: Any) -> Image:
    rest: dict[str, Any] = {"z": "a0", "blob": BLOB} | fields
    return Image(id=id, x=x, y=y, w=w, h=h, **rest)


def layer(id: str, z: str = "a0", **fields: Any) -> Layer:
    return Layer(id=id, z=z, **fields)


def frame(id: str = "frame", w: float = 256, h: float = 256, **fields: Any) -> Frame:
    rest: dict[str, Any] = {"z": "a0", "x": 0.0, "y": 0.0} | fields
    return Frame(id=id, w=w, h=h, **rest)


def png(size: tuple[int, int], color: str | Sequence[int] = "#00ff00", mode: str = "RGB") -> bytes:
    """A PNG of one colour."""
    return encode(Pixels.new(mode, size, color if isinstance(color, str) else tuple(color)))


def encode(picture: Pixels.Image, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format)
    return buffer.getvalue()
