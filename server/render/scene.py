"""What a viewport shows of a room: items in stacking order, sorted into layers. No pixels.

The base layer (records without a layer, or whose layer is gone) lies below all others; layers
lie above it by `(z, id)`, and so do the items within each. Frames, jobs and candidates are not
part of the picture: a frame never sees what is merely offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from server.core.records import Image, Layer, Mask, Record, Stroke
from server.render.bounds import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.render.viewport import PixelBox, Viewport

_DRAWN = (Stroke, Image)
BASE = ""
"""Key of the base layer; record ids are never empty."""


class Item(NamedTuple):
    """Something to draw, and the pixels of the viewport that it can touch (at least one)."""

    record: Stroke | Mask | Image
    window: PixelBox


class Sheet(NamedTuple):
    """A layer with its items from bottom to top."""

    key: str
    opacity: float
    items: tuple[Item, ...]


class Scene(NamedTuple):
    sheets: tuple[Sheet, ...]
    """From bottom to top; only those with something in view."""
    mask: tuple[Item, ...]
    """The frame's mask strokes from bottom to top."""


class Composer:
    """Sorts the records of a room for one viewport; remembers where each of them lies."""

    def __init__(self, view: Viewport) -> None:
        self._view = view
        self._box = view.box
        self._known: dict[str, tuple[Record, Item | None]] = {}

    def compose(self, records: Iterable[Record], frame: str) -> Scene:
        """Sort what the viewport shows; `frame` is the one whose mask strokes count."""
        layers: dict[str, Layer] = {}
        drawn: list[tuple[str | None, Item]] = []
        mask: list[Item] = []
        known, self._known = self._known, {}
        for record in records:
            if isinstance(record, Layer):
                layers[record.id] = record
            elif isinstance(record, _DRAWN) and (item := self._place(record, known)):
                drawn.append((record.layer, item))
            elif (
                isinstance(record, Mask)
                and record.frame == frame
                and (item := self._place(record, known))
            ):
                mask.append(item)
        return Scene(_sheets(drawn, layers), _in_order(mask))

    def _place(
        self, record: Stroke | Mask | Image, known: dict[str, tuple[Record, Item | None]]
    ) -> Item | None:
        entry = known.get(record.id)
        if entry is None or entry[0] is not record:
            window = self._window(record)
            entry = (record, Item(record, window) if window else None)
        self._known[record.id] = entry
        return entry[1]

    def _window(self, record: Stroke | Mask | Image) -> PixelBox | None:
        box = bounds(record)
        if box is None or not box.meets(self._box):
            return None
        pixels = self._view.snapped(box) if isinstance(record, Image) else self._view.around(box)
        window = pixels.clip(self._view.pixels)
        return None if window.is_empty else window


def _sheets(drawn: list[tuple[str | None, Item]], layers: dict[str, Layer]) -> tuple[Sheet, ...]:
    sorted_in: dict[str, list[Item]] = {}
    for layer_id, item in drawn:
        key = layer_id if layer_id in layers else BASE
        sorted_in.setdefault(key or BASE, []).append(item)
    sheets = [Sheet(BASE, 1.0, _in_order(sorted_in.get(BASE, ())))]
    visible = [layer for layer in layers.values() if layer.visible and layer.opacity > 0]
    sheets += [
        Sheet(layer.id, layer.opacity, _in_order(sorted_in.get(layer.id, ())))
        for layer in sorted(visible, key=lambda layer: (layer.z, layer.id))
    ]
    return tuple(sheet for sheet in sheets if sheet.items)


def _in_order(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: (item.record.z, item.record.id)))
