"""Names of things in a room, and how they are made and checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Annotated, NewType

from msgspec import Meta

RoomId = NewType("RoomId", str)
PersonId = NewType("PersonId", str)
SessionId = NewType("SessionId", str)
Epoch = NewType("Epoch", str)
Seq = NewType("Seq", int)

NOBODY = PersonId("")

RecordId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}\Z")]
OwnedId = Annotated[str, Meta(pattern=r"^:[a-z]+:[A-Za-z0-9_-]{1,40}\Z")]
"""Of a record about people, which no client can put: `:member:` and the person, say."""
AnyId = Annotated[str, Meta(pattern=r"^(:[a-z]+:)?[A-Za-z0-9_-]{1,40}\Z")]
OpId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,40}\Z")]
BlobId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

_ROOM = re.compile(r"[A-Za-z0-9_-]{22,64}")
_RANDOM_BYTES = 16


def new_room_id(key: bytes) -> RoomId:
    """128 random bits, and a proof that whoever holds `key` made them up.

    Only a room with such an id can come into being, so that nobody learns whether an id is
    taken by trying to use it.
    """
    return _proven(secrets.token_bytes(_RANDOM_BYTES), key)


def is_room_id(text: str) -> bool:
    return _ROOM.fullmatch(text) is not None


def is_proven(room: RoomId, key: bytes) -> bool:
    """Whether `new_room_id` made this id with this key."""
    try:
        content = base64.urlsafe_b64decode(f"{room}=")
    except ValueError:
        return False
    return hmac.compare_digest(_proven(content[:_RANDOM_BYTES], key), room)


def _proven(content: bytes, key: bytes) -> RoomId:
    proof = hmac.digest(key, b"atelier-room\0" + content, "sha256")[:_RANDOM_BYTES]
    return RoomId(base64.urlsafe_b64encode(content + proof).decode().rstrip("="))


def new_id() -> str:
    """An id for a record or an op that the server makes."""
    return secrets.token_urlsafe(12)


def person_id(room: RoomId, key: bytes) -> PersonId:
    """The public name of whoever holds `key` in this room; the key never leaves the server."""
    return _person(b"atelier-person\0", room, key)


def login_id(room: RoomId, login: str) -> PersonId:
    """The public name of whom another login vouches for, whatever browser they use."""
    return _person(b"atelier-login\0", room, login.encode())


def _person(kind: bytes, room: RoomId, secret: bytes) -> PersonId:
    return PersonId(hashlib.sha256(kind + room.encode() + b"\0" + secret).hexdigest()[:20])


def new_secret() -> str:
    """256 random bits that let somebody in; keep its digest only."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return hashlib.sha256(b"atelier-secret\0" + secret.encode()).hexdigest()


def is_same(secret: str, other: str) -> bool:
    return hmac.compare_digest(secret.encode(), other.encode())


def is_secret(secret: str, kept: str) -> bool:
    """Whether `kept` is the digest of `secret`; takes as long either way."""
    return is_same(digest(secret), kept)
