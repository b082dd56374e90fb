"""One viewport's picture, kept so that the next one costs only what changed.

Each layer keeps the pixels it showed last. Items added on top of a layer are drawn onto it;
any other change redraws only the damaged rectangle, clipped, from cached coverage. Every pixel
goes through the same operations in the same order as in a drawing from scratch, so the result
is equal bit for bit. Not safe to share between threads.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Protocol

from PIL import Image, ImageChops

from server.core.records import Image as ImageRecord
from server.core.records import Mask, Record, Stroke
from server.render.pictures import faded
from server.render.scene import Composer, Item, Scene
from server.render.viewport import NOWHERE, PixelBox, Viewport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_LAYER_BYTES = 96 * 1024 * 1024
"""Layers beyond this are drawn afresh each time, so that many large ones can't fill memory."""
_CLEAR = (0, 0, 0, 0)
_MASK_COLOR = "#ffffff"


class Stencils(Protocol):
    """Where an item's pixels come from; each image has the size of the item's window."""

    def coverage(self, record: Stroke | Mask, view: Viewport, window: PixelBox) -> Image.Image:
        """L: how much of each pixel the stroke covers."""
        ...

    def picture(self, record: ImageRecord, view: Viewport, window: PixelBox) -> Image.Image | None:
        """RGBA, scaled and with the record's opacity; None if there is no such picture."""
        ...


class _Surface:
    """The pixels of one layer, or of a frame's mask, and the items that they show."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.image = Image.new("RGBA", size, _CLEAR)
        self.items: tuple[Item, ...] = ()


class View:
    """After `draw`, `drawn` counts the items that had to be drawn, `has_pictures` says whether any
    of what is in view is an image record, and `incomplete` that one's picture was missing."""

    def __init__(self, viewport: Viewport, ink: str | None = None) -> None:
        """With an `ink` strokes alone are drawn, all in this colour and opaque."""
        self.viewport = viewport
        self._ink = ink
        self.drawn = 0
        self.incomplete = False
        self.has_pictures = False
        self._composer = Composer(viewport)
        self._sheets: dict[str, _Surface] = {}
        self._stack: tuple[tuple[str, float], ...] = ()
        self._mask = _Surface(self._size)
        self._flat = Image.new("RGBA", self._size, _CLEAR)

    @property
    def num_bytes(self) -> int:
        return (2 + len(self._sheets)) * self._sheet_bytes

    @property
    def _size(self) -> tuple[int, int]:
        return self.viewport.width, self.viewport.height

    @property
    def _sheet_bytes(self) -> int:
        return 4 * self.viewport.width * self.viewport.height

    def draw(
        self, records: Iterable[Record], frame: str, stencils: Stencils
    ) -> tuple[Image.Image, Image.Image]:
        """Copies of the picture (RGBA, straight alpha) and of the mask of `frame` (L)."""
        scene = self._composer.compose(records, frame)
        self.has_pictures = _has_pictures(scene)
        self.drawn = 0
        self.incomplete = False
        self._stencils = stencils
        self._refresh(self._mask, scene.mask)
        damage = self._refresh_sheets(scene)
        if not damage.is_empty:
            self._flatten(scene, damage)
        return self._flat.copy(), self._mask.image.getchannel("A")

    def _refresh_sheets(self, scene: Scene) -> PixelBox:
        stack = tuple((sheet.key, sheet.opacity) for sheet in scene.sheets)
        damage = NOWHERE if stack == self._stack else self.viewport.pixels
        self._stack = stack
        self._sheets = {key: self._sheets[key] for key, _ in stack if key in self._sheets}
        for sheet in scene.sheets:
            kept = self._keep(sheet.key)
            changed = self.viewport.pixels if kept is None else self._refresh(kept, sheet.items)
            damage = damage.join(changed)
        return damage

    def _keep(self, key: str) -> _Surface | None:
        """The layer's pixels; None if there are too many layers to keep them all."""
        if key not in self._sheets:
            if (len(self._sheets) + 1) * self._sheet_bytes > MAX_LAYER_BYTES:
                return None
            self._sheets[key] = _Surface(self._size)
        return self._sheets[key]

    def _refresh(self, sheet: _Surface, items: tuple[Item, ...]) -> PixelBox:
        """Bring a layer's pixels up to date; returns the part that changed."""
        before, sheet.items = sheet.items, items
        if items[: len(before)] == before:
            added = items[len(before) :]
            self._draw(sheet.image, self.viewport.pixels, added)
            return _extent(added)
        damage = _extent(_difference(before, items))
        if not damage.is_empty:
            sheet.image.paste(self._fresh(items, damage), damage)
        return damage

    def _flatten(self, scene: Scene, damage: PixelBox) -> None:
        flat = Image.new("RGBA", damage.size, _CLEAR)
        for sheet in scene.sheets:
            kept = self._sheets.get(sheet.key)
            part = self._fresh(sheet.items, damage) if kept is None else kept.image.crop(damage)
            if sheet.opacity < 1 and self._ink is None:
                part.putalpha(faded(part.getchannel("A"), sheet.opacity))
            flat.alpha_composite(part)
        self._flat.paste(flat, damage)

    def _fresh(self, items: Iterable[Item], part: PixelBox) -> Image.Image:
        image = Image.new("RGBA", part.size, _CLEAR)
        self._draw(image, part, items)
        return image

    def _draw(self, image: Image.Image, part: PixelBox, items: Iterable[Item]) -> None:
        """Draw onto `image`, which shows `part` of the viewport."""
        for record, window in items:
            visible = window.clip(part)
            if visible.is_empty:
                continue
            self.drawn += 1
            if isinstance(record, ImageRecord):
                if self._ink is not None:
                    continue
                picture = self._stencils.picture(record, self.viewport, window)
                if picture is None:
                    self.incomplete = True
                    continue
                image.alpha_composite(
                    picture.crop(visible.within(window)), visible.within(part)[:2]
                )
            else:
                stencil = self._stencils.coverage(record, self.viewport, window)
                cut = stencil.crop(visible.within(window))
                if self._ink is None:
                    _stroke(image, visible.within(part), record, cut)
                else:
                    _lay(image, visible.within(part), cut, self._ink, record.erase)


def _stroke(
    image: Image.Image, place: PixelBox, record: Stroke | Mask, stencil: Image.Image
) -> None:
    opacity = record.opacity if isinstance(record, Stroke) else 1.0
    if opacity < 1:
        stencil = faded(stencil, opacity)
    color = record.color if isinstance(record, Stroke) else _MASK_COLOR
    _lay(image, place, stencil, color, record.erase)


def _lay(
    image: Image.Image, place: PixelBox, stencil: Image.Image, color: str, erase: bool
) -> None:
    if erase:
        below = image.crop(place)
        below.putalpha(ImageChops.multiply(below.getchannel("A"), ImageChops.invert(stencil)))
        image.paste(below, place)
        return
    ink = Image.new("RGBA", place.size, color)
    ink.putalpha(stencil)
    image.alpha_composite(ink, place[:2])


def _has_pictures(scene: Scene) -> bool:
    items = (item for sheet in scene.sheets for item in sheet.items)
    return any(isinstance(item.record, ImageRecord) for item in items)


def _extent(items: Iterable[Item]) -> PixelBox:
    return reduce(PixelBox.join, (item.window for item in items), NOWHERE)


def _difference(before: Sequence[Item], after: Sequence[Item]) -> list[Item]:
    """Items that came, went or changed."""
    old = {item.record.id: item for item in before}
    new = {item.record.id: item for item in after}
    gone = [item for key, item in old.items() if new.get(key) != item]
    return gone + [item for key, item in new.items() if old.get(key) != item]
