"""What of a room goes along into another: its file, or a room that branches off. Pure.

People and what is decided about them stay: their names mean something in one room only, and
whoever makes the new one is its host. So do versions, which are moments of this room's own
history, and what is still being made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.core.errors import Refusal
from server.core.records import (
    PEOPLE,
    Candidate,
    Comment,
    Frame,
    Image,
    Job,
    Layer,
    Record,
    Version,
)
from server.core.schema import cost_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.core.limits import RoomLimits


def portable(records: Iterable[Record]) -> list[Record]:
    """What goes along, in an order in which each can be put: what others refer to comes first.

    How a picture came into being is a part of the room's own history, and stays with it.
    """
    return sorted(map(_without_strip, filter(is_portable, records)), key=_rank)


def _without_strip(record: Record) -> Record:
    if isinstance(record, Candidate):
        return msgspec.structs.replace(record, strip="", num_previews=0)
    return record


def is_portable(record: Record) -> bool:
    if isinstance(record, Candidate):
        return record.state == "open" and not record.live
    return not isinstance(record, (Job, Version, *PEOPLE))


def blobs_of(records: Iterable[Record]) -> list[str]:
    """The names of the pictures that these records show, each once."""
    shown = (record.blob for record in records if isinstance(record, Image | Candidate))
    return list(dict.fromkeys(shown))


def check_fit(records: list[Record], limits: RoomLimits) -> None:
    """Raise Refusal where a room may not hold so much."""
    if len(records) > limits.max_records:
        raise Refusal("room_full", f"expected at most {limits.max_records} things")
    if sum(map(cost_bytes, records)) > limits.max_bytes:
        raise Refusal("room_full", f"expected at most {limits.max_bytes} bytes of things")


def _rank(record: Record) -> int:
    match record:
        case Layer():
            return 0
        case Frame() | Comment(thread=None):
            return 1
        case _:
            return 2
