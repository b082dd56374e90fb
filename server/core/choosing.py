"""What it means to accept or discard a picture: a draft, which somebody else commits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fractional_indexing

from server.core.errors import Refusal
from server.core.records import Candidate, Image, Layer, Record, Stroke

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.core.canvas import Draft
    from server.core.messages import Accept, Discard

MAX_Z_LENGTH = 200


def accept(draft: Draft, request: Accept, records: Mapping[str, Record]) -> None:
    """Put the picture over all that it was made from; raises Refusal."""
    candidate = _candidate(draft, request.candidate)
    if candidate.state == "accepted":
        raise Refusal("not_open", "this picture is on the canvas already")
    layer = candidate.layer if isinstance(records.get(candidate.layer or ""), Layer) else None
    drawn = heights(records, layer)
    above = candidate.above if layer == candidate.layer else max(drawn, default="")
    image = Image(
        id=request.image, layer=layer, z=_z_between(above, drawn), blob=candidate.blob,
        x=candidate.x, y=candidate.y, w=candidate.w, h=candidate.h,
    )  # fmt: skip
    draft.put(image)
    draft.patch(candidate.id, {"state": "accepted"})


def discard(draft: Draft, request: Discard) -> None:
    """Raises Refusal."""
    candidate = _candidate(draft, request.candidate)
    if candidate.state != "open":
        raise Refusal("not_open", f"this picture is {candidate.state} already")
    draft.patch(candidate.id, {"state": "discarded"})


def _candidate(draft: Draft, id: str) -> Candidate:
    candidate = draft.get(id)
    if not isinstance(candidate, Candidate):
        raise Refusal("missing", f"there is no picture {id} (any more)")
    return candidate


def heights(records: Mapping[str, Record], layer: str | None) -> list[str]:
    """`z` of all that lies in a layer; None: below all layers."""
    return [
        record.z
        for record in records.values()
        if isinstance(record, Stroke | Image) and _layer_of(record, records) == layer
    ]


def _layer_of(record: Stroke | Image, records: Mapping[str, Record]) -> str | None:
    is_there = record.layer is not None and isinstance(records.get(record.layer), Layer)
    return record.layer if is_there else None


def _z_between(below: str, drawn: list[str]) -> str:
    """An order key right over all that lies no higher than `below`."""
    top = max((z for z in drawn if z <= below), default=None)
    next_up = min((z for z in drawn if z > below), default=None)
    z = str(fractional_indexing.generate_key_between(top, next_up))
    if len(z) > MAX_Z_LENGTH:
        raise Refusal("bad_record", "too much lies at this height: move something up or down")
    return z
