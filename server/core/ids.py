"""Names of things in a room, and how they are made and checked."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Annotated, NewType

from msgspec import Meta

RoomId = NewType("RoomId", str)
PersonId = NewType("PersonId", str)
SessionId = NewType("SessionId", str)
Epoch = NewType("Epoch", str)
Seq = NewType("Seq", int)

RecordId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}\Z")]
OpId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,40}\Z")]
BlobId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

_ROOM = re.compile(r"[A-Za-z0-9_-]{22,64}")


def new_room_id() -> RoomId:
    """128 random bits: knowing the id is what lets somebody in."""
    return RoomId(secrets.token_urlsafe(16))


def is_room_id(text: str) -> bool:
    return _ROOM.fullmatch(text) is not None


def new_id() -> str:
    """An id for a record or an op that the server makes."""
    return secrets.token_urlsafe(12)


def person_id(room: RoomId, key: bytes) -> PersonId:
    """The public name of whoever holds `key` in this room; the key never leaves the server."""
    return PersonId(
        hashlib.sha256(b"atelier-person\0" + room.encode() + b"\0" + key).hexdigest()[:20]
    )
