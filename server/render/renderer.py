"""Draws what lies under a frame. Blocking: call it in a thread, never on the event loop.

Keeps, within fixed bounds of memory, what makes the next picture cheap: the last picture of
each frame, the coverage of strokes, and decoded pictures. Safe to call from several threads;
two renders with the same key at once cost what a fresh one costs, no more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.render.cache import ByteLru
from server.render.curve import plane
from server.render.outline import outline
from server.render.pictures import PictureError, decode, fit
from server.render.raster import coverage
from server.render.view import View

if TYPE_CHECKING:
    from PIL import Image

    from server.core.records import Image as ImageRecord
    from server.core.records import Mask, Record, Stroke
    from server.render.curve import Plane
    from server.render.viewport import PixelBox, Viewport

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
LINE = "#ffffff"
Fetch = Callable[[str], bytes | None]
"""Reads a blob by name, blocking; None if there is none."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """`image` is RGBA with straight alpha, transparent where nothing is; `mask` is L, white
    where the frame is to be painted anew."""

    image: Image.Image
    mask: Image.Image
    has_pictures: bool
    """Whether image records lie under the frame, not strokes alone."""
    drawn: int
    """Items that had to be drawn for this picture."""


class Renderer:
    def __init__(
        self,
        *,
        max_picture_px: int = 50_000_000,
        view_bytes: int = 256 * MIB,
        outline_bytes: int = 64 * MIB,
        stencil_bytes: int = 128 * MIB,
        decoded_bytes: int = 256 * MIB,
    ) -> None:
        self._max_picture_px = max_picture_px
        self._views: ByteLru[Hashable, View] = ByteLru(view_bytes)
        self._outlines: ByteLru[Hashable, Plane] = ByteLru(outline_bytes)
        self._stencils: ByteLru[Hashable, Image.Image] = ByteLru(stencil_bytes)
        self._decoded: ByteLru[Hashable, Image.Image] = ByteLru(decoded_bytes)
        self._in_use: set[Hashable] = set()
        self._lock = threading.Lock()

    def render(
        self, room: str, frame: str, records: Iterable[Record], viewport: Viewport, fetch: Fetch
    ) -> Rendered:
        """Draw what `viewport` shows of `records`, with the mask strokes of `frame`."""
        return self._draw((room, frame), None, records, viewport, fetch)

    def lines(
        self, room: str, frame: str, records: Iterable[Record], viewport: Viewport
    ) -> Image.Image:
        """The strokes that `viewport` shows, as white lines on black (L); erasers erase."""
        drawn = self._draw((room, frame, LINE), LINE, records, viewport, lambda _blob: None)
        return drawn.image.getchannel("A")

    def _draw(
        self,
        key: tuple[str, ...],
        ink: str | None,
        records: Iterable[Record],
        viewport: Viewport,
        fetch: Fetch,
    ) -> Rendered:
        room, frame = key[:2]
        view, borrowed = self._borrow(key, viewport, ink)
        try:
            image, mask = view.draw(records, frame, _Stencils(self, room, fetch))
        except BaseException:
            self._give_back(key, None, borrowed)
            raise
        self._give_back(key, None if view.incomplete else view, borrowed)
        return Rendered(image, mask, view.has_pictures, view.drawn)

    def forget(self, room: str) -> None:
        """Let go of a room's kept pictures."""
        for key in self._views:
            if isinstance(key, tuple) and key[0] == room:
                self._views.drop(key)

    def _borrow(self, key: Hashable, viewport: Viewport, ink: str | None) -> tuple[View, bool]:
        """The kept view, if it fits and nobody else is drawing on it; else a new one."""
        with self._lock:
            if key in self._in_use:
                return View(viewport, ink), False
            self._in_use.add(key)
        kept = self._views.get(key)
        if kept is None or kept.viewport != viewport:
            return View(viewport, ink), True
        return kept, True

    def _give_back(self, key: Hashable, view: View | None, borrowed: bool) -> None:
        if not borrowed:
            return
        if view is None:
            self._views.drop(key)
        else:
            self._views.put(key, view, view.num_bytes)
        with self._lock:
            self._in_use.discard(key)

    def stencil(self, record: Stroke | Mask, view: Viewport, window: PixelBox) -> Image.Image:
        key = (record.points, record.size, record.pen, record.x, record.y, view)
        kept = self._stencils.get(key)
        if kept is None:
            kept = coverage(self._outline(record), (record.x, record.y), view, window)
            self._stencils.put(key, kept, kept.width * kept.height)
        return kept

    def _outline(self, record: Stroke | Mask) -> Plane:
        key = (record.points, record.size, record.pen)
        kept = self._outlines.get(key)
        if kept is None:
            kept = plane(outline(record.points, record.size, pen=record.pen))
            self._outlines.put(key, kept, kept.nbytes)
        return kept

    def picture(
        self, room: str, record: ImageRecord, view: Viewport, window: PixelBox, fetch: Fetch
    ) -> Image.Image | None:
        place = (record.x, record.y, record.w, record.h, record.opacity)
        key = (room, record.blob, place, view)
        kept = self._stencils.get(key)
        if kept is None:
            whole = self._picture(room, record.blob, fetch)
            if whole is None:
                return None
            kept = fit(whole, record, view, window)
            self._stencils.put(key, kept, 4 * kept.width * kept.height)
        return kept

    def _picture(self, room: str, blob: str, fetch: Fetch) -> Image.Image | None:
        key = (room, blob)
        kept = self._decoded.get(key)
        if kept is None:
            data = fetch(blob)
            if data is None:
                logger.warning(
                    "room %s: the picture %s is not stored; drawn without it", room, blob
                )
                return None
            try:
                kept = decode(data, self._max_picture_px)
            except PictureError as error:
                logger.warning("room %s: the picture %s can't be drawn: %s", room, blob, error)
                return None
            self._decoded.put(key, kept, 4 * kept.width * kept.height)
        return kept


@dataclass(frozen=True, slots=True)
class _Stencils:
    """The renderer's caches as one room's view may use them, for one render."""

    renderer: Renderer
    room: str
    fetch: Fetch

    def coverage(self, record: Stroke | Mask, view: Viewport, window: PixelBox) -> Image.Image:
        return self.renderer.stencil(record, view, window)

    def picture(self, record: ImageRecord, view: Viewport, window: PixelBox) -> Image.Image | None:
        return self.renderer.picture(self.room, record, view, window, self.fetch)
