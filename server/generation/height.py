"""How high a picture is to lie: in which layer, and above what there. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.core.access import lock_id
from server.core.choosing import heights
from server.core.records import Image, Layer, Record, Stroke
from server.render.bounds import bounds, rectangle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.core.records import Frame


def height(records: Sequence[Record], frame: Frame) -> tuple[str | None, str]:
    """The uppermost layer that shows something in the frame, and `z` of the topmost thing in it.

    None is below all layers. A locked layer doesn't count: whoever takes the picture may have no
    right to put it there.
    """
    by_id = {record.id: record for record in records}
    inside = rectangle(frame.x, frame.y, frame.w, frame.h)
    top: Layer | None = None
    for record in records:
        layer = by_id.get(record.layer or "") if isinstance(record, Stroke | Image) else None
        if not isinstance(layer, Layer) or not layer.visible or lock_id(layer.id) in by_id:
            continue
        if top is None or (layer.z, layer.id) > (top.z, top.id):
            box = bounds(record)
            if box is not None and box.meets(inside):
                top = layer
    layer_id = None if top is None else top.id
    return layer_id, max(heights(by_id, layer_id), default="")
