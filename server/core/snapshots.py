"""The state of a room as a row of parts of bounded size, and back. For the journal only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.core.records import Record
from server.core.room import RoomState
from server.core.schema import cost_bytes
from server.core.undo import Stamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PART_BYTES = 256 * 1024
FORMAT = 1


class _Head(msgspec.Struct, frozen=True):
    format: int
    state: RoomState
    """Without its records and stamps, which follow in parts of their own."""


_Part = list[tuple[Record, Stamps]]
_encoder = msgspec.msgpack.Encoder()
_heads: msgspec.msgpack.Decoder[_Head] = msgspec.msgpack.Decoder(_Head)
_parts: msgspec.msgpack.Decoder[_Part] = msgspec.msgpack.Decoder(_Part)


def encode_parts(state: RoomState) -> Iterator[bytes]:
    """The head, then the records in parts of about PART_BYTES."""
    yield _encoder.encode(_Head(FORMAT, msgspec.structs.replace(state, records=[], stamps=[])))
    stamps = iter(state.stamps)
    for records in in_portions(state.records):
        yield _encoder.encode([(record, next(stamps)) for record in records])


def decode_parts(parts: Iterable[bytes]) -> RoomState:
    """The inverse of `encode_parts`; raises msgspec.DecodeError."""
    rest = iter(parts)
    head = _heads.decode(next(rest))
    pairs = [pair for part in rest for pair in _parts.decode(part)]
    return msgspec.structs.replace(
        head.state,
        records=[record for record, _ in pairs],
        stamps=[stamps for _, stamps in pairs],
    )


def in_portions(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records in lists that take about PART_BYTES each."""
    portion: list[Record] = []
    size = 0
    for record in records:
        size += cost_bytes(record)
        portion.append(record)
        if size >= PART_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
